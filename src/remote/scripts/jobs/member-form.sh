# Job: makes this machine's etcd a member of a cluster that begins: what its package has started is stopped and set aside, its
# environment file is written, its service enabled and started. It is not waited for: a member answers when most of them do.
# Arguments: SERVICE  FILE  DATA-DIR  RUN  ETCD_…=VALUE…
# Exit: 0 it was started; 1 it was not, or it ended at once, and then its last words are in the log; 75 refused: its file makes it
# a member of another cluster, and nothing was changed.

# A disk of its own that is mounted there is root's, whoever the package has made.
make_room() {
    owner=$(owner "$service") || return 1
    mkdir -p "$data" && chown "$owner" "${data%/*}" "$data" && chmod 0700 "$data"
}

# A member that a run of Windlass has made, this one's or another, is never made anew; nor one that its file calls a member of a
# cluster that exists, or of one with others.
is_anothers() {
    grep -q -E -e '^# Written by windlass in run ' -e '^ETCD_INITIAL_CLUSTER_STATE="?existing' -e '^ETCD_INITIAL_CLUSTER="?[^"]*,' \
        "$file" 2>/dev/null
}

main() {
    set -uf
    service=$1 file=$2 data=$3 run=$4
    shift 4
    mark="# Written by windlass in run $run."
    # Once the file is ours, the data are of this member.
    if ! is_ours "$file"; then
        if is_anothers; then
            echo "refused: $file makes it a member of a cluster already" >&2
            return 75
        fi
        systemctl stop "$service" || return 1
        set_aside "$data/member" "$run" || return 1
        write_file "$file" "$@" || return 1
    fi
    make_room || return 1
    systemctl enable "$service" && systemctl start --no-block "$service" || return 1
    # What is wrong with its settings shows at once.
    sleep 2
    ! systemctl is-failed --quiet "$service" || {
        journalctl -u "$service" -n 10 -o cat --no-pager
        return 1
    }
}
main "$@" </dev/null
