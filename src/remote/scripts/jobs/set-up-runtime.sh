# Job: gives containerd its configuration, starts it, and waits until it answers as a container runtime.
# Arguments: CONFIGURATION(text; - for containerd's own with systemd's cgroups, unless somebody gave it one that has them)
# Exit: 0 it answers; 1 it does not, or could not be set up.
# Only tests set WINDLASS_FROM.
FILE=${WINDLASS_FROM:-}/etc/containerd/config.toml

# Whether the file that is there would do: with systemd's cgroups, and not without the part that kubelets speak to.
would_do() {
    grep -q -E '^[[:space:]]*SystemdCgroup[[:space:]]*=[[:space:]]*true' "$FILE" 2>/dev/null &&
        ! grep -q -E '^[[:space:]]*disabled_plugins[[:space:]]*=.*"(io\.containerd\.grpc\.v1\.)?cri"' "$FILE"
}

wanted() {
    if [ "$1" != - ]; then
        printf '%s\n' "$1"
    else
        containerd config default | sed -E 's/^([[:space:]]*SystemdCgroup[[:space:]]*=).*/\1 true/'
    fi
}

# crictl may come only later: containerd's own client says whether the part that kubelets speak to is well.
answers() {
    ctr plugins ls | awk '$2 == "cri" && $NF == "ok" { found = 1 } END { exit !found }'
}

main() {
    set -u
    if [ "$1" != - ] || ! would_do; then
        mkdir -p "${FILE%/*}" && wanted "$1" >"$FILE.windlass" && [ -s "$FILE.windlass" ] || return 1
        if cmp -s "$FILE.windlass" "$FILE"; then
            rm -f "$FILE.windlass"
        else
            [ ! -e "$FILE" ] || [ -e "$FILE.before-windlass" ] || cp -p "$FILE" "$FILE.before-windlass" || return 1
            { sync "$FILE.windlass" && mv "$FILE.windlass" "$FILE" && sync "${FILE%/*}"; } || return 1
            systemctl restart containerd || return 1
        fi
    fi
    [ "$1" != - ] || would_do || {
        echo "this containerd's own configuration has no SystemdCgroup: give it one" >&2
        return 1
    }
    systemctl enable --now containerd || return 1
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        answers 2>/dev/null && return
        sleep 1
    done
    answers || ctr plugins ls
    return 1
}
main "$@" </dev/null
