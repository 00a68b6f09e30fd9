# Job: takes the manifests of static pods away from the kubelet, into a folder of the run beside them, and waits until their
# containers are gone.
# Arguments: RUN  PODS(comma list)
# Exit: 0 they are gone; 1 one still runs after two and a half minutes, or its manifest could not be moved; 75 one has no
# manifest here, neither there nor aside, or both: nothing of it was moved.
main() {
    set -uf
    run=$1 pods=$(printf '%s' "$2" | tr ',' ' ')
    from=${WINDLASS_FROM:-}/etc/kubernetes
    aside=$from/windlass-$run
    # shellcheck disable=SC2086 # words on purpose
    in_one_place "$from/manifests" $pods || return
    (umask 077 && mkdir -p "$aside") || return 1
    for pod in $pods; do
        [ ! -e "$from/manifests/$pod.yaml" ] || mv "$from/manifests/$pod.yaml" "$aside/" || return 1
    done
    sync "$aside" "$from/manifests" || return 1
    # The kubelet looks every 20 s and gives a pod 30 s; twice that, and its own restart meanwhile.
    left=150
    # shellcheck disable=SC2086 # words on purpose
    while [ -n "$(running $pods)" ]; do
        if [ "$left" -eq 0 ]; then
            echo "still running: $(running $pods | tr '\n' ' ')- does the kubelet run here?" >&2
            return 1
        fi
        left=$((left - 1))
        sleep 1
    done
    echo "gone: $pods"
}
main "$@" </dev/null
