# Job: moves etcd's leadership from this node's member to another healthy voting member, if it leads.
# Arguments: CA  CERT  KEY  OWN-URL  OTHER-URLS(comma list, -)
# Exit: 0 this member does not lead (any more); 1 no healthy member to lead; else etcdctl's.
leads() {
    [ "$(etcdctl --endpoints="$own" endpoint status | cut -d, -f5 | tr -d ' ')" = true ]
}

main() {
    set -u
    own=$4 others=$5
    export ETCDCTL_API=3 ETCDCTL_CACERT="$1" ETCDCTL_CERT="$2" ETCDCTL_KEY="$3"
    leads || return 0
    for url in $(printf '%s' "$others" | tr ',' ' '); do
        etcdctl --endpoints="$url" --command-timeout=5s endpoint health || continue
        # ID of the member that answers there; field 6 says whether it is a learner (from etcd 3.4 on).
        status=$(etcdctl --endpoints="$url" endpoint status) || continue
        [ "$(printf '%s' "$status" | cut -d, -f6 | tr -d ' ')" = true ] && continue
        etcdctl --endpoints="$own" move-leader "$(printf '%s' "$status" | cut -d, -f2 | tr -d ' ')" || continue
        leads || return 0
    done
    echo "no other member could take the lead" >&2
    return 1
}
main "$@" </dev/null
