# copy-read: prints the ids of the runs that this node keeps copies of, one a line.
# copy-read RUN NAME: prints the copy NAME (`journal` or `plan.json`) of the run RUN as it is; a journal's last line may be
# half, when it is just being written.
#
# Exit 0: printed. 4: there is no such copy. 2, 6: see prelude.sh.

main() {
    case $#,${2:-} in
    0,) ;;
    2,journal | 2,plan.json) check_name "$1" ;;
    *) complain 2 "usage: copy-read [RUN journal|plan.json]" ;;
    esac
    if [ "$#" -eq 2 ]; then
        [ -e "$root/copies/$1/$2" ] || exit 4
        cat "$root/copies/$1/$2" || complain 6 "cannot read $root/copies/$1/$2"
        return
    fi
    for copy in "$root"/copies/*/plan.json; do
        [ ! -e "$copy" ] || basename "${copy%/plan.json}"
    done
}

main "$@" </dev/null
