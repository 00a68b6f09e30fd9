# Part of the jobs that have kubeadm raise a stacked member of etcd, or that fetch what it will need: which etcd it brings.

# is_from VERSION FIRST: whether it is FIRST, or a later patch of that minor.
is_from() {
    [ "${1%.*}" = "${2%.*}" ] || return 1
    case ${1##*.} in
        '' | *[!0-9]*) return 1 ;;
    esac
    [ "${1##*.}" -ge "${2##*.}" ]
}

# etcd_fits IMAGES: of kubeadm's list of images, the etcd that it brings, held against what the plan allows: the tag $now, with
# which etcd stays what it is, or a release from one of $first (comma list, -) on. A tag $pinned (-) in kubeadm-config goes before
# kubeadm's own. Nothing is asked for where $now is -. Leaves the tag in $brought.
etcd_fits() {
    brought=$pinned
    [ "$now" != - ] || return 0
    [ "$pinned" != - ] || brought=$(printf '%s\n' "$1" | sed -n 's|^.*/etcd:||p' | head -n 1)
    if [ "$brought" = "$now" ]; then
        echo "etcd stays at $now"
        return 0
    fi
    words=
    for release in $(printf '%s' "$first" | tr ',' ' '); do
        [ "$release" != - ] || continue
        plain=${brought%%-*}
        if is_from "${plain#v}" "$release"; then
            echo "etcd goes from $now to $brought"
            return 0
        fi
        words="$words, to $release or a later one of ${release%.*}"
    done
    echo "refused: kubeadm brings etcd ${brought:-(it does not say which)}, and the member here, at $now, may only stay${words}; \
nothing was changed; to have another etcd brought, set etcd.local.imageTag in kubeadm-config, and plan again" >&2
    return 75
}
