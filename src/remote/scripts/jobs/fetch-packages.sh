# Job: downloads packages into apt's own cache. Installs nothing.
# Arguments: NAME=VERSION…
# Exit: apt-get's.
main() {
    set -u
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q -o DPkg::Lock::Timeout=300 || return
    # Held packages are only downloaded, never changed, here.
    apt-get install -q -y --download-only --allow-change-held-packages --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -- "$@"
}
main "$@" </dev/null
