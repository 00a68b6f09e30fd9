# forget-run TOKEN RUN [SENT]: takes away what was kept on this node for going back in a run that is over: its archive, its kept
# packages, its units' folders, the copies of its plan and journal, and the snapshot SENT that a restore was made from. Those that
# were taken stay. Prints `archive N`, `packages N` and `units N`: the bytes that each took.
#
# Exit 0: gone, or nothing was there. 3: TOKEN is lower than the stored one, which is printed. 9: a unit of the run is still
# at work; nothing was taken away. 2, 6: see prelude.sh.

# The bytes that the folder $1 takes; 0 when it is not there.
bytes_of() {
    [ -d "$1" ] || {
        echo 0
        return
    }
    du -s -B1 "$1" | cut -f 1
}

at_work() {
    for unit in "$root/runs/$1"/*; do
        [ -e "$unit/started" ] || continue
        [ ! -e "$unit/rc" ] || continue
        name=windlass-$1-${unit##*/}.service
        case $(systemctl show -p ActiveState -p SubState "$name") in
        *SubState=running* | *ActiveState=activating* | *ActiveState=deactivating*)
            echo "$name is at work" >&2
            return 0
            ;;
        esac
    done
    return 1
}

main() {
    [ "$#" -eq 2 ] || [ "$#" -eq 3 ] || complain 2 "usage: forget-run TOKEN RUN [SENT]"
    check_number "$1"
    check_name "$2"
    [ "$#" -eq 2 ] || check_name "$3"
    lock_folder
    raise_token "$1"
    ! at_work "$2" || exit 9
    for kind in archives packages runs; do
        dir=$root/$kind/$2
        case $kind in
        archives) word=archive ;;
        packages) word=packages ;;
        *) word=units ;;
        esac
        echo "$word $(bytes_of "$dir")"
        # Ended units that systemd still remembers: their names may be used again by nobody once their folders are gone.
        if [ "$kind" = runs ] && [ -d "$dir" ]; then
            systemctl stop "windlass-$2-*.service" 2>/dev/null
            systemctl reset-failed "windlass-$2-*.service" 2>/dev/null
        fi
        [ ! -e "$dir" ] || { rm -rf "$dir" && sync "$root/$kind"; } || complain 6 "cannot remove $dir"
    done
    for kind in copies certificates bootstrap introductions manifests; do
        rm -rf "${root:?}/$kind/$2" || complain 6 "cannot remove $root/$kind/$2"
    done
    [ "$#" -eq 2 ] || rm -f "${root:?}/snapshots/$3" || complain 6 "cannot remove $root/snapshots/$3"
}

main "$@" </dev/null
