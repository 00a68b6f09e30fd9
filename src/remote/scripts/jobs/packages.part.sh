# Part of the jobs that change packages: what guards them, and what they leave behind as it was.

# Packages of a cluster that are never changed unless they are named.
PROTECTED="kubeadm kubelet kubectl etcd-server etcd-client etcd containerd containerd.io docker-ce docker.io cri-o runc"

# Sets service, own, others and etcdctl's environment from a guard's fields.
read_guard() {
    # shellcheck disable=SC2086 # split into words on purpose
    IFS=';' && set -- $1 && unset IFS
    [ "$#" -eq 7 ] || refuse "the guard has $# fields, not 7" || return
    service=$2 own=$6 others=$7
    export ETCDCTL_API=3 ETCDCTL_CACERT="$3" ETCDCTL_CERT="$4" ETCDCTL_KEY="$5"
}

guard_etcd() {
    read_guard "$1" || return
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

# Of packages called $packages, which apt is told of in the words "$@"; it may go down where $down says so.
guard_others() {
    # What apt would install or remove besides what is named.
    # shellcheck disable=SC2086 # one word or none
    plan=$(apt-get install -s -y $down --allow-change-held-packages --no-install-recommends -- "$@") || return
    # For the log: what comes along is not in the reviewed plan.
    printf '%s\n' "$plan" | grep '^Inst ' || echo "nothing is to be installed"
    for package in $PROTECTED; do
        case " $packages " in *" $package "*) continue ;; esac
        if printf '%s\n' "$plan" | grep -Eq "^(Inst|Remv) $package "; then
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

# The names of the packages NAME=VERSION…, as words.
names_of() {
    for spec in "$@"; do printf '%s ' "${spec%%=*}"; done
}

# What dpkg was at when the machine lost its power: packages half done, or all of them done and its own journal not merged
# yet, which apt refuses to go on from as well.
finish_interrupted() {
    pending=$({ dpkg --audit; find "${DPKG_ADMINDIR:-/var/lib/dpkg}/updates" -name '[0-9]*'; } 2>/dev/null)
    [ -n "$pending" ] || return 0
    echo "dpkg was interrupted: finishing what it began"
    dpkg --force-confold --configure -a
}

# Lifts the holds of the comma list $1 until the script ends, however it ends.
lift_holds() {
    [ "$1" != - ] || return 0
    names=$(printf '%s' "$1" | tr ',' ' ')
    # dash leaves the EXIT trap out when a signal ends it.
    trap 'exit 143' HUP INT TERM
    trap put_holds_back EXIT
    # shellcheck disable=SC2086
    apt-mark unhold -- $names
}

# The names as words; run by a trap, so that nothing of them is ever read as shell text.
put_holds_back() {
    # shellcheck disable=SC2086
    apt-mark hold -- $names
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

