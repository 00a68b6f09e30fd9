# Job: evicts the pods of a node. Budgets and grace periods are respected; DaemonSet pods stay.
# Arguments: NODE  SECONDS  DELETE-EMPTYDIR-DATA(yes|no)  FORCE(yes|no)
# Exit: 0 drained and still cordoned; 1 not.
main() {
    set -u
    node=$1 limit=$2 emptydir=$3 force=$4
    own_api || return
    graces=$(kubectl_here get pods -A --field-selector "spec.nodeName=$node" \
        -o 'jsonpath={range .items[*]}{.spec.terminationGracePeriodSeconds}{"\n"}{end}') || return 1
    # Half a minute more than the longest grace period, so that a pod which uses all of it is still waited for. Anybody who
    # may make a pod sets its grace period: more than a day is waited for by running the drain again.
    for grace in $graces; do
        [ "$grace" -le 86400 ] || grace=86400
        [ "$((grace + 30))" -gt "$limit" ] && limit=$((grace + 30))
    done
    set -- --ignore-daemonsets "--timeout=${limit}s"
    [ "$emptydir" = yes ] && set -- "$@" --delete-emptydir-data
    [ "$force" = yes ] && set -- "$@" --force
    kubectl --kubeconfig=/etc/kubernetes/admin.conf --server="$server" drain "$node" "$@" || return 1
    # kubectl drain exits 0 even when its cordon failed.
    if [ "$(kubectl_here get node "$node" -o 'jsonpath={.spec.unschedulable}')" != true ]; then
        echo "$node is not cordoned after its drain" >&2
        return 1
    fi
}
main "$@" </dev/null
