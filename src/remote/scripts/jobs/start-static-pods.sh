# Job: gives the manifests of static pods back to the kubelet.
# Arguments: RUN  PODS(comma list)
# Without an API server among them it waits, 20 s at most, until the kubelet has been seen to know them: it reads manifests when
# it likes, and what it does not know it deletes from an API that comes back.
# Exit: 0 they are there; 1 one could not be moved; 75 one is in neither place, or in both: nothing of it was moved.
seen_by_kubelet() {
    tries=40
    for pod in "$@"; do
        while [ -z "$(running kube-system "$pod")" ] && [ "$tries" -gt 0 ]; do
            tries=$((tries - 1))
            sleep 0.5
        done
    done
}

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
    case " $pods " in
        *" kube-apiserver "* | *" etcd "*) ;;
        *)
            # shellcheck disable=SC2086 # words on purpose
            seen_by_kubelet $pods
            ;;
    esac
}
main "$@" </dev/null
