# Part of the scripts that speak to the API: kubectl, through this control plane's own API server, so that it works while
# another one restarts behind the load balancer.
own_api() {
    manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
    address=$(sed -n 's/^ *- --advertise-address=//p' "$manifest" | head -n 1)
    port=$(sed -n 's/^ *- --secure-port=//p' "$manifest" | head -n 1)
    [ -n "$address" ] || { echo "no API server here: $manifest names no advertise address" >&2; return 1; }
    case $address in
        *:*) address="[$address]" ;;
    esac
    server=https://$address:${port:-6443}
}

kubectl_here() {
    kubectl --kubeconfig=/etc/kubernetes/admin.conf --server="$server" --request-timeout=20s "$@"
}
