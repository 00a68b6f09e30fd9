# copy-append TOKEN RUN NAME OFFSET TEXT: makes TEXT the bytes from OFFSET on of the copy NAME (`journal` or `plan.json`)
# that this node keeps of the run RUN, below copies/RUN, 0600. Sent twice it changes nothing, and a half that an earlier
# try left is completed. Where the copy has other bytes there, it is another history of the run: it is set aside as
# NAME.before-TOKEN, and the copy goes on with TEXT.
#
# Exit 0: it is on disk. 3: TOKEN is lower than the stored one, which is printed. 9: the copy ends before OFFSET; its size is
# printed, and nothing was changed. 2, 6: see prelude.sh.

# The same beginning: as many bytes as the shorter of the two files has.
begins_alike() {
    one=$(stat -c %s "$1") && other=$(stat -c %s "$2") || return 1
    [ "$one" -le "$other" ] || one=$other
    [ "$one" -eq 0 ] || cmp -s -n "$one" "$1" "$2"
}

append() {
    have=0
    [ ! -e "$1" ] || have=$(stat -c %s "$1") || complain 6 "cannot read $1"
    if [ "$have" -lt "$2" ]; then
        echo "$have"
        exit 9
    fi
    { : >>"$1" && printf %s "$3" >"$1.text" && tail -c "+$(($2 + 1))" "$1" >"$1.tail"; } || complain 6 "cannot write $1"
    if begins_alike "$1.text" "$1.tail"; then
        kept=$((have - $2))
        { tail -c "+$((kept + 1))" "$1.text" >>"$1" && sync "$1"; } || complain 6 "cannot write $1"
    else
        [ -e "$1.before-$4" ] || cp "$1" "$1.before-$4" || complain 6 "cannot set $1 aside"
        { head -c "$2" "$1" && printf %s "$3"; } | keep "$1" || exit
    fi
}

main() {
    [ "$#" -eq 5 ] || complain 2 "usage: copy-append TOKEN RUN NAME OFFSET TEXT"
    check_number "$1"
    check_name "$2"
    check_number "$4"
    case $3 in
    journal | plan.json) ;;
    *) complain 2 "no copy of this name: $3" ;;
    esac
    lock_folder
    raise_token "$1"
    copies=$root/copies/$2
    mkdir -p "$copies" || complain 6 "cannot make $copies"
    append "$copies/$3" "$4" "$5" "$1"
    rm -f "$copies/$3.text" "$copies/$3.tail"
    # A new file's name, too, has to survive a power loss.
    [ "$have" -ne 0 ] || sync "$copies" "$root/copies" || complain 6 "cannot sync $copies"
}

main "$@" </dev/null
