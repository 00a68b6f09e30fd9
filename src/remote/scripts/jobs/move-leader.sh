# Job: moves etcd's leadership from this node's member to another healthy voting member, if it leads.
# Arguments: CA  CERT  KEY  OWN-URL  OTHER-URLS(comma list, -)
# Exit: 0 this member does not lead (any more); 1 no healthy member to lead, or this one does not tell whether it leads.
leads() {
    status=$(status_of "$own") || {
        echo "this member does not tell whether it leads" >&2
        return 2
    }
    [ "$(printf '%s' "$status" | values_of leader)" = "$(printf '%s' "$status" | values_of member_id)" ]
}

main() {
    set -uf
    own=$4 others=$5
    export ETCDCTL_API=3 ETCDCTL_CACERT="$1" ETCDCTL_CERT="$2" ETCDCTL_KEY="$3"
    leads
    case $? in
        0) ;;
        1) return 0 ;;
        *) return 1 ;;
    esac
    [ "$others" = - ] && others=
    for url in $(printf '%s' "$others" | tr ',' ' '); do
        etcdctl --endpoints="$url" --command-timeout=5s endpoint health || continue
        status=$(status_of "$url") || continue
        [ "$(printf '%s' "$status" | values_of isLearner)" = true ] && continue
        # The ID of the member that answers there, in the hexadecimal that etcdctl takes: the same column in every release.
        id=$(etcdctl --endpoints="$url" endpoint status | cut -d, -f2 | tr -d ' ') || continue
        etcdctl --endpoints="$own" move-leader "$id" || continue
        leads
        [ "$?" -eq 1 ] && return 0
    done
    echo "no other member could take the lead" >&2
    return 1
}
main "$@" </dev/null
