# Job: kubeadm init. An earlier try of this run is gone on with: the authority that it made stays, and what it wrote is written
# again.
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

digest() { sha256sum <"$kubernetes/pki/ca.crt" | cut -d ' ' -f 1; }

# init WORDS…: kubeadm init with this configuration, and what it may ignore.
init() {
    set -- "$@" --config "$folder/kubeadm.yaml"
    (umask 022 && kubeadm init "$@" ${ignore:+"--ignore-preflight-errors=$ignore"})
}

main() {
    set -u
    text=$1 ignore=$2 run=$3 folder=$WINDLASS_DIR/bootstrap/$3
    # Only tests set it.
    kubernetes=${WINDLASS_FROM:-}/etc/kubernetes
    umask 077
    mkdir -p "$folder" || return 1
    [ "$ignore" != - ] || ignore=
    printf '%s\n' "$text" | sed "s/@RUN@/$run/" >"$folder/kubeadm.yaml" || return 1
    if [ -e "$folder/began" ] && [ -e "$kubernetes/pki/ca.crt" ]; then
        # What is here is this run's only while its authority is the one that this run made.
        [ "$(cat "$folder/began")" = "$(digest)" ] || refuse "the authority here is not the one that this run made" || return
        ignore=$ignore${ignore:+,}$(own_traces)
    elif [ -e "$kubernetes/admin.conf" ] || [ -e "$kubernetes/manifests/kube-apiserver.yaml" ]; then
        refuse "there is a control plane here already" || return
    else
        init phase preflight || return
        (umask 022 && kubeadm init phase certs ca --config "$folder/kubeadm.yaml") || return
        digest >"$folder/began" && sync "$folder/began" "$folder" || return 1
    fi
    # Without --skip-token-print its token would be in this job's log.
    init --skip-token-print
}
main "$@" </dev/null
