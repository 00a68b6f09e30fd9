# Job: ends the containers of these names on this node, so that the kubelet starts them anew, and waits until it has. Their
# pods stay as they are.
# Arguments: NAMES(comma list)
# Exit: 0 they run anew, or none ran; 1 one did not end, or did not come back within two minutes.
end_container() {
    if [ "$2" = 0 ]; then
        crictl stop --timeout 30 "$1" >/dev/null
        return
    fi
    kill -TERM "$2" 2>/dev/null
    left=30
    while [ -d "/proc/$2" ]; do
        [ "$left" -gt 0 ] || kill -KILL "$2" 2>/dev/null
        [ "$left" -gt -10 ] || return 1
        left=$((left - 1))
        sleep 1
    done
}

main() {
    set -uf
    names=$(printf '%s' "$1" | tr ',' ' ')
    # shellcheck disable=SC2086 # words on purpose
    before=$(running any $names) || { echo "the container runtime does not tell what runs" >&2; return 1; }
    [ -n "$before" ] || {
        echo "none of them runs here"
        return 0
    }
    wanted=$(printf '%s\n' "$before" | grep -c .)
    printf '%s\n' "$before" | while read -r id pid; do end_container "$id" "$pid" || exit 1; done || return 1
    left=120
    while :; do
        # shellcheck disable=SC2086
        anew=$(running any $names | grep -v -x -F -e "$before")
        [ "$(printf '%s\n' "$anew" | grep -c .)" -lt "$wanted" ] || break
        [ "$left" -gt 0 ] || { echo "not all came back: $names" >&2; return 1; }
        left=$((left - 1))
        sleep 1
    done
    echo "started anew: $wanted of $names"
}
main "$@" </dev/null
