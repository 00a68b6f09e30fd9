# Job: deletes a node that has left: its Node object, every pod that was bound to it, mirror pods among them, and its entry in
# kubeadm-config's ClusterStatus (kubeadm before 1.22). Sees all of it gone.
# Arguments: NODE  MACHINE(the id that the Node object tells)  STATE(left: it was made to leave; gone: it does not answer)
# Exit: 0 there is no such node, and no pod of it; 1 the API refused, or pods are still there; 75 refused: the object tells of
# another machine by now, or one that is said to be gone is Ready: nothing was changed.
refuse() {
    echo "refused: $*" >&2
    return 75
}

delete_object() {
    said=$(kubectl_here get node "$node" --ignore-not-found -o 'jsonpath={.status.nodeInfo.machineID} {.status.conditions[?(@.type=="Ready")].status}') || return 1
    if [ -z "$said" ]; then
        echo "there is no node $node"
        return
    fi
    [ "${said%% *}" = "$machine" ] || refuse "node $node is another machine by now" || return
    [ "$state" = left ] || [ "${said#* }" != True ] || refuse "node $node is Ready: its machine is not gone" || return
    kubectl_here delete node "$node" --ignore-not-found --wait=false
}

pods_left() { kubectl_here get pods --all-namespaces --field-selector "spec.nodeName=$node" --no-headers -o custom-columns=:.metadata.namespace,:.metadata.name; }

# Whoever takes the name next would be told to run them.
delete_pods() {
    tries=0
    while pods=$(pods_left) || return 1; [ -n "$pods" ]; do
        if [ "$tries" -ge 60 ]; then
            echo "pods of $node are still there: $(printf '%s' "$pods" | tr -s '\n ' ' ')" >&2
            return 1
        fi
        tries=$((tries + 1))
        [ "$((tries % 10))" -ne 1 ] || kubectl_here delete pods --all-namespaces --field-selector "spec.nodeName=$node" --grace-period=0 --force --wait=false || return 1
        sleep 1
    done
}

# Before 1.22, kubeadm asks each API server that is named there.
forget_status() {
    tries=0
    while [ "$tries" -lt 10 ]; do
        tries=$((tries + 1))
        version=$(kubectl_here -n kube-system get configmap kubeadm-config --ignore-not-found -o 'jsonpath={.metadata.resourceVersion}') || return 1
        text=$(kubectl_here -n kube-system get configmap kubeadm-config --ignore-not-found -o 'jsonpath={.data.ClusterStatus}') || return 1
        printf '%s\n' "$text" | grep -q -x -F -e "  $node:" || return 0
        kept=$(printf '%s\n' "$text" | awk -v line="  $node:" '$0 == line { within = 1; next } within && /^    / { next } { within = 0; print }' |
            sed 's/\\/\\\\/g; s/"/\\"/g' | awk '{ printf "%s\\n", $0 }')
        patch="{\"metadata\":{\"resourceVersion\":\"$version\"},\"data\":{\"ClusterStatus\":\"$kept\"}}"
        kubectl_here -n kube-system patch configmap kubeadm-config --type=merge -p "$patch" && return
        sleep 1
    done
    echo "kubeadm-config's ClusterStatus kept changing" >&2
    return 1
}

main() {
    set -uf
    node=$1 machine=$2 state=$3
    own_api || return
    delete_object || return
    delete_pods || return
    forget_status || return
    echo "gone: node $node and its pods"
}
main "$@" </dev/null
