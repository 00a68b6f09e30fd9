# Part of the jobs that put a member's data aside.

# set_aside PATH RUN: what is there is kept under another name; never deleted, never overwritten.
set_aside() {
    [ -e "$1" ] || return 0
    kept=$1.before-$2 number=1
    while [ -e "$kept" ]; do
        number=$((number + 1))
        kept=$1.before-$2.$number
    done
    mv "$1" "$kept" && sync "${1%/*}" && echo "kept as $kept"
}

