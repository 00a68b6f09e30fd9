# put-file TOKEN NAME SHA256 BYTES: stdin becomes the file NAME below Windlass's folder, 0600, when it has this size and
# hash. This script travels as an argument, since stdin is the file: no `</dev/null`.
#
# Exit 0: it is on disk. 3: TOKEN is lower than the stored one, which is printed. 8: stdin was not what was announced;
# nothing was changed. 2, 6: see prelude.sh.

check_path() {
    case $1 in
    '' | [!a-z0-9]* | *[!a-z0-9./-]* | *..* | */ | *//* | */.*) complain 2 "not a file name: $1" ;;
    token | lock | lock.owner | runs/*) complain 2 "not a file to put: $1" ;;
    esac
}

main() {
    [ "$#" -eq 4 ] || complain 2 "usage: put-file TOKEN NAME SHA256 BYTES <FILE"
    check_number "$1"
    check_path "$2"
    check_number "$4"
    target=$root/$2
    mkdir -p "${target%/*}" || complain 6 "cannot make ${target%/*}"
    part=$(mktemp "${target%/*}/.put-XXXXXX") || complain 6 "cannot write beside $target"
    trap 'rm -f "$part"' EXIT
    # Read before the flock is taken, since a slow line would hold up everybody else.
    cat >"$part" || complain 6 "cannot write $part"
    [ "$(stat -c %s "$part")" = "$4" ] || complain 8 "$(stat -c %s "$part") bytes came of $4"
    [ "$(sha256sum <"$part")" = "$3  -" ] || complain 8 "the file's SHA-256 is not $3"
    sync "$part" || complain 6 "cannot sync $part"
    lock_folder
    raise_token "$1"
    { mv "$part" "$target" && sync "${target%/*}"; } || complain 6 "cannot write $target"
}

main "$@"
