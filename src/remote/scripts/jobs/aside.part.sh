# Part of the jobs that put a member's data aside.

# set_aside DATA-DIR RUN: what a member left there is kept under another name; never deleted, never overwritten.
set_aside() {
    [ -e "$1/member" ] || return 0
    if [ -e "$1/member.before-$2" ]; then
        echo "$1/member.before-$2 is there already" >&2
        return 1
    fi
    mv "$1/member" "$1/member.before-$2" && sync "$1" && echo "kept as $1/member.before-$2"
}
