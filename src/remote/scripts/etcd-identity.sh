# etcd-identity CA CERT KEY: prints the three PEM files, each after a line `--- ca`, `--- cert`, `--- key`.
#
# Exit 0: printed. 2: bad arguments. 6: one of them could not be read; nothing but the ones before it was printed.
set -u
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

main() {
    [ "$#" -eq 3 ] || {
        echo "usage: etcd-identity CA CERT KEY" >&2
        exit 2
    }
    for word in ca cert key; do
        echo "--- $word"
        # A PEM file of more than 64 KiB is none.
        head -c 65536 -- "$1" || exit 6
        echo
        shift
    done
}

main "$@" </dev/null
