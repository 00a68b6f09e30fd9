# Job: leads no new client to an API server, as ours. What somebody else took out of service is left as it is.
# Arguments: SERVER RUN
# Exit: 0 no client is led to it; 1 it could not be; 75 it is the last one that is ready, which stays.
# What is ours is marked by a file of this run's name, before haproxy is told.
main() {
    set -u
    umask 077
    server=$1 run=$2 marks=$WINDLASS_DIR/out-of-service
    mark=$marks/$server
    states=$(servers) || return 1
    own=$(printf '%s\n' "$states" | awk -v server="$server" '$1 == server { print $3 }')
    [ -n "$own" ] || {
        echo "haproxy knows no $server in $BACKEND" >&2
        return 1
    }
    if [ "$own" != 0 ]; then
        [ "$(cat "$mark" 2>/dev/null)" = "$run" ] || echo "somebody else has taken $server out of service: it is left so"
        return 0
    fi
    printf '%s\n' "$states" | awk -v server="$server" '$1 != server && $2 == 2 && $3 == 0 { other = 1 } END { exit !other }' || {
        echo "no other API server is ready behind this load balancer: $server stays in service" >&2
        return 75
    }
    { mkdir -p "$marks" && printf '%s\n' "$run" >"$mark.new" && sync "$mark.new" && mv "$mark.new" "$mark" && sync "$marks"; } || return 1
    said=$(ask_haproxy "set server $BACKEND/$server state drain") || return 1
    own=$(servers | awk -v server="$server" '$1 == server { print $3 }')
    [ "$own" = 8 ] || {
        echo "haproxy did not take $server out of service: $said" >&2
        return 1
    }
}
main "$@" </dev/null
