# Job: writes a setting of how its cluster began into etcd's environment file, where the file has it. etcd reads these only when it
# starts without data: it is for the day on which this node is set up anew, and nothing is restarted.
# Arguments: FILE  INITIAL_CLUSTER|INITIAL_CLUSTER_STATE  VALUE
# Exit: 0 it is so; 1 it could not be written.
main() {
    set -uf
    file=$1
    export NAME="ETCD_$2=" VALUE="$3"
    grep -q "^$NAME" "$file" || return 0
    # -p: owner and mode stay as they are.
    cp -p "$file" "$file.windlass" || return 1
    awk 'index($0, ENVIRON["NAME"]) == 1 { $0 = ENVIRON["NAME"] "\"" ENVIRON["VALUE"] "\"" } { print }' "$file" >"$file.windlass" &&
        sync "$file.windlass" && mv "$file.windlass" "$file" && sync "${file%/*}" || return 1
}
main "$@" </dev/null
