# Part of the probe: what is kept on this machine for going back. Put before it.
see_kept() {
  for file in "$STATE"/archives/*/node.tar.gz; do
    [ -f "$file" ] || continue
    run=${file%/*}
    printf 'archive %s %s %s\n' "${run##*/}" "$(stat -c %s "$file")" "$(sha256sum <"$file" | cut -d ' ' -f 1)"
  done
  for file in "$STATE"/packages/*/*.deb; do
    [ -f "$file" ] || continue
    run=${file%/*}
    printf 'package %s %s\n' "${run##*/}" "${file##*/}"
  done
  for file in "$STATE"/snapshots/*.db; do
    [ ! -f "$file" ] || printf 'snapshot %s %s\n' "${file##*/}" "$(stat -c %s "$file")"
  done
}
