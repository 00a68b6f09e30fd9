# Job: leads clients to an API server again, where this run has taken it out of service.
# Arguments: SERVER RUN
# Exit: 0 it is in service, or was never taken out by this run; 1 it could not be given back.
main() {
    set -u
    server=$1 run=$2 marks=$WINDLASS_DIR/out-of-service
    mark=$marks/$server
    [ "$(cat "$mark" 2>/dev/null)" = "$run" ] || {
        echo "$server was not taken out of service by this run: it is left as it is"
        return 0
    }
    own=$(servers | awk -v server="$server" '$1 == server { print $3 }')
    # A restart of haproxy has given it back; another state than a drain is somebody else's.
    if [ "$own" = 8 ]; then
        said=$(ask_haproxy "set server $BACKEND/$server state ready") || return 1
        own=$(servers | awk -v server="$server" '$1 == server { print $3 }')
        [ "$own" = 0 ] || {
            echo "haproxy did not give $server back: $said" >&2
            return 1
        }
    fi
    rm -f "$mark" && sync "$marks"
}
main "$@" </dev/null
