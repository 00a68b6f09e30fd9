# etcd's programs on a control plane with a stacked member: kubeadm puts none there, and the member's own root has them.

# The root of this node's member, while it runs: of the process that has the member's database open. Any process may be called
# etcd, and what is in its root would be run as root.
member_root() {
    data=$(sed -n -E "s/^ *- *[\"']?--data-dir=([^\"' ]*).*/\1/p" /etc/kubernetes/manifests/etcd.yaml 2>/dev/null | head -n 1)
    for pid in $(pgrep -x etcd); do
        held=$(find -L "/proc/$pid/fd" -maxdepth 1 -samefile "${data:-/var/lib/etcd}/member/snap/db" 2>/dev/null)
        if [ -n "$held" ] && [ -d "/proc/$pid/root/usr/local/bin" ]; then
            echo "/proc/$pid/root"
            return
        fi
    done
    return 1
}

# take_from ROOT FOLDER PROGRAM…: those that are there. A link would lead out of it.
take_from() {
    root=$1 folder=$2
    shift 2
    for program in "$@"; do
        found=$root/usr/local/bin/$program
        [ ! -f "$found" ] || [ -L "$found" ] || install -m 700 "$found" "$folder/$program" || return 1
    done
}

