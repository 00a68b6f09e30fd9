# api: placeholder.
set -u

main() {
    echo "api is not written yet" >&2
    exit 2
}

main "$@" </dev/null
