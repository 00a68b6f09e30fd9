# Job: puts the former versions of packages back, from the files that were kept of them, and their holds. The way back of a
# step that failed.
# Arguments: RUN  GUARD  HOLDS(comma list, - for none)  CLUSTER-VERSION(- for none)  NAME=VERSION…
#   GUARD as of install-packages; a member that does not run is not stopped by this, and so is not guarded. CLUSTER-VERSION:
#   refuses unless every other member of etcd still reports this one: at another the former binary would not start.
# Exit: 0 they are installed and held as before; 75 the guard refused; 76 it would touch a package that is not named; 77 one
# was not kept; else apt-get's.

# The kept file of NAME=VERSION; apt writes the colon of an epoch as %3a.
kept_file() {
    version=$(printf '%s' "${1#*=}" | sed 's/:/%3a/g')
    found=$(find "$kept" -maxdepth 1 -name "${1%%=*}_${version}_*.deb" | head -n 1)
    [ -n "$found" ] || {
        echo "$1 was not kept in $kept" >&2
        return 77
    }
    echo "$found"
}

as_before() {
    for spec in "$@"; do
        # shellcheck disable=SC2016 # the ${…} are dpkg's
        is=$(dpkg-query -W -f='${db:Status-Status}=${Version}' "${spec%%=*}" 2>/dev/null)
        [ "$is" = "installed=${spec#*=}" ] || return 1
    done
}

main() {
    # No file names are meant anywhere.
    set -uf
    run=$1 guard=$2 holds=$3 cluster=$4 service=
    shift 4
    kept=$WINDLASS_DIR/packages/$run
    packages=$(names_of "$@") down=--allow-downgrades
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    files=
    for spec in "$@"; do
        file=$(kept_file "$spec") || return
        files="$files $file"
    done
    guard_restore || return
    lift_holds "$holds" || return
    if as_before "$@"; then
        echo "the packages are as they were"
    else
        finish_interrupted || echo "it could not; the former version may do without"
        # shellcheck disable=SC2086 # paths without spaces
        guard_others $files || return
        guard_restore || return
        # shellcheck disable=SC2086
        apt-get install -q -y --allow-downgrades --no-install-recommends -o DPkg::Lock::Timeout=60 \
            -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -- $files || return
    fi
    [ -z "$service" ] || restart_if_old
}
main "$@" </dev/null
