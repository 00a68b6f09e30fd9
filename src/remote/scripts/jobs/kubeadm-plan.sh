# Job: kubeadm's own checks of the cluster for a version. It makes a short Job in the cluster.
# Arguments: VERSION  IGNORED-PREFLIGHT-ERRORS(comma list, -)
# Exit: kubeadm's.
main() {
    set -u
    version=$1 ignore=$2
    set --
    [ "$ignore" = - ] || set -- "--ignore-preflight-errors=$ignore"
    kubeadm upgrade plan "$version" "$@"
}
main "$@" </dev/null
