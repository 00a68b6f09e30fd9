# Job: restarts the kubelet on the binary that its package brought.
# Arguments: GUARD(- for none, or as of install-packages: a new kubelet may restart the stacked member here)
# Exit: systemctl's; 75 the guard refused.
main() {
    set -uf
    guard=$1
    [ "$guard" = - ] || guard_etcd "$guard" || return
    systemctl daemon-reload || return
    systemctl restart kubelet
}
main "$@" </dev/null
