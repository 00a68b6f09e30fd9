# Job: puts the former programs of etcd back, and restarts the member on them. The way back of a step that failed.
# Arguments: RUN  GUARD  CLUSTER-VERSION(- for none)  PROGRAM(the path of etcd; the others are beside it)
#   GUARD and CLUSTER-VERSION as of restore-packages.
# Exit: 0 they are there; 1 they could not be put there; 75 the guard refused; 77 they were not kept.
main() {
    set -uf
    run=$1 guard=$2 cluster=$3 folder=${4%/*}
    kept=$WINDLASS_DIR/packages/$run/programs
    guard_restore || return
    if [ ! -e "$kept/whole" ]; then
        # Nothing is put in their place before they are kept.
        [ "$(systemctl show -p MainPID --value "$service")" = 0 ] || { echo "nothing was replaced"; return 0; }
        echo "they were not kept in $kept" >&2
        return 77
    fi
    for name in $PROGRAMS; do
        [ ! -e "$kept/$name" ] || cmp -s "$kept/$name" "$folder/$name" || put_program "$kept/$name" "$folder" "$name" || return 1
    done
    restart_if_old
}
main "$@" </dev/null
