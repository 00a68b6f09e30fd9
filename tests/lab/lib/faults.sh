# Faults a cluster meets, and undoing them: power loss, a hang, a cut cable, a machine that is lost for good.
# shellcheck shell=bash

lab_kill() { known_node "$1"; engine kill -s KILL "$(container "$1")" >/dev/null; }

lab_pause() { known_node "$1"; engine pause "$(container "$1")" >/dev/null; }

lab_cut() { known_node "$1"; engine network disconnect "$LAB_NETWORK" "$(container "$1")"; }

# A machine that is lost with all its disks.
lab_destroy() {
  local volumes
  known_node "$1"
  engine rm -f -v "$(container "$1")" >/dev/null 2>&1 || true
  mapfile -t volumes < <(engine volume ls -q --filter "name=^$(container "$1")-")
  [ "${#volumes[@]}" -eq 0 ] || engine volume rm -f "${volumes[@]}" >/dev/null
}

# A new machine with nothing on it, at the name, the address and with the host key of the one that was.
lab_anew() {
  lab_destroy "$1"
  artefact_names
  create_node "$1"
  wait_for_ssh "$1"
}

is_connected() {
  engine inspect -f '{{json .NetworkSettings.Networks}}' "$(container "$1")" | jq -e --arg name "$LAB_NETWORK" 'has($name)' >/dev/null
}

# The engine forgets a node's --add-host lines when its network goes and comes back.
restore_hosts() {
  local node=$1 other lines=
  for other in "${LAB_NODES[@]}"; do
    [ "$other" = "$node" ] || lines+="${LAB_ADDRESS[$other]}"$'\t'"$other"$'\n'
  done
  on "$node" grep -qw repo /etc/hosts || printf '%s' "$lines" | engine exec -i "$(container "$node")" tee -a /etc/hosts >/dev/null
}

heal_node() {
  local node=$1
  is_connected "$node" || engine network connect --ip "${LAB_ADDRESS[$node]}" "$LAB_NETWORK" "$(container "$node")"
  case $(container_state "$node") in
    paused) engine unpause "$(container "$node")" >/dev/null ;;
    running) ;;
    absent) die "$node does not exist: lab up makes it" ;;
    *) engine start "$(container "$node")" >/dev/null ;;
  esac
  restore_hosts "$node"
  wait_for_ssh "$node"
}

lab_heal() {
  local node=${1:-all}
  if [ "$node" = all ]; then
    in_parallel heal_node "${LAB_NODES[@]}"
  else
    known_node "$node"
    heal_node "$node"
  fi
}
