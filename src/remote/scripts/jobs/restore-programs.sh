# Job: puts the former programs of etcd back, and restarts the member on them. The way back of a step that failed.
# Arguments: RUN  GUARD  CLUSTER-VERSION(- for none)  PROGRAM(the path of etcd; the others are beside it)
#   GUARD and CLUSTER-VERSION as of restore-packages.
# Exit: 0 they are there; 1 they could not be put there; 75 the guard refused; 77 they were not kept, as nothing was replaced
# before that.
main() {
    set -uf
    run=$1 guard=$2 cluster=$3 program=$4 folder=${4%/*}
    kept=$WINDLASS_DIR/packages/$run/programs
    guard_restore || return
    if [ ! -e "$kept/whole" ]; then
        echo "they were not kept in $kept" >&2
        return 77
    fi
    trap forget_beside EXIT
    trap 'exit 143' HUP INT TERM
    for name in $PROGRAMS; do
        [ -e "$kept/$name" ] || continue
        cmp -s "$kept/$name" "$folder/$name" || put_beside "$kept/$name" "$name" || return 1
    done
    guard_restore || return
    put_in_place || return 1
    # What was not there came with the archive.
    for name in $PROGRAMS; do
        [ -e "$kept/$name" ] || rm -f "$folder/$name" || return 1
    done
    restart_on "$program"
}
main "$@" </dev/null
