# Shared by unit-status and unit-wait; put after the prelude.

# Sets `state` (never, running, exited, gone) and `rc` of the unit $2 (a systemd name) whose folder is $1.
# gone: it was started, and neither its exit status nor systemd's memory of it is left, as after a reboot.
look() {
    state=never rc=
    [ -e "$1/started" ] || return 0
    ended "$1" && return
    shown=$(systemctl show -p LoadState -p ActiveState -p SubState -p ExecMainCode -p ExecMainStatus "$2") ||
        complain 6 "systemd does not answer"
    # It may have ended while systemd was asked.
    ended "$1" && return
    case $shown in
    *LoadState=not-found*) state=gone ;;
    *ActiveState=failed* | *SubState=exited* | *SubState=dead*)
        # The wrapper could not leave the status (a full disk): systemd's own word. Code 1 is an exit, others a signal.
        state=exited
        rc=$(printf '%s\n' "$shown" | sed -n 's/^ExecMainStatus=//p')
        case $shown in
        *ExecMainCode=1*) ;;
        *) rc=$((128 + rc)) ;;
        esac
        ;;
    *) state=running ;;
    esac
}

ended() {
    [ -e "$1/rc" ] || return 1
    read -r rc <"$1/rc" || complain 6 "cannot read $1/rc"
    state=exited
}

# As `look`, but sure of `gone`: a unit-start that is between `started` and systemd holds the flock.
look_surely() {
    look "$1" "$2"
    [ "$state" = gone ] || return 0
    lock_folder
    look "$1" "$2"
    exec 9>&-
}

# Prints the header: state, rc when it is known, size of the log in bytes. Sets `size`.
report() {
    echo "state $state"
    [ -z "$rc" ] || echo "rc $rc"
    size=0
    [ ! -e "$1/log" ] || size=$(stat -c %s "$1/log")
    echo "size $size"
}
