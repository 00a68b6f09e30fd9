# Job: puts renewed certificates and keys that were sent in the places of the former ones, which are kept, and sees that they are
# taken and shown: etcd reads them from disk at each handshake. A member's only when every other one is healthy and one of them
# leads.
# Arguments: SENT(a file below Windlass's folder)  SERVICE  GUARD(etcd;SERVICE;CA;CERT;KEY;OWN-URL;OTHER-URLS, -)
#            HANDSHAKES(comma list of URL;CERT;KEY;CA;SHOWN, where SHOWN is the certificate that is shown there, or -)
#            FILE…(of each part, in order)
# Exit: 0 they are in their places, and are used; 1 they are not, or not all; 75 refused, nothing was changed.

keep() {
    [ ! -e "$kept/$1" ] || return 0
    cp -p "$2" "$kept/$1.new" && sync "$kept/$1.new" && mv "$kept/$1.new" "$kept/$1" && sync "$kept"
}

fingerprint() {
    openssl x509 -noout -fingerprint -sha256 2>/dev/null
}

# handshake URL CERT KEY CA SHOWN: whether who listens there takes this certificate of its client, and shows that one. What
# openssl says is not printed as it is: there are a session's secrets in it.
handshake() {
    address=${1#https://} host=${1#https://}
    host=${host%:*} host=${host#\[} host=${host%\]}
    case $host in
    *:*) name=-verify_ip ;;
    *[!0-9.]*) name=-verify_hostname ;;
    *) name=-verify_ip ;;
    esac
    said=$(printf 'GET /version HTTP/1.0\r\nConnection: close\r\n\r\n' | timeout 10 openssl s_client -connect "$address" "$name" "$host" \
        -verify_return_error -CAfile "$4" -cert "$2" -key "$3" -ign_eof 2>&1)
    case $said in
    *'"etcdserver"'*) ;;
    *)
        why=$(printf '%s\n' "$said" | grep -E -i 'verify error|alert|refused|timed out|unable to|error:' | head -n 1)
        echo "$1 does not answer a client with $2: ${why:-nothing was said}"
        return 1
        ;;
    esac
    [ "$5" = - ] && return
    shown=$(printf '%s\n' "$said" | fingerprint)
    [ -n "$shown" ] && [ "$shown" = "$(fingerprint <"$5")" ] && return
    echo "$1 shows another certificate than $5"
    return 1
}

# Each of them, for a while: a member may be busy.
are_used() {
    for one in $(printf %s "$1" | tr , ' '); do
        # shellcheck disable=SC2046 # words on purpose
        set -- $(printf %s "$one" | tr ';' ' ')
        tries=10
        until why=$(handshake "$@"); do
            tries=$((tries - 1))
            [ "$tries" -gt 0 ] || { echo "$why" >&2; return 1; }
            sleep 1
        done
        if [ "$5" = - ]; then echo "$1 takes $2"; else echo "$1 takes $2, shows $5"; fi
    done
}

main() {
    set -uf
    sent=$WINDLASS_DIR/$1 service=$2 guard=$3 handshakes=$4
    shift 4
    kept=${sent%/*}/former
    command -v openssl >/dev/null || refuse "there is no openssl to look with" || return
    if [ ! -e "$sent.placed" ]; then
        all_sent "$#" || refuse "not $# parts were sent" || return
        [ "$guard" = - ] || guard_etcd "$guard" || return
        owner=$(owner "$service") || return 1
        { (umask 077 && mkdir -p "$kept") && each keep "$@"; } || return 1
        write_all "$@" || return 1
        each put "$@" || return 1
        note_placed || return 1
    fi
    are_used "$handshakes" || return 1
    # The keys are where they are used, and nowhere else.
    rm -f "$sent" || return 1
}
main "$@" </dev/null
