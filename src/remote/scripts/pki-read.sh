# pki-read KUBECONFIG ENV_FILE: prints what a snapshot of etcd does not bring back: CAs, the service accounts' key, the
# encryption configuration, kubeadm-config, and the settings of etcd, kubelet and static pods. It writes nothing anywhere.
#
# Prints `encryption PATH` where the API server names an encryption configuration; `kubeadm-config BYTES` with that ConfigMap
# as JSON behind it (0 bytes where the API does not answer); then a line `tar` and a tar archive of the files that are there.
#
# Exit 0: printed. 2: bad arguments. 6: a file that is there could not be read.
set -u
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
export LC_ALL PATH

# Only tests set it: sudo drops it.
root=${WINDLASS_FILES:-}

# wanted FILE FILES…: whether it is among them.
wanted() {
    looked_for=$1
    shift
    for known in "$@"; do
        [ "$known" != "$looked_for" ] || return 0
    done
    return 1
}

main() {
    [ "$#" -eq 2 ] || {
        echo "usage: pki-read KUBECONFIG ENV_FILE" >&2
        exit 2
    }
    kubeconfig=$1
    environment=$2
    manifest=$root/etc/kubernetes/manifests/kube-apiserver.yaml
    encryption=
    [ ! -f "$manifest" ] ||
        encryption=$(sed -n -E "s/^ *- *[\"']?--encryption-provider-config=([^\"' ]*).*/\1/p" "$manifest" | head -n 1)
    [ -z "$encryption" ] || printf 'encryption %s\n' "$encryption"
    authority=
    [ ! -f "$root$environment" ] ||
        authority=$(sed -n -E "s/^ETCD_TRUSTED_CA_FILE=[\"']?([^\"' ]*).*/\\1/p" "$root$environment" | tail -n 1)
    config=$(kubeadm_config)
    printf 'kubeadm-config %s\n%s\n' "${#config}" "$config"
    set --
    cd "$root/" || exit 6
    for file in \
        etc/kubernetes/pki/ca.crt etc/kubernetes/pki/ca.key \
        etc/kubernetes/pki/sa.key etc/kubernetes/pki/sa.pub \
        etc/kubernetes/pki/front-proxy-ca.crt etc/kubernetes/pki/front-proxy-ca.key \
        etc/kubernetes/pki/etcd/ca.crt etc/kubernetes/pki/etcd/ca.key \
        "${encryption#/}" "${environment#/}" "${authority#/}" \
        etc/kubernetes/manifests/*.yaml \
        etc/etcd/*.conf etc/etcd/*.env etc/etcd/*.yml etc/etcd/*.yaml \
        etc/etcd/pki/ca.crt etc/etcd/pki/ca.key etc/etcd/ca.crt etc/etcd/ca.key \
        etc/systemd/system/etcd.service etc/systemd/system/etcd.service.d/*.conf \
        etc/systemd/system/kubelet.service etc/systemd/system/kubelet.service.d/*.conf \
        usr/lib/systemd/system/kubelet.service.d/*.conf \
        var/lib/kubelet/config.yaml var/lib/kubelet/kubeadm-flags.env \
        etc/default/kubelet etc/sysconfig/kubelet; do
        [ ! -f "$file" ] || wanted "$file" "$@" || set -- "$@" "$file"
    done
    # The authority's key is beside its certificate, where it is on the machine at all.
    key=${authority#/}
    key=${key%.*}.key
    [ -z "$authority" ] || [ ! -f "$key" ] || wanted "$key" "$@" || set -- "$@" "$key"
    echo tar
    [ "$#" -eq 0 ] || tar -c -h -f - -- "$@" || exit 6
}

# Raw, so that kubectl keeps no cache of what it discovers.
kubeadm_config() {
    [ -f "$root$kubeconfig" ] || return 0
    kubectl --kubeconfig="$root$kubeconfig" --request-timeout=10s get --raw \
        /api/v1/namespaces/kube-system/configmaps/kubeadm-config 2>/dev/null
}

main "$@" </dev/null
