# Part of the jobs that put programs of etcd, which no package manager knows, in the place of others.

# What an archive of etcd has. etcdutl came with 3.5.
PROGRAMS="etcd etcdctl etcdutl"

# put_program FILE FOLDER NAME: whole or not at all; who has the old one open keeps it.
put_program() {
    new=$2/.$3.windlass
    cp "$1" "$new" && chown 0:0 "$new" && chmod 755 "$new" || return 1
    ! command -v restorecon >/dev/null || restorecon "$new" || return 1
    sync "$new" && mv -f "$new" "$2/$3" && sync "$2"
}

# version_of PROGRAM: as etcd's programs tell it.
version_of() { "$1" --version 2>/dev/null | sed -n 's/^etcd Version: //p'; }
