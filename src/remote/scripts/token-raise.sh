# token-raise TOKEN: stores TOKEN, so that no unit is started here under a lower one any more.
#
# Exit 0: it is on disk. 3: TOKEN is lower than the stored one, which is printed. 2, 6: see prelude.sh.

main() {
    [ "$#" -eq 1 ] || complain 2 "usage: token-raise TOKEN"
    check_number "$1"
    lock_folder
    raise_token "$1"
}

main "$@" </dev/null
