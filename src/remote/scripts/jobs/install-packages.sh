# Job: installs packages at a version. Their holds are lifted for this and put back, also after a failure.
# Arguments: GUARD  HOLDS(comma list, - for none)  NAME=VERSION…
#   GUARD: - for none, or etcd;SERVICE;CA;CERT;KEY;OWN-URL;OTHER-URLS(comma list, -): refuses, before anything is touched,
#   while this member leads or another one is not healthy; and restarts the service if its package did not.
# Exit: 0 done; 75 the guard refused; 76 the installation would touch a package that is not named; else apt-get's.

# Packages of a cluster that are never changed unless they are named.
PROTECTED="kubeadm kubelet kubectl etcd-server etcd-client etcd containerd containerd.io docker-ce docker.io cri-o runc"

guard_etcd() {
    # shellcheck disable=SC2086 # split into words on purpose
    IFS=';' && set -f && set -- $1 && set +f && unset IFS
    service=$2 own=$6 others=$7
    export ETCDCTL_API=3 ETCDCTL_CACERT="$3" ETCDCTL_CERT="$4" ETCDCTL_KEY="$5"
    [ "$others" = - ] && return 0
    # A member that does not answer at all leads nothing.
    if status=$(etcdctl --endpoints="$own" --command-timeout=5s endpoint status 2>/dev/null); then
        case $(printf '%s' "$status" | cut -d, -f5 | tr -d ' ') in
            true) echo "refused: this member leads etcd" >&2; return 75 ;;
        esac
    fi
    if ! etcdctl --endpoints="$others" --command-timeout=5s endpoint health; then
        echo "refused: another member of etcd is not healthy" >&2
        return 75
    fi
}

guard_others() {
    # What apt would install or remove besides what is named.
    plan=$(apt-get install -s -y --allow-change-held-packages --no-install-recommends -- "$@") || return
    for package in $PROTECTED; do
        named=no
        for spec in "$@"; do
            [ "${spec%%=*}" = "$package" ] && named=yes
        done
        if [ "$named" = no ] && printf '%s\n' "$plan" | grep -Eq "^(Inst|Remv) $package "; then
            echo "refused: this would also change $package" >&2
            return 76
        fi
    done
    if printf '%s\n' "$plan" | grep -q '^Remv '; then
        echo "refused: this would remove packages:" >&2
        printf '%s\n' "$plan" | grep '^Remv ' >&2
        return 76
    fi
}

main() {
    set -u
    guard=$1 holds=$2
    shift 2
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    case $guard in
        etcd\;*) guard_etcd "$guard" || return ;;
    esac
    if [ -n "$(dpkg --audit 2>/dev/null)" ]; then
        echo "dpkg was interrupted: finishing what it began"
        dpkg --force-confold --configure -a || return
    fi
    guard_others "$@" || return
    if [ "$holds" != - ]; then
        names=$(printf '%s' "$holds" | tr ',' ' ')
        # shellcheck disable=SC2064,SC2086 # the names as they are now, as words
        trap "apt-mark hold $names" EXIT
        # shellcheck disable=SC2086
        apt-mark unhold $names || return
    fi
    apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -- "$@" || return
    case $guard in
        etcd\;*)
            pid=$(systemctl show -p MainPID --value "$service")
            case $(readlink "/proc/$pid/exe" 2>/dev/null) in
                '' | *'(deleted)') systemctl restart "$service" || return ;;
            esac
            ;;
    esac
}
main "$@" </dev/null
