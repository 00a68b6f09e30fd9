# Job: downloads an archive of etcd's programs. What tells that it is the one is its hash, not where it came from.
# Arguments: NAME(below Windlass's folder)  SHA256  URL
# Exit: 0 it is here, since now or since before; 75 what came has another hash: it was not kept; else curl's.

# Whatever the address, root's curl gets it as one: neither an option nor a pattern, and by no other protocol. A gigabyte is fifty
# times what etcd's archives are; a line that has been dead for a minute is given up.
download() {
    curl -fsSL --proto =http,https --globoff --connect-timeout 20 --speed-limit 1 --speed-time 60 --retry 3 \
        --max-filesize 1073741824 -o "$part" --url "$url"
}

main() {
    set -uf
    umask 077
    target=$WINDLASS_DIR/$1 sha256=$2 url=$3
    mkdir -p "${target%/*}" || return 1
    if [ -e "$target" ] && [ "$(sha256sum <"$target")" = "$sha256  -" ]; then
        echo "it is here"
        return 0
    fi
    part=$target.part
    trap 'rm -f "$part"' EXIT
    trap 'exit 143' HUP INT TERM
    download || return
    if [ "$(sha256sum <"$part")" != "$sha256  -" ]; then
        echo "refused: what came from $url has the SHA-256 $(sha256sum <"$part" | cut -d ' ' -f 1), not $sha256" >&2
        return 75
    fi
    sync "$part" && mv "$part" "$target" && sync "${target%/*}"
}
main "$@" </dev/null
