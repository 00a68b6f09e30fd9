# Job: makes this node's etcd the member that was added for it: data of an earlier life are set aside, its environment file is
# written, its service enabled and started.
# Arguments: CA  CERT  KEY  URL(of a voting member)  PEER-URL(of this one)  SERVICE  FILE  DATA-DIR  RUN  ETCD_…=VALUE…
# Exit: 0 it runs; 1 it does not; 75 no member was added for it: nothing was changed.
main() {
    set -uf
    speak_to "$1" "$2" "$3" "$4"
    peer=$5 service=$6 file=$7 data=$8 run=$9
    shift 9
    line_of 4 "$peer"
    case $? in
        0) ;;
        1)
            echo "refused: no member was added with $peer" >&2
            return 75
            ;;
        *) return 1 ;;
    esac
    mark="# Written by windlass in run $run."
    # Once the file is ours, the data are of this member: without them it could not go on under the same id.
    if ! is_ours "$file"; then
        systemctl stop "$service" || return 1
        set_aside "$data/member" "$run" || return 1
        write_file "$file" "$@" || return 1
    fi
    systemctl enable "$service" || return 1
    systemctl start "$service"
}
main "$@" </dev/null
