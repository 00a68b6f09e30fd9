# Part of the probe: what restores a member's data on this machine. Put before it.
#
# etcdutl from 3.5 on; before, and in packages without it, etcdctl, which has unlearned it in 3.6. What it can is asked of
# its own help: Debian's and others' versions do not tell it.
see_etcd_tool() {
  for tool in etcdutl etcdctl; do
    path=$(command -v "$tool") || continue
    help=$(ETCDCTL_API=3 "$path" snapshot restore --help 2>&1)
    case $help in *--initial-cluster-token*) ;; *) continue ;; esac
    case $help in *--bump-revision*) bumps=yes ;; *) bumps=no ;; esac
    printf 'tool %s %s %s\n' "$path" "$(ETCDCTL_API=3 "$path" version | sed -n 's/^etcd[a-z]* version: //p')" "$bumps"
    return
  done
  unseen 'neither etcdutl nor an etcdctl that restores is here'
}
