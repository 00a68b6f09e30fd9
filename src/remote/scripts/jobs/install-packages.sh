# Job: installs packages at a version. Their holds are lifted for this and put back, also after a failure or a signal.
# Arguments: GUARD  HOLDS(comma list, - for none)  NAME=VERSION…
#   GUARD: - for none, or etcd;SERVICE;CA;CERT;KEY;OWN-URL;OTHER-URLS(comma list, -): refuses, before anything is touched and
#   again just before its member is stopped, unless all others are healthy and one of them leads; and restarts the service
#   if its package did not.
# Exit: 0 done; 75 the guard refused; 76 the installation would touch a package that is not named; else apt-get's.

# Packages of a cluster that are never changed unless they are named.
PROTECTED="kubeadm kubelet kubectl etcd-server etcd-client etcd containerd containerd.io docker-ce docker.io cri-o runc"

guard_etcd() {
    # shellcheck disable=SC2086 # split into words on purpose
    IFS=';' && set -- $1 && unset IFS
    [ "$#" -eq 7 ] || refuse "the guard has $# fields, not 7" || return
    service=$2 own=$6 others=$7
    export ETCDCTL_API=3 ETCDCTL_CACERT="$3" ETCDCTL_CERT="$4" ETCDCTL_KEY="$5"
    [ "$others" = - ] && return 0
    etcdctl --endpoints="$others" --command-timeout=5s endpoint health || refuse "another member of etcd is not healthy" || return
    # The others are asked who leads: a member that does not answer here may lead all the same.
    status=$(status_of "$others") || refuse "another member of etcd does not tell its status" || return
    ids=$(printf '%s' "$status" | values_of member_id)
    leader=$(printf '%s' "$status" | values_of leader | sort -u)
    [ "$(printf '%s\n' "$leader" | grep -c .)" -eq 1 ] || refuse "the other members of etcd do not agree on a leader" || return
    printf '%s\n' "$ids" | grep -q -x "$leader" || refuse "this member leads etcd" || return
    # Addresses that lead back to this member would tell of nobody else.
    if status=$(status_of "$own" 2>/dev/null) && printf '%s\n' "$ids" | grep -q -x "$(printf '%s' "$status" | values_of member_id)"; then
        refuse "the other members' addresses lead to this member" || return
    fi
}

refuse() {
    echo "refused: $*" >&2
    return 75
}

guard_others() {
    # What apt would install or remove besides what is named.
    plan=$(apt-get install -s -y --allow-change-held-packages --no-install-recommends -- "$@") || return
    # For the log: what comes along is not in the reviewed plan.
    printf '%s\n' "$plan" | grep '^Inst ' || echo "nothing is to be installed"
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

# The names as words; run by a trap, so that nothing of them is ever read as shell text.
put_holds_back() {
    # shellcheck disable=SC2086
    apt-mark hold -- $names
}

# etcd's packages are downloaded, and other users of dpkg waited for, before the guard looks again: what it saw has to be
# young when the member stops.
install_named() {
    wait=300
    if [ -n "$service" ]; then
        apt-get install -q -y --download-only --allow-change-held-packages --no-install-recommends \
            -o "DPkg::Lock::Timeout=$wait" -- "$@" || return
        guard_etcd "$guard" || return
        wait=10
    fi
    apt-get install -q -y --no-install-recommends -o "DPkg::Lock::Timeout=$wait" \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -- "$@"
}

# The package may have left its service alone.
restart_if_old() {
    pid=$(systemctl show -p MainPID --value "$service")
    case $(readlink "/proc/$pid/exe" 2>/dev/null) in
        '') ;;
        *'(deleted)') guard_etcd "$guard" || return ;;
        *) return 0 ;;
    esac
    systemctl restart "$service"
}

main() {
    # No file names are meant anywhere.
    set -uf
    guard=$1 holds=$2 service=
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
        # dash leaves the EXIT trap out when a signal ends it.
        trap 'exit 143' HUP INT TERM
        trap put_holds_back EXIT
        # shellcheck disable=SC2086
        apt-mark unhold -- $names || return
    fi
    install_named "$@" || return
    [ -z "$service" ] || restart_if_old
}
main "$@" </dev/null
