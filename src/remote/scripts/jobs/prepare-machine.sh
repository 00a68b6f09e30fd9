# Job: makes a machine fit for Kubernetes: what kubeadm and the container runtime ask of the kernel, now and after every boot.
# Arguments: off|as-it-is (swap)
# Exit: 0 it is so; 1 something could not be had.
MODULES="overlay br_netfilter"
SETTINGS="net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables"

# write FILE: stdin, whole and on disk, or not at all.
write() {
    { mkdir -p "${1%/*}" && cat >"$1.windlass" && sync "$1.windlass" && mv "$1.windlass" "$1" && sync "${1%/*}"; } || {
        echo "$1 could not be written" >&2
        return 1
    }
}

# A module may be part of the kernel itself.
is_there() {
    case $1 in
        overlay) grep -q -w overlay /proc/filesystems ;;
        br_netfilter) [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] ;;
    esac
}

load() {
    for module in $MODULES; do printf '%s\n' "$module"; done | write /etc/modules-load.d/windlass.conf || return 1
    for module in $MODULES; do
        is_there "$module" || modprobe "$module"
        is_there "$module" || {
            echo "this kernel has no $module" >&2
            return 1
        }
    done
}

set_kernel() {
    for setting in $SETTINGS; do printf '%s = 1\n' "$setting"; done | write /etc/sysctl.d/99-zz-windlass.conf || return 1
    for setting in $SETTINGS; do
        path=/proc/sys/$(printf %s "$setting" | tr . /)
        [ "$(cat "$path")" = 1 ] || echo 1 >"$path"
        [ "$(cat "$path")" = 1 ] || {
            echo "$setting could not be set to 1" >&2
            return 1
        }
    done
}

# The kubelet does not start while there is any.
switch_swap_off() {
    if grep -q -E '^[^#[:space:]]+[[:space:]]+[^[:space:]]+[[:space:]]+swap[[:space:]]' /etc/fstab 2>/dev/null; then
        cp -p /etc/fstab /etc/fstab.windlass || return 1
        sed -E 's/^([^#[:space:]]+[[:space:]]+[^[:space:]]+[[:space:]]+swap[[:space:]])/# by windlass: \1/' /etc/fstab >/etc/fstab.windlass &&
            sync /etc/fstab.windlass && mv /etc/fstab.windlass /etc/fstab || return 1
    fi
    swapoff -a
}

main() {
    set -u
    load && set_kernel || return 1
    [ "$1" != off ] || switch_swap_off
}
main "$@" </dev/null
