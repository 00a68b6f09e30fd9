# Job: takes the manifests of static pods away from the kubelet, into a folder of the run beside them, and waits until their
# containers are gone.
# Arguments: RUN  PODS(comma list)
# Exit: 0 they are gone; 1 one still runs after two and a half minutes, or its manifest could not be moved; 75 one has no
# manifest here, neither there nor aside, or both: nothing of it was moved.
main() {
    set -uf
    pods=$(printf '%s' "$2" | tr ',' ' ')
    places "$1"
    # shellcheck disable=SC2086 # words on purpose
    set -- $pods
    in_one_place "$from/manifests" "$@" || return
    take_aside "$@" && await_gone "$@"
}
main "$@" </dev/null
