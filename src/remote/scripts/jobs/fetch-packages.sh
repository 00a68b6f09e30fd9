# Job: downloads packages, installs none, and keeps what going back needs below Windlass's folder until the run is finished:
# these packages, and the versions of them that are installed now.
# Arguments: RUN  FORMER(comma list of NAME=VERSION, - for none)  NAME=VERSION…
# Exit: 0; 1 one of the former could not be had, or there was no room to keep one; else apt-get's.

# Where apt keeps the package NAME=VERSION, if it does: it writes the colon of an epoch as %3a in file names.
file_of() {
    version=$(printf '%s' "${1#*=}" | sed 's/:/%3a/g')
    for found in "$2/${1%%=*}_${version}"_*.deb; do
        [ ! -f "$found" ] || echo "$found"
    done
}

# One file into the folder of kept packages: whole and on disk, or not at all.
keep() {
    [ ! -e "$kept/${1##*/}" ] || return 0
    { cp "$1" "$kept/.new" && sync "$kept/.new" && mv "$kept/.new" "$kept/${1##*/}" && sync "$kept"; } || {
        rm -f "$kept/.new"
        echo "could not keep ${1##*/}" >&2
        return 1
    }
}

keep_former() {
    [ -z "$(file_of "$1" "$kept")" ] || return 0
    file=$(file_of "$1" "$archives")
    if [ -z "$file" ]; then
        # Into a folder of its own: what is half there is never taken for a package.
        rm -rf "$kept/.fetched"
        mkdir "$kept/.fetched" || return 1
        (cd "$kept/.fetched" && apt-get download -q -o APT::Sandbox::User=root -- "$1") || return 1
        file=$(file_of "$1" "$kept/.fetched")
    fi
    if [ -z "$file" ]; then
        echo "$1 could not be had" >&2
        return 1
    fi
    keep "$file" && rm -rf "$kept/.fetched"
}

main() {
    set -u
    run=$1 former=$2
    shift 2
    # Only tests look elsewhere.
    archives=${WINDLASS_APT_ARCHIVES:-/var/cache/apt/archives}
    kept=$WINDLASS_DIR/packages/$run
    export DEBIAN_FRONTEND=noninteractive
    umask 077
    mkdir -p "$kept" || return 1
    apt-get update -q -o DPkg::Lock::Timeout=300 || return
    # Held packages are only downloaded, never changed, here.
    apt-get install -q -y --download-only --allow-change-held-packages --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -- "$@" || return
    for spec in "$@"; do
        # What is installed already was not downloaded.
        file=$(file_of "$spec" "$archives")
        [ -z "$file" ] || keep "$file" || return 1
    done
    [ "$former" != - ] || return 0
    for spec in $(printf '%s' "$former" | tr ',' ' '); do
        keep_former "$spec" || return 1
    done
}
main "$@" </dev/null
