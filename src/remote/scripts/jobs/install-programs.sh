# Job: puts etcd's programs from an archive in the place of this node's, keeps those, and restarts the member.
# Arguments: RUN  GUARD  ARCHIVE(below Windlass's folder)  SHA256  VERSION  PROGRAM(the path of etcd; the others are beside it)
#   GUARD as of install-packages.
# Exit: 0 the member was restarted on them; 1 it could not be; 75 refused, nothing was changed: the guard, or the archive is not
# the one that was sent, or does not hold this etcd, or the service runs another program.

# Program by program, its bytes only: whatever else an archive says of names, links and owners is not followed.
unpack() {
    listed=$(tar -tzf "$archive") || refuse "$archive cannot be read" || return
    for name in $PROGRAMS; do
        member=$(printf '%s\n' "$listed" | grep -x -E "([A-Za-z0-9._-]+/)?$name" | head -n 1)
        [ -n "$member" ] || continue
        tar -xzOf "$archive" -- "$member" >"$fresh/$name" || return 1
        [ -s "$fresh/$name" ] || refuse "$name in the archive is empty, or no file" || return
        chmod 700 "$fresh/$name" || return 1
    done
    found=$(version_of "$fresh/etcd")
    [ "$found" = "$version" ] || refuse "the archive holds etcd ${found:-that does not run here}, not $version" || return
}

# Once: a second try would keep what the first one put there. What the place of a link has is kept as a file.
keep_former() {
    [ ! -e "$kept/whole" ] || return 0
    runs_from "$program" || return
    mkdir -p "$kept" || return 1
    for name in $PROGRAMS; do
        [ ! -e "$folder/$name" ] || cp -p "$folder/$name" "$kept/$name" || return 1
    done
    sync -f "$kept" && : >"$kept/whole" && sync "$kept"
}

main() {
    set -uf
    umask 077
    run=$1 guard=$2 archive=$WINDLASS_DIR/$3 sha256=$4 version=$5 program=$6 folder=${6%/*}
    kept=$WINDLASS_DIR/packages/$run/programs
    guard_etcd "$guard" || return
    [ "$(sha256sum <"$archive")" = "$sha256  -" ] || refuse "$archive has another SHA-256 than $sha256" || return
    fresh=$(mktemp -d "${archive%/*}/unpacked-XXXXXX") || return 1
    trap 'rm -rf "$fresh"; forget_beside' EXIT
    trap 'exit 143' HUP INT TERM
    unpack || return
    keep_former || return
    for name in $PROGRAMS; do
        [ ! -e "$fresh/$name" ] || put_beside "$fresh/$name" "$name" || return 1
    done
    guard_etcd "$guard" || return
    put_in_place || return 1
    restart_on "$program"
}
main "$@" </dev/null
