# Part of the probe: what restores a member's data on this machine. Put before it, and behind what tells whether a program does.
#
# etcdutl from 3.5 on; before, and in packages without it, etcdctl, which has unlearned it in 3.6. A control plane of kubeadm's has
# neither, but in the image of its member: from there a job of the run takes them.
see_etcd_tool() {
  image=$(etcd_image)
  tag=${image##*:} tag=${tag#v} minor=${tag%%-*} minor=${minor%.*}
  for tool in etcdutl etcdctl; do
    path=$(command -v "$tool") || continue
    restores "$path" || continue
    version=$(ETCDCTL_API=3 "$path" version | sed -n 's/^etcd[a-z]* version: //p')
    # Data are made for the release that will run on them, which the image has.
    [ -z "$image" ] || [ "${version%.*}" = "$minor" ] || continue
    printf 'tool %s %s %s\n' "$path" "$version" "$raises"
    return
  done
  [ -n "$image" ] || unseen 'neither etcdutl nor an etcdctl that restores is here' || return
  [ -x "/proc/$(pgrep -o -x etcd)/root/usr/local/bin/etcdctl" ] || image_is_kept || return
  printf 'image %s\n' "$image"
}

image_is_kept() {
  has ctr || unseen "etcd does not run, and its image $image cannot be opened without ctr: install etcdctl and etcdutl of ${tag%%-*} here" || return
  [ -n "$(ctr -n k8s.io images ls -q "name==$image")" ] ||
    unseen "containerd has no image $image: pull it, or install etcdctl and etcdutl of ${tag%%-*} here"
}
