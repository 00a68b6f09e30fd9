# Job: puts certificates and keys that were sent in their places: a key is for the service's own user alone, a certificate may
# be read by anybody.
# Arguments: SENT(a file below Windlass's folder: parts that begin with a line `--- NUMBER`)  SERVICE  FILE…(of each part, in order)
# Exit: 0 they are in their places, since now or since an earlier try; 1 they are not, or not all; 75 refused, nothing was
# changed: not what was announced was sent.
refuse() {
    echo "refused: $*" >&2
    return 75
}

part() {
    awk -v wanted="$1" '/^--- / { number = $2; next } number == wanted' "$sent"
}

# place NUMBER FILE
place() {
    mode=0644
    case $(part "$1") in *'PRIVATE KEY-----'*) mode=0600 ;; esac
    (umask 022 && mkdir -p "${2%/*}") || return
    {
        (umask 077 && part "$1" >"$2.windlass") && chown "$owner" "$2.windlass" && chmod "$mode" "$2.windlass" &&
            sync "$2.windlass" && mv "$2.windlass" "$2" && sync "${2%/*}"
    } || return
    echo "$2"
}

main() {
    set -uf
    sent=$WINDLASS_DIR/$1 service=$2
    shift 2
    if [ -e "$sent.placed" ]; then
        echo "they are in their places since an earlier try"
        return 0
    fi
    [ "$(grep -c '^--- ' "$sent" 2>/dev/null)" = "$#" ] || refuse "not $# parts were sent" || return
    owner=$(systemctl show -p User --value "$service")
    owner=${owner:-root}
    owner=$owner:$(id -g "$owner") || return 1
    number=0
    for file in "$@"; do
        number=$((number + 1))
        place "$number" "$file" || return 1
    done
    # The keys are where they are used, and nowhere else.
    { : >"$sent.placed" && sync "$sent.placed" && rm -f "$sent"; } || return 1
}
main "$@" </dev/null
