# member-ready SERVICE CERTIFICATES(comma list of paths) PAIRS(comma list of CERTIFICATE:KEY:CA): what a machine that is to
# become a member of etcd has for it. Only looks.
#
# Prints the frame of the probe with one section, `ready`:
#   service LOADSTATE           of the service
#   certificate BODY PATH       its first certificate as base64; `none` where there is none
#   several PATH                it holds more than one
#   key yes|no|unasked PATH     whether the key is that of its certificate; unasked without openssl
#   signed yes|no|unasked PATH  whether the CA has signed the certificate
# Exit 0, whatever it sees.

main() {
    set -uf
    LC_ALL=C
    export LC_ALL
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
    echo '@@ ready'
    printf ' service %s\n' "$(systemctl show -p LoadState --value "$1" 2>/dev/null)"
    for path in $(printf %s "$2" | tr , ' '); do
        printf ' certificate %s %s\n' "$(body_of "$path")" "$path"
        [ "$(grep -c 'BEGIN CERTIFICATE' "$path" 2>/dev/null || true)" -le 1 ] || printf ' several %s\n' "$path"
    done
    for pair in $(printf %s "$3" | tr , ' '); do
        rest=${pair#*:}
        look_at_pair "${pair%%:*}" "${rest%%:*}" "${rest#*:}"
    done
    echo '@@ end ready ok'
    echo '@@ done'
}

body_of() {
    body=$(awk '/-----BEGIN CERTIFICATE-----/ { inside = 1; next } /-----END CERTIFICATE-----/ { exit } inside { printf "%s", $1 }' "$1" 2>/dev/null)
    printf %s "${body:-none}"
}

look_at_pair() {
    if ! command -v openssl >/dev/null; then
        if [ -s "$2" ]; then key=unasked; else key=no; fi
        printf ' key %s %s\n signed unasked %s\n' "$key" "$2" "$1"
        return
    fi
    public=$(openssl pkey -in "$2" -pubout 2>/dev/null </dev/null)
    key=no
    [ -z "$public" ] || [ "$public" != "$(openssl x509 -in "$1" -noout -pubkey 2>/dev/null)" ] || key=yes
    signed=no
    openssl verify -CAfile "$3" "$1" >/dev/null 2>&1 && signed=yes
    printf ' key %s %s\n signed %s %s\n' "$key" "$2" "$signed" "$1"
}

main "$@" </dev/null
