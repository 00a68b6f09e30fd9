# forget-data TOKEN RUN DATA-DIR WAL-DIR(- for none of its own): deletes what a restore has set aside of this member's data.
# Prints `data N`: the bytes that it took.
#
# Exit 0: nothing of it is left. 3: TOKEN is lower than the stored one, which is printed. 2, 6: see prelude.sh.

check_dir() {
    case $1 in
    /*/* | /?*) ;;
    *) complain 2 "not a path: $1" ;;
    esac
}

main() {
    [ "$#" -eq 4 ] || complain 2 "usage: forget-data TOKEN RUN DATA-DIR WAL-DIR"
    check_number "$1"
    check_name "$2"
    check_dir "$3"
    [ "$4" = - ] || check_dir "$4"
    lock_folder
    raise_token "$1"
    set -- "$3/member.before-$2" "$3/member.before-$2".* "$4.before-$2" "$4.before-$2".*
    bytes=0
    for kept in "$@"; do
        [ -d "$kept" ] || continue
        bytes=$((bytes + $(du -s -B1 "$kept" | cut -f 1)))
        rm -rf "$kept" || complain 6 "cannot remove $kept"
    done
    echo "data $bytes"
}

main "$@" </dev/null
