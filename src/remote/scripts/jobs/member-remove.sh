# Job: removes a member from etcd's list.
# Arguments: CA  CERT  KEY  URL(of a member that stays)  ID(hexadecimal)
# Exit: 0 it is not in the list (any more); 1 etcd refused, or the list could not be had.
main() {
    set -uf
    speak_to "$1" "$2" "$3" "$4"
    line_of 1 "$5"
    case $? in
        0) ;;
        1) return 0 ;;
        *) return 1 ;;
    esac
    # Its answer may be lost; the list tells.
    ask_etcd member remove "$5"
    line_of 1 "$5" >/dev/null
    [ "$?" -eq 1 ]
}
main "$@" </dev/null
