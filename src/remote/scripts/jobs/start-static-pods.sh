# Job: gives the manifests of static pods back to the kubelet.
# Arguments: RUN  PODS(comma list)
# Exit: 0 they are there; 1 one could not be moved; 75 one is in neither place, or in both: nothing of it was moved.
main() {
    set -uf
    pods=$(printf '%s' "$2" | tr ',' ' ')
    places "$1"
    # shellcheck disable=SC2086 # words on purpose
    in_one_place "$aside" $pods || return
    for pod in $pods; do
        [ ! -e "$aside/$pod.yaml" ] || mv "$aside/$pod.yaml" "$from/manifests/" || return 1
    done
    sync "$from/manifests" || return 1
    # Empty when the last one is back.
    rmdir "$aside" 2>/dev/null || true
}
main "$@" </dev/null
