# etcd's programs on a control plane with a stacked member: kubeadm puts none there, and the member's own root has them.

# The root of this node's member, while it runs.
member_root() {
    pid=$(pgrep -o -x etcd) && [ -d "/proc/$pid/root/usr/local/bin" ] && echo "/proc/$pid/root"
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

