# Job: defragments this node's member, which answers nobody meanwhile: only when every other member is healthy and one of them
# leads.
# Arguments: CA  CERT  KEY  OWN-URL  OTHER-URLS(comma list, -)
# Exit: 0 done; 1 etcd failed; 75 refused, nothing was changed.
main() {
    set -uf
    guard=$(printf 'etcd;-;%s;%s;%s;%s;%s' "$1" "$2" "$3" "$4" "$5")
    guard_etcd "$guard" || return
    # A member of some GiB takes a minute and more, in which it answers nobody.
    etcdctl --endpoints="$4" --command-timeout=600s defrag
}
main "$@" </dev/null
