# Part of the jobs that put certificates and keys in their places: from what was sent, in parts that begin with a line
# `--- NUMBER`. All of them are written beside their places first, and only then renamed.

part() {
    awk -v wanted="$1" '/^--- / { number = $2; next } number == wanted' "$sent"
}

# Whether as many parts were sent as there are files.
all_sent() {
    [ "$(grep -c '^--- ' "$sent" 2>/dev/null)" = "$1" ]
}

# write NUMBER FILE: beside it. A key is for the owner alone, or for whoever could read the one that it replaces. The folder may be the service's own user's: a name that is there is never written through.
write() {
    (umask 022 && mkdir -p "${2%/*}") || return
    rm -f "$2.windlass" || return
    (umask 077 && set -C && part "$1" >"$2.windlass") || return
    case $(part "$1") in
    *'PRIVATE KEY-----'*)
        chown -h "$(stat -c %u:%g "$2" 2>/dev/null || echo "$owner")" "$2.windlass" || return
        # Whose the former one was may have read it as the owner's group alone.
        [ ! -f "$2" ] || { chmod --reference="$2" "$2.windlass" && chmod o= "$2.windlass"; } || return
        ;;
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

write_all() {
    each write "$@" && return
    each drop "$@"
    return 1
}

# That they are in their places is on disk before anybody relies on it.
note_placed() {
    (umask 077 && : >"$sent.placed") && sync "$sent.placed"
}
