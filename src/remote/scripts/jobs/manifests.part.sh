# Part of the jobs that move manifests of static pods between the kubelet's folder and one beside it.

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

