# Job: makes this machine leave its cluster: its static pods end, its kubelet is stopped, every container of Kubernetes ends, and
# kubeconfigs, certificates and keys are deleted, as kubeadm reset does; the run's archive has it until the run is
# finished. A member of etcd has left before. Packages, containerd with its images, the kernel's settings, CNI's configuration and
# rules of iptables stay.
# Arguments: AUTHORITY(SHA-256 of the certificate of the cluster's authority, hex)  MACHINE(its id)  RUN
# Exit: 0 it has left, since now or since an earlier try; 1 not wholly; 75 refused: it is of another cluster, or is another machine,
# or has a member of etcd: nothing was changed.
refuse() {
    echo "refused: $*" >&2
    return 75
}

# digest_of FILE: of its first certificate.
digest_of() {
    awk '/-----BEGIN CERTIFICATE-----/ { inside = 1; next } /-----END CERTIFICATE-----/ { exit } inside' "$1" | base64 -d | sha256sum | sed 's/ .*//'
}

belongs() {
    [ "$(cat "${WINDLASS_FROM:-}/etc/machine-id")" = "$machine" ] || refuse "this is another machine than the one that was planned for" || return
    [ -s "$from/pki/ca.crt" ] || refuse "$from/pki/ca.crt is not here: nobody knows whose machine this is" || return
    [ "$(digest_of "$from/pki/ca.crt")" = "$authority" ] || refuse "this machine belongs to another cluster" || return
    [ ! -e "$from/manifests/etcd.yaml" ] || refuse "a member of etcd is still here" || return
}

# The same of a machine that an earlier try of this run has begun with: what is not there any more was deleted by it.
still_belongs() {
    [ "$(cat "${WINDLASS_FROM:-}/etc/machine-id")" = "$machine" ] || refuse "this is another machine than the one that was planned for" || return
    [ ! -e "$from/pki/ca.crt" ] || [ "$(digest_of "$from/pki/ca.crt")" = "$authority" ] || refuse "this machine belongs to another cluster by now" || return
    [ ! -e "$from/manifests/etcd.yaml" ] || refuse "a member of etcd is here" || return
}

# Sandboxes too: nobody would end them with the kubelet gone.
pids() {
    tasks=${WINDLASS_FROM:-}/run/containerd/io.containerd.runtime.v2.task/k8s.io
    find "$tasks" -mindepth 2 -maxdepth 2 -name init.pid -exec cat {} \; -exec echo \; 2>/dev/null | while read -r pid; do
        [ -z "$pid" ] || [ ! -d "/proc/$pid" ] || echo "$pid"
    done
}

end_containers() {
    left=30
    signal=TERM
    while running=$(pids) && [ -n "$running" ]; do
        [ "$left" -gt 0 ] || signal=KILL
        if [ "$left" -lt -10 ]; then
            echo "containers do not end: $(printf '%s' "$running" | tr '\n' ' ')" >&2
            return 1
        fi
        # Asked once, and then made to.
        # shellcheck disable=SC2086 # words on purpose
        case $left in
            [1-9] | [12]?) ;;
            *) kill -s "$signal" $running 2>/dev/null ;;
        esac
        left=$((left - 1))
        sleep 1
    done
}

# Secrets and tokens of pods are in memory.
unmount_volumes() {
    awk '$2 ~ "^/var/lib/kubelet/" { print $2 }' /proc/mounts | sort -r | while read -r path; do
        umount "$path" 2>/dev/null || umount -l "$path" || exit 1
    done
}

main() {
    set -uf
    authority=$1 machine=$2 run=$3
    places "$run"
    kubelet=${WINDLASS_FROM:-}/var/lib/kubelet etcd=${WINDLASS_FROM:-}/var/lib/etcd
    began=$WINDLASS_DIR/leaving/$run
    if [ -e "$began" ]; then
        still_belongs || return
    else
        belongs || return
        (umask 077 && mkdir -p "${began%/*}" && : >"$began" && sync "$began" "${began%/*}") || return 1
    fi
    # A worker that has none may have no folder for them.
    if [ -d "$from/manifests" ]; then
        take_aside kube-apiserver kube-controller-manager kube-scheduler || return 1
        await_gone kube-apiserver kube-controller-manager kube-scheduler || return 1
    fi
    systemctl stop kubelet || return 1
    end_containers || return 1
    [ -n "${WINDLASS_FROM:-}" ] || unmount_volumes || return 1
    find "$from" -mindepth 1 -maxdepth 1 -name '*.conf' -exec rm -f {} + || return 1
    rm -rf "$from/pki" "$aside" "$kubelet/pki" || return 1
    rm -f "$kubelet/config.yaml" "$kubelet/kubeadm-flags.env" || return 1
    # kubeadm wants the place of a new member's data to be empty.
    [ ! -d "$etcd" ] || [ -z "$(find "$etcd" -mindepth 1 -maxdepth 1 -name "member.before-$run*")" ] || set_aside "$etcd" "$run" ||
        echo "$etcd could not be set aside: empty it before this machine becomes a control plane again"
    echo "it has left; packages, images, CNI's configuration and rules of iptables stay, and data in $kubelet/pods"
}
main "$@" </dev/null
