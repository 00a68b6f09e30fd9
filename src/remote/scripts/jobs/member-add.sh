# Job: adds a member to etcd's list, unless one with this peer URL is in it.
# Arguments: CA  CERT  KEY  URL(of a member)  NAME  PEER-URL  learner|voter
# Exit: 0 it is in the list; 1 etcd refused, or the list could not be had.
main() {
    set -uf
    speak_to "$1" "$2" "$3" "$4"
    name=$5 peer=$6 as=$7
    set -- "$name" --peer-urls="$peer"
    [ "$as" != learner ] || set -- "$@" --learner
    change_until yes 4 "$peer" member add "$@"
}
main "$@" </dev/null
