# Job: writes the members into etcd's environment file, where the file names them. etcd reads this only when it starts without
# data: it is for the day on which this node is set up anew, and nothing is restarted.
# Arguments: FILE  MEMBERS(NAME=PEER-URL, comma list)
# Exit: 0 it is so; 1 it could not be written.
main() {
    set -uf
    file=$1
    export MEMBERS="$2"
    grep -q '^ETCD_INITIAL_CLUSTER=' "$file" || return 0
    # -p: owner and mode stay as they are.
    cp -p "$file" "$file.windlass" || return 1
    awk '/^ETCD_INITIAL_CLUSTER=/ { $0 = "ETCD_INITIAL_CLUSTER=\"" ENVIRON["MEMBERS"] "\"" } { print }' "$file" >"$file.windlass" &&
        sync "$file.windlass" && mv "$file.windlass" "$file" && sync "${file%/*}" || return 1
}
main "$@" </dev/null
