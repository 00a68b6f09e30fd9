# Job: takes etcdctl and etcdutl out of the image of this node's stacked member, to a folder of the run that is root's alone:
# kubeadm puts neither on a node. They come from the member's own root while it runs, and else from the image as containerd keeps
# it: etcd may be dead.
# Arguments: RUN  IMAGE  USE(ask: an etcdctl is enough, also this node's own; restore: one has to restore; raise: and to raise revisions)
# Exit: 0 they are there, since now or since an earlier try; 1 they could not be had; 75 refused: this node has no way to open the
# image, or what is in it does not serve.
refuse() {
    echo "refused: $*" >&2
    return 75
}

# take_from ROOT: its programs. A link would lead out of the image.
take_from() {
    for tool in etcdctl etcdutl; do
        found=$1/usr/local/bin/$tool
        [ ! -f "$found" ] || [ -L "$found" ] || install -m 700 "$found" "$tools.new/$tool" || return 1
    done
    [ -f "$tools.new/etcdctl" ]
}

take_from_member() {
    pid=$(pgrep -o -x etcd) && [ -d "/proc/$pid/root/usr/local/bin" ] && take_from "/proc/$pid/root"
}

images() {
    verb=$1
    shift
    ctr -n k8s.io images "$verb" --snapshotter "$snapshotter" "$@"
}

# Mounted for reading, and let go whatever happens; also what an earlier try was cut off with.
take_from_image() {
    command -v ctr >/dev/null ||
        refuse "etcd does not run, and $image cannot be opened without ctr: install etcdctl and etcdutl of that version on this node" || return
    snapshotter=$(containerd config dump 2>/dev/null | sed -n 's/^ *snapshotter = "\(..*\)"$/\1/p' | head -n 1)
    snapshotter=${snapshotter:-overlayfs}
    images unmount --rm "$tools.image" >/dev/null 2>&1
    mkdir -p "$tools.image" && images mount "$image" "$tools.image" || return 1
    take_from "$tools.image"
    taken=$?
    images unmount --rm "$tools.image" && rmdir "$tools.image" || return 1
    [ "$taken" -eq 0 ] || refuse "$image has no /usr/local/bin/etcdctl"
}

# The one that restores gets that name.
name_restorer() {
    for tool in etcdutl etcdctl; do
        [ -f "$tools.new/$tool" ] || continue
        restores "$tools.new/$tool" || continue
        [ "$use" = restore ] || [ "$raises" = yes ] || refuse "the $tool of $image cannot raise revisions, as the plan says" || return
        ln -s "$tool" "$tools.new/restorer"
        return
    done
    refuse "nothing in $image restores a snapshot on this node"
}

main() {
    set -uf
    umask 077
    run=$1 image=$2 use=$3
    tools=$WINDLASS_DIR/runs/$run/tools
    if [ "$use" = ask ] && command -v etcdctl; then return 0; fi
    if [ -d "$tools" ]; then
        echo "fetched by an earlier try"
        return 0
    fi
    rm -rf "$tools.new" && mkdir -p "$tools.new" || return 1
    take_from_member || take_from_image || return
    [ "$use" = ask ] || name_restorer || return
    sync -f "$tools.new" && mv "$tools.new" "$tools" && sync "${tools%/*}" || return 1
    echo "$(find "$tools" -type f | grep -c .) programs of $image: $tools"
}
main "$@" </dev/null
