# Part of the scripts that look for what restores a snapshot.

# restores PROGRAM: whether it does. Sets `raises` to whether it can raise revisions meanwhile, yes or no. It is asked of its own
# help: Debian's and others' versions do not tell it.
restores() {
    help=$(ETCDCTL_API=3 "$1" snapshot restore --help 2>&1)
    case $help in *--initial-cluster-token*) ;; *) return 1 ;; esac
    case $help in *--bump-revision*) raises=yes ;; *) raises=no ;; esac
}

