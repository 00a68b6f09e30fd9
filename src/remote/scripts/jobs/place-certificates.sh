# Job: puts certificates and keys that were sent in their places: a key is for the service's own user alone, or for whose the
# one was that it replaces; a certificate is root's, and may be read by anybody.
# Arguments: SENT(a file below Windlass's folder)  SERVICE  FILE…(of each part, in order)
# Exit: 0 they are in their places, since now or since an earlier try; 1 they are not, or not all; 75 refused, nothing was
# changed: not what was announced was sent.
refuse() {
    echo "refused: $*" >&2
    return 75
}

main() {
    set -uf
    sent=$WINDLASS_DIR/$1 service=$2
    shift 2
    if [ -e "$sent.placed" ]; then
        echo "they are in their places since an earlier try"
        rm -f "$sent"
        return
    fi
    all_sent "$#" || refuse "not $# parts were sent" || return
    owner=$(owner "$service") || return 1
    write_all "$@" || return 1
    each put "$@" || return 1
    # The keys are where they are used, and nowhere else.
    { note_placed && rm -f "$sent"; } || return 1
}
main "$@" </dev/null
