# Shared by every part of the lab: what the lab is called, where its nodes live,
# where things are kept, and the handful of helpers everything else uses.
# shellcheck shell=bash
# shellcheck disable=SC2034  # read by the files that source this one

LAB_PREFIX=windlass-
LAB_LABEL=windlass.lab=1
LAB_NETWORK=windlass-lab
LAB_SUBNET=172.30.0.0/24
LAB_GATEWAY=172.30.0.1
LAB_USER=ops
LAB_START_VERSION=1.20.2
LAB_STAMPS=(1.20.2 1.20.15 1.21.14 1.22.17)
# What the node image has, and what the members begin with; `up --etcd` says another one of those that are packaged.
LAB_ETCD_BUILT=3.4.23
LAB_ETCD_START=$LAB_ETCD_BUILT
LAB_ETCD_PACKAGED=(3.3.25 3.4.23 3.5.16 3.5.30)
# Image tags of a stacked etcd, and what is in them: the first is the one that kubeadm 1.20 asks for.
LAB_ETCD_IMAGES=(3.4.13-0:3.4.23 3.5.16-0:3.5.16)
# Which minor's kubeadm brings which of them, where that is not what kubeadm 1.20's own table says: with 1.22 etcd moves, too.
LAB_ETCD_BROUGHT=(1.22:3.5.16-0)

LAB_INFRA=(repo)
LAB_BALANCERS=(lb1 lb2)
LAB_CONTROL_PLANES=(cp1 cp2 cp3)
LAB_WORKERS=(w1 w2)
LAB_KUBE_NODES=("${LAB_CONTROL_PLANES[@]}" "${LAB_WORKERS[@]}")

# use_topology external|stacked: whether etcd has machines of its own. Node order is the inventory's order; repo comes first
# because the rest needs it.
use_topology() {
  LAB_TOPOLOGY=$1
  LAB_ETCD=()
  [ "$LAB_TOPOLOGY" = stacked ] || LAB_ETCD=(etcd1 etcd2 etcd3)
  LAB_MACHINES=("${LAB_ETCD[@]}" "${LAB_KUBE_NODES[@]}" "${LAB_BALANCERS[@]}")
  LAB_NODES=("${LAB_INFRA[@]}" "${LAB_MACHINES[@]}")
}

# Whether machines are left with nothing on them.
LAB_BARE=no

declare -A LAB_ADDRESS=(
  [repo]=172.30.0.5 [lb1]=172.30.0.8 [lb2]=172.30.0.9
  [etcd1]=172.30.0.11 [etcd2]=172.30.0.12 [etcd3]=172.30.0.13
  [cp1]=172.30.0.21 [cp2]=172.30.0.22 [cp3]=172.30.0.23
  [w1]=172.30.0.31 [w2]=172.30.0.32
)

# The address that the load balancers share, and the API's port there.
LAB_ENDPOINT=172.30.0.10:6443

LAB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LAB_ROOT=$(cd "$LAB_DIR/../.." && pwd)
LAB_STATE=$LAB_DIR/.state
use_topology "$(cat "$LAB_STATE/topology" 2>/dev/null || echo external)"
LAB_CACHE=${WINDLASS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/windlass}

say() { printf '%s\n' "$*" >&2; }
die() { printf 'lab: %s\n' "$*" >&2; exit 1; }

# stage TEXT: one line as a stage starts, with the time since the command began.
stage() { printf '[%4ds] %s\n' "$SECONDS" "$*" >&2; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -- "$@"; fi
}

# The client may be allowed to talk to the engine without root; ask once.
LAB_ENGINE=()
engine() {
  if [ "${#LAB_ENGINE[@]}" -eq 0 ]; then
    LAB_ENGINE=(docker)
    docker info >/dev/null 2>&1 || [ "$(id -u)" -eq 0 ] || LAB_ENGINE=(sudo docker)
  fi
  "${LAB_ENGINE[@]}" "$@"
}

container() { printf '%s%s' "$LAB_PREFIX" "$1"; }

role_of() {
  case $1 in
    repo) echo packages ;;
    lb*) echo load-balancer ;;
    etcd*) echo etcd ;;
    cp*) echo control-plane ;;
    w*) echo worker ;;
    *) die "no such node: $1" ;;
  esac
}

known_node() { [ -n "${LAB_ADDRESS[$1]+x}" ] || die "no such node: $1 (one of: ${LAB_NODES[*]})"; }

# digest_of WORD-OR-FILE...: 16 hex digits over the contents of files and the text of other words.
digest_of() {
  local item
  for item in "$@"; do
    if [ -f "$item" ]; then sha256sum <"$item"; else printf '%s\n' "$item"; fi
  done | sha256sum | cut -c1-16
}

# quiet LOG COMMAND...: output goes to LOG, whose end is shown only when the command fails.
quiet() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1; then
    tail -n 25 "$log" >&2
    die "failed: $* (everything it said: $log)"
  fi
}

# in_parallel COMMAND ITEM...: runs COMMAND ITEM for all items at once; fails when one failed.
in_parallel() {
  local command=$1 item pid failed=0 pids=()
  shift
  for item in "$@"; do
    "$command" "$item" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  [ "$failed" -eq 0 ] || die "$command failed"
}
