# lock-take TOKEN HOLDER_JSON OWNER: takes the cluster's lock on this node, or takes it again for the same OWNER (a word
# that only this holder knows to say, as a run's id and operator).
#
# Exit 0: taken; token and lock are on disk. 3: someone else holds it; the lock's JSON is printed. 4: TOKEN is not higher
# than the stored one, which is printed. 2, 6: see prelude.sh.

main() {
    [ "$#" -eq 3 ] || complain 2 "usage: lock-take TOKEN HOLDER_JSON OWNER"
    check_number "$1"
    check_owner "$3"
    lock_folder
    if [ -e "$root/lock" ] && [ "$(cat "$root/lock.owner" 2>/dev/null)" != "$3" ]; then
        cat "$root/lock" || complain 6 "cannot read $root/lock"
        exit 3
    fi
    stored=$(stored_token) || exit
    if [ "$1" -le "$stored" ]; then
        echo "$stored"
        exit 4
    fi
    write_lock "$1" "$2" "$3"
}

main "$@" </dev/null
