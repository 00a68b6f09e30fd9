# What Windlass's own scripts on a node share; put before each of them. Windlass's folder on a node is root's alone (0700):
#   token                        the highest lock token seen, decimal
#   lock, lock.owner             the holder as JSON, and its owner as one line (present only together with `lock`)
#   runs/RUN/UNIT/started        boot id and Unix time, written before systemd was asked
#   runs/RUN/UNIT/{job,args,wrap}  what the unit runs
#   runs/RUN/UNIT/{log,rc}       what it printed; its exit status, once it ended
#   copies/RUN/{plan.json,journal}  what the operator's machine has of the run, so that another operator can go on
# Every change is made under a flock on .flock, in a new file that is synced and then renamed.
#
# Exit 2: bad arguments. 6: the folder could not be locked, read or written, and nothing was changed.
set -u
umask 077
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

# Only tests set WINDLASS_ROOT: sudo drops it, and who is root already needs no such trick.
root=${WINDLASS_ROOT:-/var/lib/windlass}

complain() {
    status=$1
    shift
    printf '%s\n' "$*" >&2
    exit "$status"
}

check_number() {
    case $1 in
    '' | *[!0-9]*) complain 2 "not a number: $1" ;;
    esac
    # 18 digits fit into the shell's 64 bits for certain.
    [ "${#1}" -le 18 ] || complain 2 "number too long: $1"
}

check_name() {
    case $1 in
    '' | [!a-z0-9]* | *[!a-z0-9.-]* | *..*) complain 2 "not a name: $1" ;;
    esac
}

# Stdin to the file $1: whole and on disk, or not at all.
keep() {
    { cat >"$1.new" && sync "$1.new" && mv "$1.new" "$1" && sync "${1%/*}"; } || complain 6 "cannot write $1"
}

# Takes the folder's flock until the script ends.
lock_folder() {
    { mkdir -p "$root" && exec 9>"$root/.flock"; } || complain 6 "cannot make $root"
    # Others hold it for a fraction of a second; when it is not free in ten, one of them hangs.
    flock -w 10 9 || complain 6 "$root is locked by another command"
}

# Prints the stored token, 0 when none was ever stored.
stored_token() {
    [ -e "$root/token" ] || {
        echo 0
        return
    }
    read -r stored <"$root/token" || complain 6 "cannot read $root/token"
    case $stored in
    '' | *[!0-9]*) complain 6 "$root/token does not hold a token" ;;
    esac
    # What the shell cannot count, `[` would take for neither lower nor equal.
    [ "${#stored}" -le 18 ] || complain 6 "$root/token does not hold a token"
    echo "$stored"
}

# Refuses (exit 3, printing the stored one) when the token $1 is lower than the stored one; else stores it.
raise_token() {
    stored=$(stored_token) || exit
    if [ "$1" -lt "$stored" ]; then
        echo "$stored"
        exit 3
    fi
    [ "$1" -eq "$stored" ] || echo "$1" | keep "$root/token" || exit
}
