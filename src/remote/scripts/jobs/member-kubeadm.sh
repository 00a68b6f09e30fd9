# Job: has kubeadm make this control plane's stacked member: it puts it on etcd's list and writes its manifest. Data of an earlier
# life are set aside. A member that an earlier try has put on the list, and that never started, is taken off first.
# Arguments: CA  CERT  KEY  URL(of a voting member)  PEER-URL(of this one)  NODE  ADDRESS  DATA-DIR  RUN
# Exit: 0 the manifest is there and the member is listed; 1 kubeadm failed, or the list could not be had; 75 refused: a member
# with this peer URL has started already, or there is a manifest and no member: nothing was changed.
refuse() {
    echo "refused: $*" >&2
    return 75
}

# forget LINE: the member of that line of the list, which never started.
forget() {
    printf '%s\n' "$1" | awk -F ', ' '{ exit $2 != "unstarted" }' || refuse "a member with $peer has started already" || return
    id=${1%%,*}
    change_until no 1 "$id" member remove "$id"
}

# From 1.32 on the phase has a name of its own, and the former one goes away.
join() {
    for phase in "etcd-join" "control-plane-join etcd"; do
        # shellcheck disable=SC2086  # two words
        kubeadm join phase $phase --help 2>/dev/null | grep -q -e "kubeadm join phase $phase" || continue
        # shellcheck disable=SC2086
        kubeadm join phase $phase --control-plane --node-name "$node" --apiserver-advertise-address "$address"
        return
    done
    refuse "this kubeadm has no phase that joins etcd"
}

main() {
    set -uf
    speak_to "$1" "$2" "$3" "$4"
    peer=$5 node=$6 address=$7 data=$8 run=$9
    manifest=${WINDLASS_FROM:-}/etc/kubernetes/manifests/etcd.yaml
    line=$(line_of 4 "$peer")
    case $?:$(find "$manifest" 2>/dev/null | grep -c .) in
        0:1) echo "kubeadm has made it in an earlier try" && return ;;
        0:0) forget "$line" || return ;;
        1:1) refuse "there is a manifest of etcd, and no member with $peer" || return ;;
        1:0) ;;
        *) return 1 ;;
    esac
    set_aside "$data/member" "$run" && join
}
main "$@" </dev/null
