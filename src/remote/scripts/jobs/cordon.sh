# Job: cordons a node as ours: unschedulable and the owner's annotation in one patch that is applied only to the version
# of the Node object that was looked at. A node that is cordoned already is left as it is.
# Arguments: NODE  RUN
# Exit: 0 cordoned, by us or before us; 1 it could not be; 3 the object kept changing.
main() {
    set -u
    node=$1 run=$2 tries=0
    own_api || return
    while [ "$tries" -lt 20 ]; do
        tries=$((tries + 1))
        seen=$(kubectl_here get node "$node" -o 'jsonpath={.metadata.resourceVersion} {.spec.unschedulable}') || return 1
        version=${seen%% *}
        case $seen in
            *' true') echo "$node is cordoned"; return 0 ;;
        esac
        patch="{\"metadata\":{\"resourceVersion\":\"$version\",\"annotations\":{\"windlass.dev/cordoned-by\":\"$run\"}},\"spec\":{\"unschedulable\":true}}"
        if said=$(kubectl_here patch node "$node" --type=merge -p "$patch" 2>&1); then
            echo "$said"
            return 0
        fi
        case $said in
            *Conflict* | *'the object has been modified'*) sleep 0.2 ;;
            *) echo "$said" >&2; return 1 ;;
        esac
    done
    echo "node $node kept changing" >&2
    return 3
}
main "$@" </dev/null
