# Part of the jobs that change packages: what guards them, and what they leave behind as it was.

# Packages of a cluster that are never changed unless they are named.
PROTECTED="kubeadm kubelet kubectl etcd-server etcd-client etcd containerd containerd.io docker-ce docker.io cri-o runc"

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
