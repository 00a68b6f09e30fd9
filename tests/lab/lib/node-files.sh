# The files a lab node is given before it first starts, laid out as its root
# file system and copied into the created container.
# shellcheck shell=bash

repo_files() {
  mkdir -p "$2/etc/lighttpd" "$2/etc/systemd/system/multi-user.target.wants"
  cat >"$2/etc/lighttpd/lighttpd.conf" <<'CFG'
server.document-root = "/srv/repository"
server.port = 80
server.username = "www-data"
server.groupname = "www-data"
server.errorlog = "/var/log/lighttpd/error.log"
CFG
  ln -s /lib/systemd/system/lighttpd.service "$2/etc/systemd/system/multi-user.target.wants/lighttpd.service"
}

# Pods reach their own node only: each node hands out addresses of its own, and nothing routes between them.
cni_files() {
  local node=$1 root=$2 subnet=10.244.${LAB_ADDRESS[$1]##*.}.0/24
  mkdir -p "$root/etc/cni/net.d"
  cat >"$root/etc/cni/net.d/10-lab.conflist" <<CNI
{
  "cniVersion": "0.4.0",
  "name": "lab",
  "plugins": [
    {"type": "ptp", "mtu": 1500, "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam", "ranges": [[{"subnet": "$subnet"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
  ]
}
CNI
}

# Leaves the node's tree in .state/nodes/NODE/root.
lay_out_node() {
  local node=$1 root
  root=$(node_files "$node")/root
  rm -rf "$root"
  mkdir -p "$root/etc/ssh" "$root/home/$LAB_USER/.ssh"
  cp "$(node_files "$node")"/host-keys/ssh_host_ed25519_key{,.pub} "$root/etc/ssh"
  cp "$LAB_STATE/id_ed25519.pub" "$root/home/$LAB_USER/.ssh/authorized_keys"
  chmod 700 "$root/home/$LAB_USER/.ssh"
  chmod 600 "$root/home/$LAB_USER/.ssh/authorized_keys"
  echo "chown -R $LAB_USER:$LAB_USER /home/$LAB_USER" >"$root/etc/lab-first-boot"
  case $(role_of "$node") in
    packages) repo_files "$node" "$root" ;;
    control-plane | worker) cni_files "$node" "$root" ;;
  esac
}
