# Job: lets this node's etcd run again, and starts it. It is not waited for: a member that is new is ready once a majority is.
# Arguments: RUN  SERVICE
# Exit: 0 it was asked to start; 1 it could not be.
main() {
    set -uf
    service=$2
    dir=${WINDLASS_FROM:-}/etc/systemd/system/$service.service.d
    rm -f "$dir/windlass-restore.conf" || return 1
    rmdir "$dir" 2>/dev/null || true
    systemctl daemon-reload || return 1
    systemctl reset-failed "$service" 2>/dev/null || true
    systemctl start --no-block "$service"
}
main "$@" </dev/null
