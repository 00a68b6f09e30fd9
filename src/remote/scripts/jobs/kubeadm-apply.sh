# Job: kubeadm upgrade apply.
# Arguments: VERSION  IGNORED-PREFLIGHT-ERRORS(comma list, -)
# Exit: kubeadm's.
main() {
    set -u
    version=$1 ignore=$2
    set --
    [ "$ignore" = - ] || set -- "--ignore-preflight-errors=$ignore"
    kubeadm upgrade apply "$version" --yes "$@"
}
main "$@" </dev/null
