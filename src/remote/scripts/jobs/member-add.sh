# Job: adds a member to etcd's list, unless one with this peer URL is in it.
# Arguments: CA  CERT  KEY  URL(of a member)  NAME  PEER-URL  learner|voter
# Exit: 0 it is in the list; 1 etcd refused, or the list could not be had.
main() {
    set -uf
    speak_to "$1" "$2" "$3" "$4"
    name=$5 peer=$6 as=$7
    line_of 4 "$peer"
    case $? in
        0) return 0 ;;
        1) ;;
        *) return 1 ;;
    esac
    set -- "$name" --peer-urls="$peer"
    [ "$as" != learner ] || set -- "$@" --learner
    ask_etcd member add "$@"
    line_of 4 "$peer" >/dev/null || return 1
}
main "$@" </dev/null
