# Job: removes a member from etcd's list.
# Arguments: CA  CERT  KEY  URL(of a member that stays)  ID(hexadecimal)
# Exit: 0 it is not in the list (any more); 1 etcd refused, or the list could not be had.
main() {
    set -uf
    speak_to "$1" "$2" "$3" "$4"
    change_until no 1 "$5" member remove "$5"
}
main "$@" </dev/null
