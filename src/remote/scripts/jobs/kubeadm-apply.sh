# Job: kubeadm upgrade apply.
# Arguments: VERSION  IGNORED-PREFLIGHT-ERRORS(comma list, -)  GUARD  ETCD-NOW  ETCD-PINNED  ETCD-FIRST(comma list, -)
#   GUARD: - for none, or as of install-packages: refuses unless all other members are healthy and the stacked one here does not
#   lead. The others say which etcd may be brought to it, as brought.part.sh has it.
# Exit: kubeadm's; 75 refused before anything was changed.
main() {
    set -uf
    version=$1 ignore=$2 guard=$3 now=$4 pinned=$5 first=$6
    set --
    [ "$ignore" = - ] || set -- "--ignore-preflight-errors=$ignore"
    before_etcd || return
    kubeadm upgrade apply "$version" --yes "$@"
}
main "$@" </dev/null
