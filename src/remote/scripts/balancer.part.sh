# How haproxy is asked about the API servers that Windlass told it of.
BACKEND=windlass-control-planes

# ask COMMAND: haproxy's answer to one command.
ask_haproxy() {
  printf '%s\n' "$1" | socat -t 5 - "UNIX-CONNECT:${WINDLASS_HAPROXY:-/run/haproxy/admin.sock}"
}

# Prints `NAME OPERATIONAL ADMINISTRATIVE` for each server, as haproxy numbers its states; nothing when it knows no such backend.
servers() {
  ask_haproxy "show servers state $BACKEND" | awk -v backend="$BACKEND" '$2 == backend { print $4, $6, $7 }'
}
