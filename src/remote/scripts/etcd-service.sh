# etcd-service: says how the etcd of this machine is run, and changes nothing. Read by `facts::found`.
#
# Prints one section in the probe's frame, `etcd-service`:
#   host NAME                   of this machine
#   unit UNIT                   the systemd unit that runs it
#   program PATH                what runs
#   package NAME                that the program is of, where it is of one
#   client-package NAME         that etcdctl is of, likewise
#   env-file PATH               the unit's environment file, the first of several
#   set FLAG VALUE              what it was started with: certificates, listeners, a file of settings
#   certificate BASE64 PATH     of each certificate beside etcd's own that has a key ...
#   key PATH CERTIFICATE-PATH   ... and where that is. The key itself is not read.
set -u
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

SETTINGS='trusted-ca-file|cert-file|key-file|listen-client-urls|config-file'

# Of the process $1, the variables first: etcd takes a flag for more than a variable.
of_process() {
    tr '\n\0' ' \n' <"/proc/$1/environ" | of_variables
    tr '\n\0' ' \n' <"/proc/$1/cmdline" | of_arguments
}

owner() {
    if command -v dpkg-query >/dev/null; then
        # A file of a merged /usr is known by either of its names.
        { dpkg-query -S "$1" || dpkg-query -S "${1#/usr}"; } 2>/dev/null | sed -n '1s/[:,].*//p'
    elif command -v rpm >/dev/null; then
        rpm -qf --qf '%{NAME}\n' "$1" 2>/dev/null | grep -v ' ' | head -n 1
    fi
}

# The first certificate of a file, as base64 on one line.
body() {
    awk '/^-----BEGIN CERTIFICATE-----/ { inside = 1; next } /^-----END CERTIFICATE-----/ { exit }
        inside { sub(/\r$/, ""); printf "%s", $0 }' "$1"
}

# Every certificate in these folders that has a key: NAME.crt and NAME.key, NAME.pem and NAME-key.pem.
pairs() {
    for folder in "$@"; do
        for cert in "$folder"/*.crt "$folder"/*.pem; do
            case $cert in *-key.pem) continue ;; esac
            name=${cert%.*}
            for key in "$name.key" "$name-key.pem"; do
                if [ ! -f "$cert" ] || [ ! -f "$key" ]; then continue; fi
                text=$(body "$cert")
                printf 'certificate %s %s\n' "${text:-none}" "$cert"
                printf 'key %s %s\n' "$key" "$cert"
                break
            done
        done
    done
}

see() {
    pid=$(pgrep -o -x etcd) || { echo 'no etcd runs'; return 1; }
    printf 'host %s\n' "$(cat /proc/sys/kernel/hostname)"
    sed -n -E 's|^.*/([A-Za-z0-9@_.:-]+\.service)$|unit \1|p' "/proc/$pid/cgroup" | sort -u | head -n 1
    program=$(readlink "/proc/$pid/exe")
    printf 'program %s\n' "$program"
    package=$(owner "$program")
    [ -z "$package" ] || printf 'package %s\n' "$package"
    client=$(command -v etcdctl)
    package=$([ -z "$client" ] || owner "$client")
    [ -z "$package" ] || printf 'client-package %s\n' "$package"
    unit=$(sed -n -E 's|^.*/([A-Za-z0-9@_.:-]+\.service)$|\1|p' "/proc/$pid/cgroup" | head -n 1)
    file=$(systemctl show -p EnvironmentFiles --value -- "${unit:-etcd}" 2>/dev/null | head -n 1)
    [ -z "$file" ] || printf 'env-file %s\n' "${file% (*}"
    set=$(of_process "$pid" | sed -n -E "s/^($SETTINGS) /set &/p")
    [ -z "$set" ] || printf '%s\n' "$set"
    printf '%s\n' "$set" | sed -n -E 's|^set (trusted-ca\|cert)-file (/.*)/[^/]*$|\2|p' | sort -u | {
        while read -r folder; do
            [ ! -d "$folder" ] || pairs "$folder"
        done
    }
}

main() {
    echo '@@ etcd-service'
    if text=$(see 2>&1); then
        printf '%s\n' "$text" | sed 's/^/ /'
        echo '@@ end etcd-service ok'
    else
        printf '@@ end etcd-service unseen %s\n' "$(printf %s "$text" | tr '\n' ' ' | cut -c 1-300)"
    fi
    echo '@@ done'
}

main "$@" </dev/null
