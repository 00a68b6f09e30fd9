# Job: deletes what was set aside of this member's data in a run.
# Arguments: RUN  DATA-DIR  WAL-DIR(- for none of its own)
# Exit: 0 nothing of it is left; 1 it could not be deleted.
main() {
    set -u
    run=$1 data=$2 wal=$3
    [ -n "$run" ] || return 1
    for kept in "$data/member.before-$run" "$data/member.before-$run".*; do
        rm -rf "$kept" || return 1
    done
    [ "$wal" != - ] || return 0
    for kept in "$wal.before-$run" "$wal.before-$run".*; do
        rm -rf "$kept" || return 1
    done
}
main "$@" </dev/null
