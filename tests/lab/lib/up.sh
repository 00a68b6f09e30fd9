# `lab up`, `lab down` and `lab status`.
# shellcheck shell=bash

# One node's packages and start-of-life state: what an upgrade would have changed.
node_is_at_start() {
  local node=$1 packages wanted
  case $(role_of "$node") in
    etcd) packages=(etcd-server etcd-client) wanted=$LAB_ETCD_START ;;
    control-plane | worker) packages=(kubeadm kubelet kubectl) wanted=$LAB_START_VERSION-00 ;;
    *) return 0 ;;
  esac
  # shellcheck disable=SC2016  # dpkg-query's own format, then the remote shell
  lab_ssh "$node" \
    "dpkg-query -W -f '\${Version}\n' ${packages[*]}; apt-mark showhold" </dev/null 2>/dev/null \
    | awk -v wanted="$wanted" -v count="${#packages[@]}" '
        NR <= count && index($0, wanted) != 1 { bad = 1 }
        END { exit bad || NR < 2 * count }'
}

manifests_are_at_start() {
  local node
  for node in "${LAB_CONTROL_PLANES[@]}"; do
    on "$node" grep -q "kube-apiserver:v$LAB_START_VERSION\$" /etc/kubernetes/manifests/kube-apiserver.yaml || return 1
    [ "$LAB_TOPOLOGY" != stacked ] || on "$node" grep -q "etcd:$(etcd_image_tag)\$" /etc/kubernetes/manifests/etcd.yaml || return 1
  done
}

# Says on the way what keeps the lab from being used as it is.
is_at_start() {
  local node
  [ -f "$LAB_STATE/up" ] || { stage "no lab is up"; return 1; }
  [ "$(cat "$LAB_STATE/up")" = "$NODE_TAG" ] || { stage "the lab is of another build"; return 1; }
  for node in "${LAB_NODES[@]}"; do
    [ "$(container_state "$node")" = running ] || { stage "$node does not run"; return 1; }
  done
  (in_parallel node_is_at_start "${LAB_NODES[@]}") 2>/dev/null || { stage "a node's packages or holds are not as at the start"; return 1; }
  manifests_are_at_start || { stage "a control plane has been upgraded"; return 1; }
  etcd_is_healthy >/dev/null 2>&1 || { stage "etcd is not healthy"; return 1; }
  wait_briefly nodes_are_ready cp1 "$LAB_START_VERSION" || { stage "a node is not ready, or cordoned"; return 1; }
  wait_briefly workload_is_ready cp1 || { stage "the workload is not ready"; return 1; }
  wait_briefly pods_are_running cp1 || { stage "a pod does not run"; return 1; }
}

# A lab that was just healed needs a moment.
wait_briefly() {
  local attempt
  for attempt in {1..15}; do
    "$@" 2>/dev/null && return
    sleep 1
  done
  say "$1: not within $attempt s"
  return 1
}

# Machines that have ssh, sudo and a package source.
make_bare_lab() {
  start_nodes
  stage "${#LAB_MACHINES[@]} machines are up, with nothing on them"
}

start_nodes() {
  stage "removing what is left of an earlier lab"
  rm -f "$LAB_STATE/up"
  remove_everything
  rm -rf "$LAB_STATE/logs"
  mkdir -p "$LAB_STATE/logs"
  make_identities
  make_network
  echo "$LAB_TOPOLOGY" >"$LAB_STATE/topology"
  stage "starting ${#LAB_NODES[@]} nodes"
  in_parallel create_node "${LAB_NODES[@]}"
  in_parallel wait_for_ssh "${LAB_NODES[@]}"
}

make_lab() {
  find_windlass
  start_nodes
  begin_cluster
  apply_workload
  make_reader
  in_parallel refresh_packages "${LAB_ETCD[@]}" "${LAB_KUBE_NODES[@]}"
  stage "waiting for nodes and workload"
  wait_until 120 "all nodes are ready" nodes_are_ready cp1 "$LAB_START_VERSION"
  wait_until 120 "the workload is ready" workload_is_ready cp1
  wait_until 120 "all pods run" pods_are_running cp1
  echo "$NODE_TAG" >"$LAB_STATE/up"
}

lab_up() {
  local fresh=no topology=external
  while [ $# -gt 0 ]; do
    case $1 in
      --fresh) fresh=yes ;;
      --stacked) topology=stacked ;;
      --bare) LAB_BARE=yes fresh=yes ;;
      --etcd) LAB_ETCD_START=${2:-}; shift ;;
      *) die "usage: lab up [--fresh] [--stacked] [--bare] [--etcd VERSION]" ;;
    esac
    shift || break
  done
  [[ " ${LAB_ETCD_PACKAGED[*]} " == *" $LAB_ETCD_START "* ]] || die "no such etcd: one of ${LAB_ETCD_PACKAGED[*]}"
  [ $topology = external ] || [ -n "$(etcd_image_tag)" ] || die "no such etcd in an image: one of ${LAB_ETCD_IMAGES[*]#*:}"
  [ "$topology" = "$LAB_TOPOLOGY" ] || fresh=yes
  use_topology "$topology"
  lab_build
  artefact_names
  write_inventory
  if [ $fresh = no ] && is_at_start; then
    stage "the lab is up and at its start versions"
    return
  fi
  if [ "$LAB_BARE" = yes ]; then
    make_bare_lab
    return
  fi
  make_lab
  stage "the lab is up: inventory inventories/$(inventory_name).toml"
}

lab_down() {
  engine info >/dev/null 2>&1 || { say "the container engine is not running: nothing to take down"; return; }
  remove_everything
  rm -f "$LAB_STATE/up"
}

# shellcheck disable=SC2016  # dpkg-query's own format
node_version() {
  case $(role_of "$1") in
    etcd) on "$1" dpkg-query -W -f '${Version}' etcd-server ;;
    control-plane | worker) on "$1" dpkg-query -W -f '${Version}' kubelet ;;
    *) echo - ;;
  esac 2>/dev/null || echo '?'
}

status_line() {
  local node=$1 state answers=no version='?'
  state=$(container_state "$node")
  if [ "$state" = running ]; then
    is_connected "$node" || state="cut"
    version=$(node_version "$node")
    if answers_ssh "$node"; then answers=yes; fi
  fi
  printf '%-7s %-13s %-10s %-4s %-14s %s\n' "$node" "${LAB_ADDRESS[$node]}" "$state" "$answers" "$(role_of "$node")" "$version" \
    >"$STATUS_DIR/$node"
}

lab_status() {
  local node
  STATUS_DIR=$(mktemp -d)
  for node in "${LAB_NODES[@]}"; do status_line "$node" & done
  wait
  printf '%-7s %-13s %-10s %-4s %-14s %s\n' NODE ADDRESS CONTAINER SSH ROLE VERSION
  for node in "${LAB_NODES[@]}"; do cat "$STATUS_DIR/$node"; done
  rm -rf "$STATUS_DIR"
}
