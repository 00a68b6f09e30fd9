# Part of the jobs that touch a member of etcd: only when all others are well and it does not lead.

# Sets service, own, others and etcdctl's environment from a guard's fields. A stacked member is no service: - stands for none.
read_guard() {
    # shellcheck disable=SC2086 # split into words on purpose
    IFS=';' && set -- $1 && unset IFS
    [ "$#" -eq 7 ] || refuse "the guard has $# fields, not 7" || return
    service=${2#-} own=$6 others=$7
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
