# Stands in for systemctl on a machine of the loopback cluster: the service etcd, whose process is in $NODE_DIR/etcd.pid, and
# the units that the other script started.
set -u

# A process that has ended may stay for a while, until somebody asks how.
alive() {
    [ -s "$NODE_DIR/etcd.pid" ] || return 1
    state=$(sed 's/.*) //; s/ .*//' "/proc/$(cat "$NODE_DIR/etcd.pid")/stat" 2>/dev/null)
    case $state in '' | Z | X) return 1 ;; esac
}

start() {
    alive && return 0
    # In a shell of its own, so that nothing but the file's settings is etcd's.
    (
        exec >>"$NODE_DIR/etcd.log" 2>&1 </dev/null 9>&-
        set -a
        . "$NODE_DIR/etc/etcd.env"
        exec setsid etcd
    ) &
    echo "$!" >"$NODE_DIR/etcd.pid"
}

stop() {
    alive || return 0
    kill -"$1" "$(cat "$NODE_DIR/etcd.pid")"
    while alive; do sleep 0.05; done
}

show() {
    for unit; do :; done
    case $unit:$* in
    etcd:*LoadState*) echo loaded ;;
    etcd:*User*) echo root ;;
    etcd:*MainPID*) if alive; then cat "$NODE_DIR/etcd.pid"; else echo 0; fi ;;
    windlass-*)
        if [ -e "$NODE_DIR/units/$unit" ]; then
            printf 'LoadState=loaded\nActiveState=active\nSubState=running\nExecMainCode=0\nExecMainStatus=0\n'
        else
            echo LoadState=not-found
        fi
        ;;
    *:*MainPID*) echo 0 ;;
    *) echo not-found ;;
    esac
}

echo "$*" >>"$NODE_DIR/systemctl.calls"
case $1 in
--version) echo 'systemd 252 (252.39-1~deb12u1)' ;;
show) show "$@" ;;
is-active) alive ;;
start) start ;;
stop) case $2 in windlass-*) ;; *) stop TERM ;; esac ;;
kill) stop KILL ;;
enable | disable) ;;
*)
    echo "no such command here: $*" >&2
    exit 1
    ;;
esac
