# Part of the jobs that change the program of a service, whose guard is known.

# restart_if_old: unless the service runs on what is there now; its package may have restarted it.
restart_if_old() {
    pid=$(systemctl show -p MainPID --value "$service")
    case $(readlink "/proc/$pid/exe" 2>/dev/null) in
        '') ;;
        *'(deleted)') guard_etcd "$guard" || return ;;
        *) return 0 ;;
    esac
    restart
}

# One that failed again and again is not started by systemd for a while; this start is meant.
restart() {
    systemctl reset-failed "$service" 2>/dev/null
    systemctl restart "$service"
}

