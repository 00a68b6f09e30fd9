# Job: downloads an archive of etcd's programs. What tells that it is the one is its hash, not where it came from.
# Arguments: NAME(below Windlass's folder for them)  SHA256  URL
# Exit: 0 it is here, since now or since before; 75 what came has another hash: it was not kept; else curl's.
main() {
    set -uf
    umask 077
    target=$WINDLASS_DIR/etcd/$1 sha256=$2 url=$3
    mkdir -p "${target%/*}" || return 1
    if [ -e "$target" ] && [ "$(sha256sum <"$target")" = "$sha256  -" ]; then
        echo "it is here"
        return 0
    fi
    part=$target.part
    curl -fsSL --proto =http,https --globoff --connect-timeout 20 --retry 3 -o "$part" --url "$url" || return
    if [ "$(sha256sum <"$part")" != "$sha256  -" ]; then
        echo "refused: what came from $url has the SHA-256 $(sha256sum <"$part" | cut -d ' ' -f 1), not $sha256" >&2
        rm -f "$part"
        return 75
    fi
    sync "$part" && mv "$part" "$target" && sync "${target%/*}"
}
main "$@" </dev/null
