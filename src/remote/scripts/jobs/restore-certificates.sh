# Job: puts the certificates and keys back that were there before renewed ones took their places. Those go back to where they
# waited, for another try.
# Arguments: SENT(a file below Windlass's folder)  FILE…(as they were renewed)
# Exit: 0 the former ones are in their places; 1 they are not, or not all.

gather() {
    { echo "--- $1" && cat "$2"; } >>"$sent.new"
}

back() {
    [ -e "$kept/$1" ] || return 0
    rm -f "$2.windlass" && cp -p "$kept/$1" "$2.windlass" && sync "$2.windlass" && put "$1" "$2"
}

main() {
    set -uf
    umask 077
    sent=$WINDLASS_DIR/$1
    shift
    kept=${sent%/*}/former
    if [ -e "$sent.placed" ] && [ ! -e "$sent" ]; then
        rm -f "$sent.new"
        { each gather "$@" && sync "$sent.new" && mv "$sent.new" "$sent"; } || return 1
    fi
    rm -f "$sent.placed" && each back "$@" && each drop "$@"
}
main "$@" </dev/null
