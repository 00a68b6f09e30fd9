# Job: kubeadm init. An earlier try of this run is gone on with: authorities and keys that it made stay, and what it wrote is
# written again.
# Arguments: CONFIGURATION(text, with @RUN@)  IGNORED-PREFLIGHT-ERRORS(comma list, -)  RUN
# Exit: 75 refused: there is something of a cluster here that this run did not begin; else kubeadm's.
refuse() {
    echo "refused: $*" >&2
    return 75
}

# What kubeadm says against what an earlier try has left behind.
own_traces() {
    for name in kube-apiserver kube-controller-manager kube-scheduler etcd; do
        printf 'FileAvailable--etc-kubernetes-manifests-%s.yaml,' "$name"
    done
    for port in 6443 2379 2380 10250 10257 10259; do printf 'Port-%s,' "$port"; done
    printf 'DirAvailable--var-lib-etcd'
}

main() {
    set -u
    text=$1 ignore=$2 run=$3 folder=$WINDLASS_DIR/bootstrap/$3
    # Only tests set it.
    kubernetes=${WINDLASS_FROM:-}/etc/kubernetes
    umask 077
    mkdir -p "$folder" || return 1
    [ "$ignore" != - ] || ignore=
    if [ -e "$folder/began" ]; then
        ignore=$ignore${ignore:+,}$(own_traces)
    elif [ -e "$kubernetes/admin.conf" ] || [ -e "$kubernetes/manifests/kube-apiserver.yaml" ]; then
        refuse "there is a control plane here already" || return
    else
        : >"$folder/began" && sync "$folder/began" "$folder" || return 1
    fi
    printf '%s\n' "$text" | sed "s/@RUN@/$run/" >"$folder/kubeadm.yaml" || return 1
    set --
    [ -z "$ignore" ] || set -- "--ignore-preflight-errors=$ignore"
    # Without --skip-token-print its token would be in this job's log.
    (umask 022 && kubeadm init --config "$folder/kubeadm.yaml" --skip-token-print "$@")
}
main "$@" </dev/null
