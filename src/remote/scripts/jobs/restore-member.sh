# Job: restores a snapshot as this member's data. What it had is kept beside it, as `member.before-RUN`. Until the new data are
# whole nothing is moved.
# Arguments: RUN  SERVICE(- for a stacked member)  DATA-DIR  WAL-DIR(- for none of its own)  SNAPSHOT(a file's name below Windlass's snapshots)  SHA256
#   TOOL(etcdctl|etcdutl, or tools/restorer: what the run has fetched)  BUMP(by how much revisions are raised, - for not)  NAME  PEER-URLS(comma list)  MEMBERS(NAME=URL, comma list)
# Exit: 0 they are there, since now or since an earlier try; 1 they could not be made, and the former ones are where they were;
# 75 refused, nothing was changed: etcd runs, or the snapshot is not the one that was sent.
refuse() {
    echo "refused: $*" >&2
    return 75
}

# No member runs here: by the word of who started it, and by the lock that etcd holds on its database whoever has started it.
stopped() {
    if [ "$service" = - ]; then
        there=$(running kube-system etcd) || refuse "the container runtime does not tell what runs" || return
        [ -z "$there" ] || refuse "etcd runs" || return
    else
        [ "$(systemctl show -p MainPID --value "$service")" = 0 ] || refuse "$service runs" || return
    fi
    [ ! -e "$data/member/snap/db" ] || flock -n "$data/member/snap/db" true || refuse "somebody works on $data/member/snap/db"
}

# Who has to be able to read the data.
owner() {
    user=
    [ "$service" = - ] || user=$(systemctl show -p User --value "$service")
    if [ -n "$user" ]; then
        echo "$user:$(id -g "$user")"
    elif [ -d "$data" ]; then
        stat -c %u:%g "$data"
    else
        echo 0:0
    fi
}

# put_in_place NEW TARGET: what was there is set aside first.
put_in_place() {
    set_aside "$2" "$run" && mv "$1" "$2" && sync "${2%/*}"
}

main() {
    set -uf
    umask 077
    run=$1 service=$2 data=$3 wal=$4 snapshot=$WINDLASS_DIR/snapshots/$5 sha256=$6 tool=$7 bump=$8 name=$9
    shift 9
    peers=$1 members=$2
    stopped || return
    case $tool in tools/*) tool=$WINDLASS_DIR/runs/$run/$tool ;; esac
    if [ -e "$WINDLASS_DIR/runs/$run/restored" ]; then
        echo "restored by an earlier try"
        return 0
    fi
    [ "$(sha256sum <"$snapshot")" = "$sha256  -" ] || refuse "$snapshot has another SHA-256 than $sha256" || return
    owner=$(owner) || return 1
    new=$data/restoring-$run
    [ -d "$data" ] || { (umask 022 && mkdir -p "$data") && chmod 700 "$data" && chown "$owner" "$data"; } || return 1
    rm -rf "$new" || return 1
    set -- snapshot restore "$snapshot" --name "$name" --data-dir "$new" --initial-advertise-peer-urls "$peers" \
        --initial-cluster "$members" --initial-cluster-token "windlass-restore-$run"
    [ "$wal" = - ] || { rm -rf "$wal.restoring-$run" && set -- "$@" --wal-dir "$wal.restoring-$run"; } || return 1
    [ "$bump" = - ] || set -- "$@" --bump-revision "$bump" --mark-compacted
    ETCDCTL_API=3 "$tool" "$@" || return 1
    chown -R "$owner" "$new" || return 1
    [ "$wal" = - ] || chown -R "$owner" "$wal.restoring-$run" || return 1
    ! command -v restorecon >/dev/null || restorecon -R "$data" || return 1
    sync -f "$new" || return 1
    [ "$wal" = - ] || put_in_place "$wal.restoring-$run" "$wal" || return 1
    put_in_place "$new/member" "$data/member" || return 1
    rmdir "$new" 2>/dev/null || true
    mkdir -p "$WINDLASS_DIR/runs/$run" && : >"$WINDLASS_DIR/runs/$run/restored" && sync "$WINDLASS_DIR/runs/$run"
}
main "$@" </dev/null
