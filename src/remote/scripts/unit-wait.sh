# unit-wait RUN UNIT SECONDS OFFSET: waits until the unit does not run any more, SECONDS at most, then prints what
# unit-status prints, `next N` (the OFFSET to go on with), `log`, and the log's bytes from OFFSET on: 64 KiB at most, so that
# an answer stays small; the rest is asked for with the next OFFSET.
#
# Exit 0: printed. 2, 6: see prelude.sh.

# Seconds since boot, which nobody sets back.
uptime_seconds() {
    read -r up _ </proc/uptime
    echo "${up%%.*}"
}

wait_for_end() {
    until_uptime=$(($(uptime_seconds) + $3))
    while look_surely "$1" "$2" && [ "$state" = running ] && [ "$(uptime_seconds)" -lt "$until_uptime" ]; do
        # The end shows first in `rc`, which costs nothing to look for; systemd is asked only between such rounds.
        for _ in 1 2 3 4 5 6 7 8; do
            [ ! -e "$1/rc" ] || break
            sleep 0.15
        done
    done
}

main() {
    [ "$#" -eq 4 ] || complain 2 "usage: unit-wait RUN UNIT SECONDS OFFSET"
    check_name "$1"
    check_name "$2"
    check_number "$3"
    check_number "$4"
    dir=$root/runs/$1/$2
    wait_for_end "$dir" "windlass-$1-$2.service" "$3"
    report "$dir"
    # Only up to the size just told: the log may have grown since.
    length=$((size - $4))
    [ "$length" -ge 0 ] || length=0
    [ "$length" -le 65536 ] || length=65536
    echo "next $(($4 + length))"
    echo log
    [ "$length" -eq 0 ] || tail -c "+$(($4 + 1))" "$dir/log" | head -c "$length"
}

main "$@" </dev/null
