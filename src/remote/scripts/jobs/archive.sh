# Job: archives what going back by hand needs of this node, before anything on it is changed: /etc/kubernetes, the kubelet's
# and etcd's configuration in one tar, and a list of files, packages, holds and images beside it. It holds keys.
# Arguments: RUN  SERVICE(etcd's unit, - for none)  PATHS(comma list of further files, -)
# Exit: 0 it stands, since now or since an earlier try, which is never overwritten; 1 it could not be written, and nothing
# has its name.
files() {
    for path in etc/kubernetes \
        var/lib/kubelet/config.yaml var/lib/kubelet/instance-config.yaml var/lib/kubelet/kubeadm-flags.env \
        etc/default/kubelet etc/sysconfig/kubelet etc/systemd/system/kubelet.service etc/systemd/system/kubelet.service.d \
        usr/lib/systemd/system/kubelet.service usr/lib/systemd/system/kubelet.service.d; do
        echo "$path"
    done
    if [ "$service" != - ]; then
        for path in etc/default/etcd etc/etcd etc/etcd.conf \
            "etc/systemd/system/$service.service" "etc/systemd/system/$service.service.d" \
            "usr/lib/systemd/system/$service.service" "usr/lib/systemd/system/$service.service.d"; do
            echo "$path"
        done
    fi
    [ "$paths" = - ] || printf '%s\n' "$paths" | tr ',' '\n' | sed 's|^/*||'
}

list() {
    echo "# run $run, $(uname -n), $(date -u +%Y-%m-%dT%H:%M:%SZ)"
    echo '# files'
    tar -tvzf "$1" || return
    echo '# packages: state, name, version'
    # shellcheck disable=SC2016 # the ${…} are dpkg's
    dpkg-query -W -f='${db:Status-Abbrev} ${Package} ${Version}\n' || return
    echo '# held'
    apt-mark showhold || return
    # Nobody takes them away for us; the kubelet may, when it needs their room.
    echo '# images'
    crictl images 2>/dev/null || ctr -n k8s.io images ls -q 2>/dev/null || true
}

main() {
    set -uf
    umask 077
    run=$1 service=$2 paths=$3
    # Only tests look elsewhere.
    from=${WINDLASS_FROM:-/}
    dir=$WINDLASS_DIR/archives/$run
    if [ -e "$dir/node.tar.gz" ]; then
        echo "it stands since an earlier try"
        return 0
    fi
    mkdir -p "$dir" || return 1
    trap 'rm -f "$dir/node.tar.gz.new" "$dir/node.list.new"' EXIT
    set --
    for path in $(files | sort -u); do
        [ ! -e "$from/$path" ] || set -- "$@" "$path"
    done
    # A machine that is new to the cluster: what it has installed is all that there is to say of it.
    if [ "$#" -gt 0 ]; then set -- -- "$@"; else set -- -T /dev/null; fi
    # The list first: the tar's name says that both stand.
    tar -czf "$dir/node.tar.gz.new" --exclude=etc/kubernetes/tmp -C "$from" "$@" || return 1
    list "$dir/node.tar.gz.new" >"$dir/node.list.new" || return 1
    for name in node.list node.tar.gz; do
        { sync "$dir/$name.new" && mv "$dir/$name.new" "$dir/$name" && sync "$dir"; } || return 1
    done
    echo "$(grep -c '^-' "$dir/node.list") files, $(stat -c %s "$dir/node.tar.gz") bytes: $dir"
}
main "$@" </dev/null
