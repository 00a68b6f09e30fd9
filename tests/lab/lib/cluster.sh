# Windlass makes a cluster out of started nodes; the workload, and the question
# whether all of that is well.
# shellcheck shell=bash

wait_until() {
  local seconds=$1 what=$2 deadline=$((SECONDS + $1))
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || die "after $seconds s still not: $what"
    sleep 0.5
  done
}

etcdctl_on() {
  local node=$1 pki=/etc/kubernetes/pki/etcd
  shift
  if [ "$LAB_TOPOLOGY" = stacked ]; then
    kubectl_on "$node" -n kube-system exec "etcd-$node" -- \
      etcdctl --cacert $pki/ca.crt --cert $pki/healthcheck-client.crt --key $pki/healthcheck-client.key "$@"
    return
  fi
  on "$node" env ETCDCTL_API=3 etcdctl --cacert /etc/etcd/pki/ca.crt --cert /etc/etcd/pki/client.crt --key /etc/etcd/pki/client.key "$@"
}

etcd_is_healthy() {
  local nodes=("${LAB_ETCD[@]}" "${LAB_CONTROL_PLANES[@]}")
  etcdctl_on "${nodes[0]}" endpoint health --cluster
}

kubectl_on() {
  local node=$1
  shift
  on "$node" kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"
}

# The windlass that makes the cluster: the one that is being tested, or this checkout's. It keeps what it has to keep in .state.
windlass() {
  WINDLASS_STATE=$LAB_STATE/operator "${LAB_WINDLASS[@]}" "$@"
}

find_windlass() {
  LAB_WINDLASS=("${WINDLASS:-}")
  [ -z "${WINDLASS:-}" ] || return 0
  stage "building windlass"
  (cd "$LAB_ROOT" && cargo build --locked --quiet) || die "windlass could not be built"
  LAB_WINDLASS=("${CARGO_TARGET_DIR:-$LAB_ROOT/target}/debug/windlass")
}

# The tag of the image with the etcd that the lab begins with; none when there is no such image.
etcd_image_tag() {
  local image
  for image in "${LAB_ETCD_IMAGES[@]}"; do
    [ "${image#*:}" != "$LAB_ETCD_START" ] || { echo "${image%%:*}"; return; }
  done
}

# The inventory to begin with: the lab's own; or one with an etcd of another release on its control planes. A tag of one's own
# keeps etcd where it is when kubeadm upgrades: only where another one is asked for.
beginning() {
  local inventory
  inventory=$LAB_ROOT/inventories/$(inventory_name).toml
  if [ "$LAB_TOPOLOGY" = external ] || [ "$LAB_ETCD_START" = "$LAB_ETCD_BUILT" ]; then
    echo "$inventory"
    return
  fi
  sed "/^clusterName:/a etcd:\n  local:\n    imageTag: $(etcd_image_tag)" "$LAB_DIR/manifests/kubeadm.yaml" >"$LAB_STATE/kubeadm.yaml"
  sed -e 's|"../tests/lab/|"../|' -e 's|"../manifests/kubeadm.yaml"|"kubeadm.yaml"|' -e 's|"../.state/|"|' "$inventory" >"$LAB_STATE/begin.toml"
  echo "$LAB_STATE/begin.toml"
}

# From machines with nothing on them; the time of each stage is printed.
begin_cluster() {
  local plan=$LAB_STATE/begin.json log=$LAB_STATE/logs/bootstrap.log signed=()
  if [ "$LAB_TOPOLOGY" = external ]; then
    signed=(--etcd "$LAB_ETCD_START" --ca-cert "$LAB_STATE/etcd/ca.crt" --ca-key "$LAB_STATE/etcd/ca.key")
    mkdir -p "$LAB_STATE/etcd"
    [ -f "$LAB_STATE/etcd/ca.crt" ] || quiet "$LAB_STATE/logs/authority.log" windlass certs authority "${signed[@]:2}"
  fi
  stage "windlass bootstrap plan"
  rm -f "$plan"
  quiet "$LAB_STATE/logs/plan.log" windlass bootstrap plan -i "$(beginning)" --kubernetes "$LAB_START_VERSION" "${signed[@]}" --out "$plan"
  stage "windlass bootstrap apply"
  windlass bootstrap apply "$plan" --yes 2>&1 | tee "$log" | while IFS= read -r line; do
    case $line in stage\ *) stage "  $line" ;; esac
  done || { tail -n 25 "$log" >&2; die "the cluster was not made (everything that was said: $log)"; }
  quiet "$LAB_STATE/logs/finish.log" windlass bootstrap finish "$plan" --yes
  on cp1 cat /etc/kubernetes/admin.conf >"$LAB_STATE/kubeconfig"
  chmod 600 "$LAB_STATE/kubeconfig"
}

# Who may only read, as the README has it made: for the tests that look at the API with no more than that.
make_reader() {
  local node
  kubectl_on cp1 apply -f - >/dev/null <"$LAB_ROOT/inventories/rbac/windlass-reader.yaml"
  for node in "${LAB_CONTROL_PLANES[@]}"; do
    on "$node" sh -s <"$LAB_ROOT/inventories/rbac/reader-kubeconfig.sh" >/dev/null
  done
}

apply_workload() {
  kubectl_on cp1 apply -f - >/dev/null <"$LAB_DIR/manifests/workload.yaml"
}

nodes_are_ready() {
  local node=$1 version=$2
  kubectl_on "$node" get nodes -o json | jq -e --arg version "v$version" --argjson count "${#LAB_KUBE_NODES[@]}" '
    (.items | length) == $count and all(.items[];
      .status.nodeInfo.kubeletVersion == $version and (.spec.unschedulable | not)
      and any(.status.conditions[]; .type == "Ready" and .status == "True"))' >/dev/null
}

workload_is_ready() {
  kubectl_on "$1" get deployment/web statefulset/db daemonset/agent -o json | jq -e '
    all(.items[]; (.status.readyReplicas // .status.numberReady // 0)
      == (.spec.replicas // .status.desiredNumberScheduled) and (.status.numberReady // 1) > 0)' >/dev/null
}

# A 1.20 kubelet tells that a startup probe has passed only with its next full sync, up to
# 90 s later: for the two components that have one and serve nobody, running is enough.
pods_are_running() {
  kubectl_on "$1" get pods -A -o json | jq -e '
    (.items | length) > 0 and all(.items[]; .status.phase == "Running"
      and (all(.status.containerStatuses[]?; .ready) or (.metadata.labels.component | IN("kube-controller-manager", "kube-scheduler"))))' >/dev/null
}

refresh_packages() {
  quiet "$LAB_STATE/logs/apt-$1.log" on "$1" apt-get update -q
}
