# Part of the jobs that put a member of etcd back to what it was: only where its former self still starts.

# What the other members say of the cluster version, each by itself: none of them has gone where the former binary cannot.
others_are_at() {
    [ "$others" != - ] || refuse "there is no other member of etcd to ask for the cluster version" || return
    for url in $(printf '%s' "$others" | tr ',' ' '); do
        at=$(curl -sS --max-time 5 --noproxy '*' --cacert "$ETCDCTL_CACERT" --cert "$ETCDCTL_CERT" --key "$ETCDCTL_KEY" \
            "$url/version" | sed -n 's/.*"etcdcluster":"\([0-9]*\.[0-9]*\).*/\1/p')
        [ "$at" = "$1" ] || refuse "the member at $url reports cluster version ${at:-none}, not $1" || return
    done
}

# Sets service, own, others and etcdctl's environment on the way.
guard_restore() {
    [ "$guard" != - ] || return 0
    read_guard "$guard" || return
    [ "$cluster" = - ] || others_are_at "$cluster" || return
    # A stacked member is the kubelet's: whether it runs is not asked.
    pid=stacked
    [ -z "$service" ] || pid=$(systemctl show -p MainPID --value "$service")
    [ "${pid:-0}" = 0 ] || guard_etcd "$guard"
}
