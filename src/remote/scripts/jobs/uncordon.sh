# Job: uncordons a node that is cordoned as ours, in one patch that is applied only while the owner's annotation is ours.
# Arguments: NODE  RUN
# Exit: 0 uncordoned, or not ours and left as it is; 1 it could not be.
main() {
    set -u
    node=$1 run=$2
    own_api || return
    owner=$(kubectl_here get node "$node" -o 'jsonpath={.metadata.annotations.windlass\.dev/cordoned-by}') || return 1
    if [ "$owner" != "$run" ]; then
        echo "$node is not cordoned by this run: left as it is"
        return 0
    fi
    path=/metadata/annotations/windlass.dev~1cordoned-by
    kubectl_here patch node "$node" --type=json -p "[
        {\"op\": \"test\", \"path\": \"$path\", \"value\": \"$run\"},
        {\"op\": \"remove\", \"path\": \"$path\"},
        {\"op\": \"add\", \"path\": \"/spec/unschedulable\", \"value\": false}]"
}
main "$@" </dev/null
