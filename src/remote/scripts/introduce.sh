# introduce TOKEN RUN worker|control-plane|control-plane-with-etcd|control-plane-with-client: introduces a machine to the cluster, on one of its control planes.
# Prints what it needs to join: `token T` (of a bootstrap token that was just made, good for half an hour), `hash H` (of the
# cluster's authority); and for a control plane, each behind a line `--- FILE`, what all of them share of /etc/kubernetes/pki.
# What it prints is secret.
#
# Exit 0: printed. 3: TOKEN is lower than the stored one, which is printed. 4: kubeadm made no token. 2, 6: see prelude.sh.
# Only tests set WINDLASS_FILES.
PKI=${WINDLASS_FILES:-}/etc/kubernetes/pki

main() {
    [ "$#" -eq 3 ] || complain 2 "usage: introduce TOKEN RUN worker|control-plane|control-plane-with-etcd|control-plane-with-client"
    check_number "$1"
    check_name "$2"
    case $3 in
    worker) set -- "$1" "$2" ;;
    control-plane | control-plane-with-etcd | control-plane-with-client)
        keys="ca.crt ca.key sa.key sa.pub front-proxy-ca.crt front-proxy-ca.key"
        case $3 in
        control-plane-with-etcd) keys="$keys etcd/ca.crt etcd/ca.key" ;;
        control-plane-with-client) keys="$keys etcd/ca.crt apiserver-etcd-client.crt apiserver-etcd-client.key" ;;
        esac
        # shellcheck disable=SC2086 # a list
        set -- "$1" "$2" $keys
        ;;
    *) complain 2 "not what joins: $3" ;;
    esac
    lock_folder
    raise_token "$1"
    # The API may be slow, and the folder is everybody's.
    exec 9>&-
    joining=$(KUBECONFIG=/etc/kubernetes/admin.conf kubeadm token create --ttl 30m --description "windlass-$2" --print-join-command) ||
        complain 4 "kubeadm made no token"
    shift 2
    token=$(printf '%s\n' "$joining" | sed -n -E 's/.* --token ([a-z0-9]{6}\.[a-z0-9]{16}).*/\1/p')
    hash=$(printf '%s\n' "$joining" | sed -n -E 's/.* --discovery-token-ca-cert-hash (sha256:[0-9a-f]{64}).*/\1/p')
    { [ -n "$token" ] && [ -n "$hash" ]; } || complain 4 "kubeadm does not say how to join"
    printf 'token %s\nhash %s\n' "$token" "$hash"
    for file; do
        printf -- '--- %s\n' "$file"
        cat "$PKI/$file" || complain 6 "$PKI/$file cannot be read"
    done
}

main "$@" </dev/null
