# The inventory Windlass reads to find the lab, one for each topology. Addresses are fixed
# and paths are relative to the inventory, so it always has the same bytes.
# shellcheck shell=bash

inventory_name() { if [ "$LAB_TOPOLOGY" = stacked ]; then echo lab-stacked; else echo lab; fi; }

etcd_table() {
  if [ "$LAB_TOPOLOGY" = stacked ]; then
    printf 'topology = "stacked"\n'
    return
  fi
  cat <<TOML
topology = "external"
service = "etcd"
package = "etcd-server"
client_package = "etcd-client"
ca = "/etc/etcd/pki/ca.crt"
cert = "/etc/etcd/pki/client.crt"
key = "/etc/etcd/pki/client.key"
env_file = "/etc/default/etcd"
TOML
}

inventory() {
  local node
  cat <<TOML
# Written by tests/lab/lab up.
format = 1
name = "$(inventory_name)"

[ssh]
user = "$LAB_USER"
port = 22
identity = "../tests/lab/.state/id_ed25519"
known_hosts = "../tests/lab/.state/known_hosts"
connect_timeout = "5s"
keepalive = "5s"
sudo = true

[api]
endpoint = "$LAB_ENDPOINT"

[etcd]
$(etcd_table)

# The one check that a container may not pass: it reads the kernel's configuration.
[kubeadm]
ignore_preflight_errors = ["SystemVerification"]

[bootstrap]
kubeadm = "../tests/lab/manifests/kubeadm.yaml"
containerd = "../tests/lab/build/node/containerd.toml"
heartbeat_ms = 250
election_ms = 2500
TOML
  for node in "${LAB_MACHINES[@]}"; do
    printf '\n[[node]]\nname = "%s"\naddress = "%s"\nroles = ["%s"]\n' "$node" "${LAB_ADDRESS[$node]}" "$(role_of "$node")"
  done
}

write_inventory() {
  local path
  path=$LAB_ROOT/inventories/$(inventory_name).toml
  mkdir -p "$(dirname "$path")"
  inventory >"$path.new"
  if cmp -s "$path.new" "$path"; then rm "$path.new"; else mv "$path.new" "$path"; fi
}
