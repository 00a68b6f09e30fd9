# Job: kubeadm upgrade node. On a worker kubeadm reads the cluster with the kubelet's own credentials.
# Arguments: VERSION  IGNORED-PREFLIGHT-ERRORS(comma list, -)  GUARD  ETCD-NOW  ETCD-PINNED  ETCD-FIRST(comma list, -)
#   As of kubeadm-apply; VERSION is what the node is raised to, which kubeadm itself reads from the cluster.
# Exit: kubeadm's; 75 refused before anything was changed.
main() {
    set -uf
    version=$1 ignore=$2 guard=$3 now=$4 pinned=$5 first=$6
    set --
    [ "$ignore" = - ] || set -- "--ignore-preflight-errors=$ignore"
    before_etcd || return
    [ -f /etc/kubernetes/admin.conf ] || unset KUBECONFIG
    kubeadm upgrade node "$@"
}
main "$@" </dev/null
