# Who is who in the lab: the SSH key and host keys. Made once, kept in .state,
# so that a rebuilt lab is reached with the same keys.
# shellcheck shell=bash

node_files() { printf '%s/nodes/%s' "$LAB_STATE" "$1"; }

make_ssh_identity() {
  [ -f "$LAB_STATE/id_ed25519" ] || ssh-keygen -q -t ed25519 -N '' -C windlass-lab -f "$LAB_STATE/id_ed25519"
  local node keys
  : >"$LAB_STATE/known_hosts.new"
  for node in "${LAB_NODES[@]}"; do
    keys=$(node_files "$node")/host-keys
    mkdir -p "$keys"
    [ -f "$keys/ssh_host_ed25519_key" ] || ssh-keygen -q -t ed25519 -N '' -C "root@$node" -f "$keys/ssh_host_ed25519_key"
    printf '%s,%s %s\n' "${LAB_ADDRESS[$node]}" "$node" "$(cut -d' ' -f1,2 "$keys/ssh_host_ed25519_key.pub")" >>"$LAB_STATE/known_hosts.new"
  done
  mv "$LAB_STATE/known_hosts.new" "$LAB_STATE/known_hosts"
}

make_identities() {
  mkdir -p "$LAB_STATE"
  chmod 700 "$LAB_STATE"
  make_ssh_identity
}
