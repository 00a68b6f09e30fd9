# Job: installs packages at a version. Their holds are lifted for this and put back, also after a failure or a signal.
# Arguments: GUARD  HOLDS(comma list, - for none)  NAME=VERSION…
#   GUARD: - for none, or etcd;SERVICE;CA;CERT;KEY;OWN-URL;OTHER-URLS(comma list, -): refuses, before anything is touched and
#   again just before its member is stopped, unless all others are healthy and one of them leads; and restarts the service
#   if its package did not. SERVICE - is a stacked member, which the package's kubelet may restart.
# Exit: 0 done; 75 the guard refused; 76 the installation would touch a package that is not named; else apt-get's.

# Packages that stop a member are downloaded, and other users of dpkg waited for, before the guard looks again: what it saw has to be
# young when the member stops.
install_named() {
    wait=300
    if [ "$guard" != - ]; then
        apt-get install -q -y --download-only --allow-change-held-packages --no-install-recommends \
            -o "DPkg::Lock::Timeout=$wait" -- "$@" || return
        guard_etcd "$guard" || return
        wait=10
    fi
    apt-get install -q -y --no-install-recommends -o "DPkg::Lock::Timeout=$wait" \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -- "$@"
}

main() {
    # No file names are meant anywhere.
    set -uf
    guard=$1 holds=$2 service=
    shift 2
    packages=$(names_of "$@") down=
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    case $guard in
        etcd\;*) guard_etcd "$guard" || return ;;
    esac
    finish_interrupted || return
    guard_others "$@" || return
    lift_holds "$holds" || return
    install_named "$@" || return
    [ -z "$service" ] || restart_if_old
}
main "$@" </dev/null
