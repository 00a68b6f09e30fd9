# Job: applies a manifest that was sent.
# Arguments: MANIFEST(a file below Windlass's folder)
# Exit: kubectl's.
main() {
    set -u
    own_api || return
    kubectl_here apply -f "$WINDLASS_DIR/$1"
}
main "$@" </dev/null
