# Job: has this load balancer give the shared address to the other one, if it has it, and sees the API answer there.
# Arguments: ADDRESS PORT
# Exit: 0 the API answers at the address, on another machine; 1 it does not.
has_it() {
    ip -o addr show | awk -v address="$1" '{ split($4, own, "/") } own[1] == address { found = 1 } END { exit !found }'
}

# Nobody proves anything to anybody here: whether it answers is all that is asked.
answers() {
    printf 'GET /readyz HTTP/1.0\r\n\r\n' | timeout 4 socat -t 3 - "OPENSSL:$1:$2,verify=0,connect-timeout=2" 2>/dev/null | grep -q -x ok
}

main() {
    set -u
    address=$1 port=$2
    if has_it "$address"; then
        # It says goodbye when it stops, and does not ask for the address back when it starts.
        systemctl restart keepalived || return 1
    fi
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        if ! has_it "$address" && answers "$address" "$port"; then return 0; fi
        sleep 0.5
    done
    if has_it "$address"; then
        echo "the other load balancer did not take $address" >&2
    else
        echo "the API does not answer at $address:$port from here" >&2
    fi
    return 1
}
main "$@" </dev/null
