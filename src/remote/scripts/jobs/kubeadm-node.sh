# Job: kubeadm upgrade node. On a worker kubeadm reads the cluster with the kubelet's own credentials.
# Arguments: IGNORED-PREFLIGHT-ERRORS(comma list, -)
# Exit: kubeadm's.
main() {
    set -u
    ignore=$1
    set --
    [ "$ignore" = - ] || set -- "--ignore-preflight-errors=$ignore"
    [ -f /etc/kubernetes/admin.conf ] || unset KUBECONFIG
    kubeadm upgrade node "$@"
}
main "$@" </dev/null
