# Job: restarts the kubelet on the binary that its package brought.
# Exit: systemctl's.
main() {
    set -u
    systemctl daemon-reload || return
    systemctl restart kubelet
}
main "$@" </dev/null
