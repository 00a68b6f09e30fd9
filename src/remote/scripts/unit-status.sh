# unit-status RUN UNIT: prints `state never|running|exited|gone`, `rc N` when it ended, `size N` (bytes of its log).
#
# Exit 0: printed. 2, 6: see prelude.sh.

main() {
    [ "$#" -eq 2 ] || complain 2 "usage: unit-status RUN UNIT"
    check_name "$1"
    check_name "$2"
    dir=$root/runs/$1/$2
    look_surely "$dir" "windlass-$1-$2.service"
    report "$dir"
}

main "$@" </dev/null
