# Lab nodes as containers: creating, starting, finding and removing them.
# shellcheck shell=bash

NODE_CAPABILITIES=(
  SYS_ADMIN NET_ADMIN NET_RAW SYS_PTRACE SYSLOG IPC_LOCK SYS_NICE SYS_TIME
  DAC_READ_SEARCH LINUX_IMMUTABLE NET_BROADCAST MKNOD
)

# Naming capabilities instead of --privileged works where the machine itself lacks some.
node_options() {
  local capability other
  for capability in "${NODE_CAPABILITIES[@]}"; do echo "--cap-add=$capability"; done
  printf '%s\n' --security-opt=seccomp=unconfined --security-opt=apparmor=unconfined --security-opt=systempaths=unconfined \
    "--device-cgroup-rule=a *:* rwm" --tmpfs=/run --tmpfs=/run/lock --cgroupns=private --env=container=docker --sysctl=net.ipv4.ip_forward=1 \
    --volume="$LAB_DIR/resolv.conf:/etc/resolv.conf:ro" --label="$LAB_LABEL" --network="$LAB_NETWORK"
  for other in "${LAB_NODES[@]}"; do echo "--add-host=$other:${LAB_ADDRESS[$other]}"; done
}

# Volumes hold what an overlay cannot, and what has to survive a power loss.
node_volumes() {
  local node=$1
  case $(role_of "$node") in
    packages) echo "--volume=$REPOSITORY:/srv/repository:ro" ;;
    etcd) echo "--volume=$(container "$node")-etcd:/var/lib/etcd" ;;
    control-plane | worker)
      printf '%s\n' "--volume=$(container "$node")-containerd:/var/lib/containerd" "--volume=$(container "$node")-kubelet:/var/lib/kubelet"
      [ ! -e /dev/kmsg ] || printf '%s\n' --volume=/dev/kmsg:/dev/kmsg --device=/dev/kmsg
      ;;
  esac
}

node_image() {
  case $(role_of "$1") in
    packages) echo "windlass-lab/infra:$NODE_TAG" ;;
    *) echo "windlass-lab/bare:$NODE_TAG" ;;
  esac
}

# What an image store's files say never changes, so nodes share them through hard links; its databases are copied.
fill_image_store() {
  local from to
  engine volume create --label "$LAB_LABEL" "$(container "$1")-containerd" >/dev/null
  from=$(volume_path "$IMAGE_STORE")
  to=$(volume_path "$(container "$1")-containerd")
  # shellcheck disable=SC2016  # expanded by the inner shell
  as_root sh -ec '
    cp -al "$1/." "$2/" 2>/dev/null || cp -a "$1/." "$2/"
    cd "$2"
    find . -name "*.db" | while read -r file; do cp -a "$file" "$file.copy"; mv "$file.copy" "$file"; done
    rm -f .complete' sh "$from" "$to"
}

create_node() {
  local node=$1 options=() volumes=()
  lay_out_node "$node"
  case $(role_of "$node") in control-plane | worker) fill_image_store "$node" ;; esac
  mapfile -t options < <(node_options)
  mapfile -t volumes < <(node_volumes "$node")
  engine create --name "$(container "$node")" --hostname "$node" --ip "${LAB_ADDRESS[$node]}" \
    "${options[@]}" "${volumes[@]}" "$(node_image "$node")" >/dev/null
  tar -C "$(node_files "$node")/root" --owner=0 --group=0 -c . | engine cp - "$(container "$node"):/"
  engine start "$(container "$node")" >/dev/null
}

make_network() {
  engine network create --subnet "$LAB_SUBNET" --gateway "$LAB_GATEWAY" --label "$LAB_LABEL" \
    -o com.docker.network.bridge.enable_ip_masquerade=false -o com.docker.network.bridge.name=windlass0 "$LAB_NETWORK" >/dev/null
}

# Removes whatever an earlier lab left, in whatever state it is.
remove_everything() {
  local found
  mapfile -t found < <(engine ps -aq --filter "label=$LAB_LABEL")
  if [ "${#found[@]}" -gt 0 ]; then
    # A paused container cannot be removed by every engine.
    engine ps -q --filter "label=$LAB_LABEL" --filter status=paused | xargs -r "${LAB_ENGINE[@]}" unpause >/dev/null
    engine rm -f -v "${found[@]}" >/dev/null
  fi
  mapfile -t found < <(engine volume ls -q --filter "label=$LAB_LABEL"; engine volume ls -q --filter "name=^${LAB_PREFIX}(etcd|cp|w)[0-9]+-")
  [ "${#found[@]}" -eq 0 ] || engine volume rm -f "${found[@]}" >/dev/null
  mapfile -t found < <(engine network ls -q --filter "name=^$LAB_NETWORK\$")
  [ "${#found[@]}" -eq 0 ] || engine network rm "${found[@]}" >/dev/null
}

container_state() { engine inspect -f '{{.State.Status}}' "$(container "$1")" 2>/dev/null || echo absent; }

# on NODE COMMAND...: as root, without SSH; for bringing nodes up, not for what is tested.
on() {
  local node=$1
  shift
  engine exec -i "$(container "$node")" "$@"
}

# lab_ssh NODE [COMMAND]: as the user Windlass would be; gives up on a node that hangs.
lab_ssh() {
  local node=$1
  shift
  ssh -F none -i "$LAB_STATE/id_ed25519" -o UserKnownHostsFile="$LAB_STATE/known_hosts" -o GlobalKnownHostsFile=/dev/null \
    -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR \
    -o ConnectTimeout=3 -o ServerAliveInterval=3 -o ServerAliveCountMax=3 "$LAB_USER@${LAB_ADDRESS[$node]}" "$@"
}

answers_ssh() { lab_ssh "$1" true </dev/null >/dev/null 2>&1; }

wait_for_ssh() {
  local node=$1 attempt
  for attempt in {1..120}; do
    answers_ssh "$node" && return
    sleep 0.5
  done
  die "$node does not answer ssh after $attempt attempts"
}
