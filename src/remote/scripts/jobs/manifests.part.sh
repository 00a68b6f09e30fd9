# Part of the jobs that move manifests of static pods between the kubelet's folder and one of the run beside it. Put behind what
# tells which containers run.

# places RUN: sets where manifests are, `from`/manifests, and where they are put aside, `aside`.
places() {
    from=${WINDLASS_FROM:-}/etc/kubernetes
    aside=$from/windlass-$1
}

# in_one_place FOLDER POD…: the manifest of each is either in the kubelet's folder or aside. FOLDER is where it is looked for.
in_one_place() {
    wanted=$1
    shift
    for pod in "$@"; do
        case $(find "$from/manifests/$pod.yaml" "$aside/$pod.yaml" 2>/dev/null | grep -c .) in
            1) ;;
            0) echo "refused: $wanted has no $pod.yaml" >&2; return 75 ;;
            *) echo "refused: somebody has put another $pod.yaml into $from/manifests" >&2; return 75 ;;
        esac
    done
}

# take_aside POD…: their manifests, as far as they are with the kubelet.
take_aside() {
    (umask 077 && mkdir -p "$aside") || return 1
    for pod in "$@"; do
        [ ! -e "$from/manifests/$pod.yaml" ] || mv "$from/manifests/$pod.yaml" "$aside/" || return 1
    done
    sync "$aside" "$from/manifests"
}

# await_gone POD…: their containers. The kubelet looks every 20 s and gives a pod 30 s; twice that, and its own restart meanwhile.
await_gone() {
    left=150
    while ! found=$(running kube-system "$@") || [ -n "$found" ]; do
        if [ "$left" -eq 0 ]; then
            if [ -n "$found" ]; then
                echo "still running: $(printf '%s' "$found" | tr '\n' ' ')- does the kubelet run here?" >&2
            else
                echo "the container runtime does not tell what runs" >&2
            fi
            return 1
        fi
        left=$((left - 1))
        sleep 1
    done
    echo "gone: $*"
}

