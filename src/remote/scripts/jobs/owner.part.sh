# Part of the jobs that leave files for a service.

# Who runs the service $1: with their group, where they have an entry.
owner() {
    user=$(systemctl show -p User --value "$1") || return
    user=${user:-root}
    if group=$(id -g "$user" 2>/dev/null); then echo "$user:$group"; else echo "$user"; fi
}
