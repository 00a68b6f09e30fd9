# Job: puts certificates and keys that were sent in their places: a key is for the service's own user alone, or for whose the
# one was that it replaces; a certificate is root's, and may be read by anybody. All of them are written beside their places
# first, and only then renamed.
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

# write NUMBER FILE: beside it. The folder may be the service's own user's: a name that is there is never written through.
write() {
    (umask 022 && mkdir -p "${2%/*}") || return
    rm -f "$2.windlass" || return
    (umask 077 && set -C && part "$1" >"$2.windlass") || return
    case $(part "$1") in
    *'PRIVATE KEY-----'*) chown -h "$(stat -c %u:%g "$2" 2>/dev/null || echo "$owner")" "$2.windlass" || return ;;
    *) chmod 0644 "$2.windlass" || return ;;
    esac
    sync "$2.windlass"
}

# each COMMAND FILE…: runs it for every file, with its number before it.
each() {
    run=$1 number=0
    shift
    for file in "$@"; do
        number=$((number + 1))
        "$run" "$number" "$file" || return 1
    done
}

put() {
    mv "$2.windlass" "$2" && sync "${2%/*}" && echo "$2"
}

drop() {
    rm -f "$2.windlass"
}

main() {
    set -uf
    sent=$WINDLASS_DIR/$1 service=$2
    shift 2
    if [ -e "$sent.placed" ]; then
        echo "they are in their places since an earlier try"
        rm -f "$sent"
        return
    fi
    [ "$(grep -c '^--- ' "$sent" 2>/dev/null)" = "$#" ] || refuse "not $# parts were sent" || return
    owner=$(owner "$service") || return 1
    if ! each write "$@"; then
        each drop "$@"
        return 1
    fi
    each put "$@" || return 1
    # The keys are where they are used, and nowhere else.
    { (umask 077 && : >"$sent.placed") && sync "$sent.placed" && rm -f "$sent"; } || return 1
}
main "$@" </dev/null
