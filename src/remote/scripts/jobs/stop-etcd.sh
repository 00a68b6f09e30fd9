# Job: stops this node's etcd, and keeps it from being started by anything: not by hand, not by its package, not by a reboot.
# A unit that lies in /etc/systemd/system cannot be masked; a condition that never holds serves every unit alike, and the
# unit's own words (its user, its files) can still be read.
# Arguments: RUN  SERVICE
# Exit: 0 it does not run; 1 it could not be stopped.
main() {
    set -uf
    run=$1 service=$2
    dir=${WINDLASS_FROM:-}/etc/systemd/system/$service.service.d
    mkdir -p "$dir" || return 1
    {
        echo "# Written by windlass in run $run, which restores etcd, and taken away when its data are in their place."
        echo '[Unit]'
        echo 'ConditionPathExists=!/'
    } >"$dir/windlass-restore.conf.new" || return 1
    { sync "$dir/windlass-restore.conf.new" && mv "$dir/windlass-restore.conf.new" "$dir/windlass-restore.conf" && sync "$dir"; } || return 1
    systemctl daemon-reload || return 1
    systemctl stop "$service" || return 1
    [ "$(systemctl show -p MainPID --value "$service")" = 0 ]
}
main "$@" </dev/null
