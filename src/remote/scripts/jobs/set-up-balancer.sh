# Job: gives haproxy its configuration, and keepalived its own where there is one; starts them, and sees them run.
# Arguments: HAPROXY(text) KEEPALIVED(text; - for none) ADDRESS(this machine's) PORT
# Exit: 0 they run; 1 they do not, or could not be set up; 75 a configuration cannot be used.
# Only tests set WINDLASS_FROM.
FROM=${WINDLASS_FROM:-}

# place FILE TEXT: the text in its place; what somebody else had there is kept beside it.
place() {
    mkdir -p "${1%/*}" && printf '%s\n' "$2" >"$1.windlass" && chmod 644 "$1.windlass" || return 1
    if cmp -s "$1.windlass" "$1"; then
        rm -f "$1.windlass"
        return 0
    fi
    if [ -e "$1" ] && [ ! -e "$1.before-windlass" ] && ! grep -q '^# Written by Windlass' "$1"; then
        cp -p "$1" "$1.before-windlass" || return 1
    fi
    sync "$1.windlass" && mv "$1.windlass" "$1" && sync "${1%/*}"
}

# run UNIT: with its present configuration, which it may have been given without having read it; and at every boot.
run() {
    systemctl --quiet enable "$1" || return 1
    systemctl reload-or-restart "$1" || return 1
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        ! systemctl is-active --quiet "$1" || return 0
        sleep 0.5
    done
    systemctl status --no-pager -n 20 "$1"
    return 1
}

listens() {
    cat /proc/net/tcp /proc/net/tcp6 | awk -v port="$(printf %04X "$1")" '
        $4 == "0A" { n = split($2, address, ":"); if (address[n] == port) found = 1 } END { exit !found }'
}

main() {
    set -u
    haproxy=$1 keepalived=$2 address=$3 port=$4
    (umask 077 && mkdir -p "$WINDLASS_DIR" && printf '%s\n' "$haproxy" >"$WINDLASS_DIR/haproxy.cfg") || return 1
    said=$(haproxy -c -f "$WINDLASS_DIR/haproxy.cfg" 2>&1) || {
        printf '%s\n' "$said" >&2
        return 75
    }
    rm -f "$WINDLASS_DIR/haproxy.cfg"
    place "$FROM/etc/haproxy/haproxy.cfg" "$haproxy" && run haproxy || return 1
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        ! listens "$port" || break
        sleep 0.5
    done
    listens "$port" || {
        journalctl --no-pager -n 10 -u haproxy
        echo "haproxy runs, and nobody listens on $port" >&2
        return 1
    }
    [ "$keepalived" != - ] || return 0
    interface=$(ip -o addr show | awk -v address="$address" '{ split($4, own, "/") } own[1] == address { sub(/@.*/, "", $2); print $2; exit }')
    case $interface in
        '' | *[!A-Za-z0-9._-]*)
            echo "no interface of this machine has the address $address: keepalived could not watch the other" >&2
            return 75
            ;;
    esac
    place "$FROM/etc/keepalived/keepalived.conf" "$(printf '%s\n' "$keepalived" | sed "s/@INTERFACE@/$interface/")" && run keepalived
}
main "$@" </dev/null
