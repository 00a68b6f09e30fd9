# Part of the jobs that put programs of etcd, which no package manager knows, in the place of others.

# What an archive of etcd has; etcdutl came with 3.5. etcd last: who sees the new one has the others, too.
PROGRAMS="etcdctl etcdutl etcd"

# The process of etcd that the service runs, which may be a child of what its unit starts; nothing when none runs.
process() {
    pid=$(systemctl show -p MainPID --value "$service")
    [ "${pid:-0}" != 0 ] || return 0
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = etcd ] || pid=$(pgrep -o -P "$pid" -x etcd || echo "$pid")
    echo "$pid"
}

# Refuses where the service runs etcd from another place: it would not start on what is put here.
runs_from() {
    pid=$(process)
    [ -n "$pid" ] || return 0
    [ "/proc/$pid/exe" -ef "$1" ] || refuse "$service runs $(readlink "/proc/$pid/exe" || echo another program), not $1"
}

# Unless the service runs on this very file.
restart_on() {
    pid=$(process)
    if [ -n "$pid" ]; then
        [ ! "/proc/$pid/exe" -ef "$1" ] || return 0
        guard_etcd "$guard" || return
    fi
    restart
}

# Beside its place: a name in the same folder.
beside() { printf '%s/.%s.windlass' "$folder" "$1"; }

# put_beside FILE NAME: all that takes room, and may fail for want of it, while what runs is still in its place.
put_beside() {
    new=$(beside "$2")
    rm -f "$new"
    cp "$1" "$new" && chown 0:0 "$new" && chmod 755 "$new" || return 1
    ! command -v restorecon >/dev/null || restorecon "$new" || return 1
    sync "$new"
}

# Each of them whole or not at all; who has the former one open keeps it.
put_in_place() {
    for name in $PROGRAMS; do
        [ ! -e "$(beside "$name")" ] || mv -f "$(beside "$name")" "$folder/$name" || return 1
    done
    sync "$folder"
}

forget_beside() { for name in $PROGRAMS; do rm -f "$(beside "$name")"; done; }

# version_of PROGRAM: as etcd's programs tell it. One that cannot start may hang as well.
version_of() { timeout 20 "$1" --version 2>/dev/null | sed -n 's/^etcd Version: //p'; }
