# Part of the jobs in which kubeadm raises a control plane: what has to be known of its stacked member before.

# before_etcd: $version's kubeadm brings an etcd that fits, all other members are healthy, and this one does not lead ($guard).
before_etcd() {
    [ "$guard" != - ] || return 0
    images=$(kubeadm config images list --kubernetes-version "$version") || return 1
    etcd_fits "$images" || return
    guard_etcd "$guard"
}
