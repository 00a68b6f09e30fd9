# lock-release TOKEN: gives the lock back, when TOKEN is still the stored one. The token stays: it only ever rises.
#
# Exit 0: no lock any more. 3: the stored token, which is printed, is another one; the lock stays. 2, 6: see prelude.sh.

main() {
    [ "$#" -eq 1 ] || complain 2 "usage: lock-release TOKEN"
    check_number "$1"
    lock_folder
    [ -e "$root/lock" ] || exit 0
    stored=$(stored_token) || exit
    if [ "$1" -ne "$stored" ]; then
        echo "$stored"
        exit 3
    fi
    # The lock first, for the reason in lock-take.
    { rm -f "$root/lock" && rm -f "$root/lock.owner" && sync "$root"; } || complain 6 "cannot remove $root/lock"
}

main "$@" </dev/null
