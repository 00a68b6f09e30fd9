# The files a lab node is given before it first starts, laid out as its root
# file system and copied into the created container.
# shellcheck shell=bash

etcd_urls() {
  local node urls=()
  for node in "${LAB_ETCD[@]}"; do urls+=("$node=https://${LAB_ADDRESS[$node]}:2380"); done
  (IFS=,; echo "${urls[*]}")
}

etcd_environment() {
  local node=$1 address=${LAB_ADDRESS[$1]}
  cat <<ENV
ETCD_NAME="$node"
ETCD_DATA_DIR="/var/lib/etcd/default"
ETCD_LISTEN_PEER_URLS="https://$address:2380"
ETCD_LISTEN_CLIENT_URLS="https://127.0.0.1:2379,https://$address:2379"
ETCD_INITIAL_ADVERTISE_PEER_URLS="https://$address:2380"
ETCD_ADVERTISE_CLIENT_URLS="https://$address:2379"
ETCD_INITIAL_CLUSTER="$(etcd_urls)"
ETCD_INITIAL_CLUSTER_STATE="new"
ETCD_INITIAL_CLUSTER_TOKEN="windlass-lab"
ETCD_TRUSTED_CA_FILE="/etc/etcd/pki/ca.crt"
ETCD_CERT_FILE="/etc/etcd/pki/server.crt"
ETCD_KEY_FILE="/etc/etcd/pki/server.key"
ETCD_CLIENT_CERT_AUTH="true"
ETCD_PEER_TRUSTED_CA_FILE="/etc/etcd/pki/ca.crt"
ETCD_PEER_CERT_FILE="/etc/etcd/pki/peer.crt"
ETCD_PEER_KEY_FILE="/etc/etcd/pki/peer.key"
ETCD_PEER_CLIENT_CERT_AUTH="true"
ETCD_HEARTBEAT_INTERVAL="250"
ETCD_ELECTION_TIMEOUT="2500"
ENV
}

etcd_files() {
  local node=$1 root=$2 pki=$2/etc/etcd/pki
  mkdir -p "$pki" "$root/etc/default"
  cp "$LAB_STATE/etcd/ca.crt" "$LAB_STATE"/etcd/client.{crt,key} "$(node_files "$node")"/etcd-pki/{server,peer}.{crt,key} "$pki"
  chmod 640 "$pki"/*.key
  etcd_environment "$node" >"$root/etc/default/etcd"
  echo 'chown -R root:etcd /etc/etcd/pki' >>"$root/etc/lab-first-boot"
}

haproxy_configuration() {
  local node
  cat <<CFG
global
  log stdout format raw local0
  maxconn 4000

defaults
  mode tcp
  log global
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout check 4s

frontend api
  bind ${LAB_ADDRESS[lb1]}:6443
  default_backend control-planes

backend control-planes
  balance roundrobin
  option httpchk GET /readyz
  http-check expect status 200
  default-server check check-ssl verify none inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
CFG
  for node in "${LAB_CONTROL_PLANES[@]}"; do echo "  server $node ${LAB_ADDRESS[$node]}:6443"; done
}

lb_files() {
  mkdir -p "$2/etc/haproxy" "$2/etc/systemd/system/multi-user.target.wants"
  haproxy_configuration >"$2/etc/haproxy/haproxy.cfg"
  ln -s /lib/systemd/system/haproxy.service "$2/etc/systemd/system/multi-user.target.wants/haproxy.service"
}

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

kube_files() {
  local node=$1 root=$2
  cni_files "$node" "$root"
  [ "$LAB_BARE" = no ] || return 0
  if [ "$(role_of "$node")" = control-plane ]; then
    local pki=$root/etc/kubernetes/pki
    mkdir -p "$pki/etcd"
    if [ "$LAB_TOPOLOGY" = external ]; then
      cp "$LAB_STATE"/etcd/apiserver-etcd-client.{crt,key} "$pki"
      cp "$LAB_STATE/etcd/ca.crt" "$pki/etcd/ca.crt"
      chmod 600 "$pki/apiserver-etcd-client.key"
    fi
    kubeadm_init_configuration >"$root/etc/kubernetes/kubeadm-init.yaml"
    chmod 600 "$root/etc/kubernetes/kubeadm-init.yaml"
  fi
  kubeadm_join_configuration "$node" >"$root/etc/kubernetes-join.yaml"
  chmod 600 "$root/etc/kubernetes-join.yaml"
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
    load-balancer) lb_files "$node" "$root" ;;
    etcd) [ "$LAB_BARE" = yes ] || etcd_files "$node" "$root" ;;
    control-plane | worker) kube_files "$node" "$root" ;;
  esac
}
