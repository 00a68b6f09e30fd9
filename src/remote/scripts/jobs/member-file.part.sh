# Part of the jobs that make a machine's etcd a member: its environment file.

# Whether the file $1 is this run's.
is_ours() { grep -q -x -F "$mark" "$1" 2>/dev/null; }

# write_file FILE ETCD_…=VALUE…: values are words without quotes, which is checked where the plan is read; @RUN@ in them is $run.
write_file() {
    file=$1
    shift
    {
        {
            echo "$mark"
            for setting in "$@"; do printf '%s="%s"\n' "${setting%%=*}" "${setting#*=}"; done | sed "s/@RUN@/$run/"
        } >"$file.windlass" && sync "$file.windlass" && mv "$file.windlass" "$file" && sync "${file%/*}"
    } || return 1
}
