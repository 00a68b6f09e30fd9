# lock-replace TOKEN HOLDER_JSON OWNER SEEN: takes the cluster's lock on this node whoever holds it, when the stored token
# is still SEEN (0: none), the one that the operator was shown. Every take of the lock raises the token, so that of two who
# saw the same holder only one replaces it. Nothing is given back: what the former holder starts is refused from here on.
#
# Exit 0: taken; token and lock are on disk. 4: the stored token, which is printed, is not SEEN any more. 2, 6: see
# prelude.sh; also 2 when TOKEN is not higher than SEEN.

main() {
    [ "$#" -eq 4 ] || complain 2 "usage: lock-replace TOKEN HOLDER_JSON OWNER SEEN"
    check_number "$1"
    check_owner "$3"
    check_number "$4"
    [ "$1" -gt "$4" ] || complain 2 "token $1 is not higher than $4"
    lock_folder
    stored=$(stored_token) || exit
    if [ "$stored" -ne "$4" ]; then
        echo "$stored"
        exit 4
    fi
    write_lock "$1" "$2" "$3"
}

main "$@" </dev/null
