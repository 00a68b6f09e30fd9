# Job: lets a learner vote, once it has caught up with the leader.
# Arguments: CA  CERT  KEY  URL(of a voting member)  PEER-URL(of the learner)
# Exit: 0 it votes; 1 it is not in the list, or etcd refused for a minute.
main() {
    set -uf
    speak_to "$1" "$2" "$3" "$4"
    asked=0
    while [ "$asked" -lt 60 ]; do
        line=$(line_of 4 "$5") || return 1
        case $line in *', true') ;; *) return 0 ;; esac
        ask_etcd member promote "${line%%,*}" && return 0
        asked=$((asked + 1))
        sleep 1
    done
    return 1
}
main "$@" </dev/null
