# Job: stops this node's etcd for good, once it is no member any more, and sets its data aside: nothing is deleted.
# Arguments: CA  CERT  KEY  URL(of a member that stays)  ID(hexadecimal)  SERVICE(- for a stacked member)  DATA-DIR  RUN
# Exit: 0 it is stopped for good and its data are aside; 1 it could not be; 75 it is still a member: nothing was changed.
main() {
    set -uf
    speak_to "$1" "$2" "$3" "$4"
    id=$5 service=$6 data=$7 run=$8
    line_of 1 "$id"
    case $? in
        0)
            echo "refused: it is still a member" >&2
            return 75
            ;;
        1) ;;
        *) return 1 ;;
    esac
    if [ "$service" = - ]; then
        # It need not be there: somebody may have taken it away.
        places "$run"
        take_aside etcd && await_gone etcd || return 1
    else
        systemctl disable "$service" || return 1
        systemctl stop "$service" || return 1
    fi
    set_aside "$data/member" "$run"
}
main "$@" </dev/null
