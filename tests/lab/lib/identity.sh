# Who is who in the lab: the SSH key and host keys, and etcd's certificate
# authority with its members' and clients' certificates. Made once, kept in
# .state, so that a rebuilt lab is reached with the same keys.
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

# certificate NAME COMMON-NAME USAGE [SUBJECT-ALTERNATIVE-NAMES]: signed by etcd's authority, in DIR/NAME.{crt,key}
certificate() {
  local path=$1 name=$2 usage=$3 alternative=${4:-}
  [ -f "$path.crt" ] && return
  mkdir -p "$(dirname "$path")"
  openssl ecparam -name prime256v1 -genkey -noout -out "$path.key"
  {
    echo "basicConstraints=CA:FALSE"
    echo "keyUsage=digitalSignature"
    echo "extendedKeyUsage=$usage"
    [ -z "$alternative" ] || echo "subjectAltName=$alternative"
  } >"$path.extensions"
  openssl req -new -key "$path.key" -subj "/O=windlass-lab/CN=$name" \
    | openssl x509 -req -CA "$LAB_STATE/etcd/ca.crt" -CAkey "$LAB_STATE/etcd/ca.key" -CAcreateserial \
      -days 3650 -extfile "$path.extensions" -out "$path.crt" 2>/dev/null
  rm -f "$path.extensions"
}

make_etcd_identity() {
  local node files alternative
  mkdir -p "$LAB_STATE/etcd"
  if [ ! -f "$LAB_STATE/etcd/ca.crt" ]; then
    openssl ecparam -name prime256v1 -genkey -noout -out "$LAB_STATE/etcd/ca.key"
    openssl req -x509 -new -key "$LAB_STATE/etcd/ca.key" -days 3650 -subj "/CN=windlass-lab-etcd-ca" \
      -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature -out "$LAB_STATE/etcd/ca.crt"
  fi
  certificate "$LAB_STATE/etcd/client" windlass-client clientAuth
  certificate "$LAB_STATE/etcd/apiserver-etcd-client" kube-apiserver-etcd-client clientAuth
  for node in "${LAB_ETCD[@]}"; do
    files=$(node_files "$node")/etcd-pki
    alternative="DNS:$node,DNS:localhost,IP:${LAB_ADDRESS[$node]},IP:127.0.0.1"
    certificate "$files/server" "$node" serverAuth,clientAuth "$alternative"
    certificate "$files/peer" "$node" serverAuth,clientAuth "$alternative"
  done
}

make_identities() {
  mkdir -p "$LAB_STATE"
  chmod 700 "$LAB_STATE"
  make_ssh_identity
  make_etcd_identity
}
