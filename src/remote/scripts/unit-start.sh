# unit-start TOKEN RUN UNIT JOBNAME ARGS…: starts a job as the transient unit windlass-RUN-UNIT.service, at most once.
#
# `started` is on disk before systemd is asked. The unit's output goes to `log` and its exit status to `rc`, so that both
# outlive the connection and a reboot.
#
# Exit 0: started. 3: TOKEN is lower than the stored one, which is printed. 4: this unit was started before. 5: systemd-run
# failed and nothing was started; its words are on stderr. 7: systemd-run failed, yet a unit of this name is loaded:
# look at it. 2, 6: see prelude.sh; nothing was started.

job_text() {
    cat <<'WINDLASS_JOB_TEXT_ENDS_HERE'
@JOB@
WINDLASS_JOB_TEXT_ENDS_HERE
}

# Runs the job and leaves its exit status. Arguments come from a file because systemd expands `$` in a command line; the
# output is redirected here because systemd before 240 knows no `append:`.
wrap_text() {
    cat <<'WINDLASS_WRAP_TEXT_ENDS_HERE'
umask 077
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME=/root
KUBECONFIG=/etc/kubernetes/admin.conf
dir=${0%/*}
WINDLASS_DIR=${dir%/runs/*}
# What a job of the run has fetched; behind everything that the machine has itself.
PATH=$PATH:${dir%/*}/tools
export LC_ALL PATH HOME KUBECONFIG WINDLASS_DIR
cd /
exec >>"$dir/log" 2>&1 </dev/null
# What the job makes is for others too, as if it were run by hand.
umask 022
. "$dir/args"
/bin/sh "$dir/job" "$@"
rc=$?
(umask 077 && echo "$rc" >"$dir/rc.new") && sync "$dir/rc.new" && mv "$dir/rc.new" "$dir/rc" && sync "$dir"
exit "$rc"
WINDLASS_WRAP_TEXT_ENDS_HERE
}

# The arguments as one `set --` of single-quoted words.
args_text() {
    printf 'set --'
    for word; do
        printf ' %s' "$(printf '%s\n' "$word" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/")"
    done
    printf '\n'
}

# Asks systemd for the unit $1 that runs the file $2, a job called $3. 9>&-: the flock is ours, not the unit's.
start_unit() {
    unit_name=$1 wrap=$2 job=$3
    set -- -p RemainAfterExit=yes
    # By default systemd from 243 on stops a whole unit, dpkg or kubeadm in the middle, when the kernel's memory killer
    # takes one child of it; older ones do not, and do not know the word.
    version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    [ "${version:-0}" -lt 243 ] || set -- "$@" -p OOMPolicy=continue
    # A throw-away etcd must not be felt by the living one, nor stay. What these words mean came with 232.
    if [ "$job" = prove-snapshot ] && [ "${version:-0}" -ge 232 ]; then
        set -- "$@" -p CPUWeight=10 -p IOWeight=10 -p MemoryMax=50% -p RuntimeMaxSec=3600
    fi
    systemd-run --quiet --unit="$unit_name" --description="Windlass: $unit_name" "$@" -- /bin/sh "$wrap" 2>&1 9>&-
}

main() {
    [ "$#" -ge 4 ] || complain 2 "usage: unit-start TOKEN RUN UNIT JOBNAME ARGS..."
    token=$1 run=$2 unit=$3 called=$4
    shift 4
    check_number "$token"
    check_name "$run"
    check_name "$unit"
    dir=$root/runs/$run/$unit
    name=windlass-$run-$unit.service

    lock_folder
    raise_token "$token"
    [ ! -e "$dir/started" ] || exit 4
    mkdir -p "$dir" || complain 6 "cannot make $dir"
    job_text | keep "$dir/job" || exit
    wrap_text | keep "$dir/wrap" || exit
    args_text "$@" | keep "$dir/args" || exit
    { cat /proc/sys/kernel/random/boot_id && date +%s; } | keep "$dir/started" || exit

    said=$(start_unit "$name" "$dir/wrap" "$called") && exit 0
    # It may have failed after systemd took the unit, when the answer was lost.
    [ "$(systemctl show -p LoadState "$name")" = LoadState=not-found ] || complain 7 "$said"
    rm -f "$dir/started"
    sync "$dir"
    complain 5 "$said"
}

main "$@" </dev/null
