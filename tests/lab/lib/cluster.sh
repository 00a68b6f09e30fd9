# Making a cluster out of started nodes: etcd, kubeadm init, the joins, the
# workload, and the question whether all of that is well.
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

# Another etcd than the node image's, before there are any data.
# shellcheck disable=SC2016  # the node's shell
install_etcd() {
  quiet "$LAB_STATE/logs/etcd-$1.log" on "$1" sh -ec '
    export DEBIAN_FRONTEND=noninteractive
    version=$(apt-get update -q >&2 && apt-cache madison etcd-server | awk -v wanted="$1" "index(\$3, wanted) == 1 { print \$3; exit }")
    systemctl stop etcd
    apt-get install -q -y --allow-downgrades --allow-change-held-packages -o Dpkg::Options::=--force-confold \
      "etcd-server=$version" "etcd-client=$version"
    apt-mark hold etcd-server etcd-client
    systemctl stop etcd
    rm -rf /var/lib/etcd/default' sh "$LAB_ETCD_START"
}

# Only once none has data of before: one that has would not take the others for new members.
change_etcd() {
  local node
  in_parallel install_etcd "${LAB_ETCD[@]}"
  for node in "${LAB_ETCD[@]}"; do on "$node" systemctl start --no-block etcd; done
}

# A member that has its data joins by it: the flag only says how it first started.
start_etcd() {
  local node
  wait_until 60 "etcd is healthy" etcd_is_healthy
  for node in "${LAB_ETCD[@]}"; do
    on "$node" sed -i 's/^ETCD_INITIAL_CLUSTER_STATE=.*/ETCD_INITIAL_CLUSTER_STATE="existing"/' /etc/default/etcd
  done
}

kubectl_on() {
  local node=$1
  shift
  on "$node" kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"
}

init_first_control_plane() {
  quiet "$LAB_STATE/logs/kubeadm-init.log" on cp1 kubeadm init --config /etc/kubernetes/kubeadm-init.yaml \
    --ignore-preflight-errors="$PREFLIGHT_IGNORE"
  on cp1 cat /etc/kubernetes/admin.conf >"$LAB_STATE/kubeconfig"
  chmod 600 "$LAB_STATE/kubeconfig"
}

# What every control plane shares; the rest kubeadm makes on each.
share_authorities() {
  local node shared=(ca.crt ca.key sa.key sa.pub front-proxy-ca.crt front-proxy-ca.key)
  [ "$LAB_TOPOLOGY" = external ] || shared+=(etcd/ca.crt etcd/ca.key)
  for node in "${LAB_CONTROL_PLANES[@]:1}"; do
    on cp1 tar -C /etc/kubernetes/pki -c "${shared[@]}" \
      | on "$node" tar -C /etc/kubernetes/pki -x
  done
}

# Who may only read, as the README has it made: for the tests that look at the API with no more than that.
make_reader() {
  local node
  kubectl_on cp1 apply -f - >/dev/null <"$LAB_ROOT/inventories/rbac/windlass-reader.yaml"
  for node in "${LAB_CONTROL_PLANES[@]}"; do
    on "$node" sh -s <"$LAB_ROOT/inventories/rbac/reader-kubeconfig.sh" >/dev/null
  done
}

join_node() {
  local node=$1
  quiet "$LAB_STATE/logs/kubeadm-join-$node.log" on "$node" kubeadm join --config /etc/kubernetes-join.yaml \
    --ignore-preflight-errors="$PREFLIGHT_IGNORE"
  on "$node" rm -f /etc/kubernetes-join.yaml
  stage "$node has joined"
}

join_control_planes() {
  local node
  for node in "${LAB_CONTROL_PLANES[@]:1}"; do join_node "$node"; done
}

# Control planes one after another; workers meanwhile.
join_everyone() {
  local pids=() pid failed=0 node
  for node in "${LAB_WORKERS[@]}"; do
    join_node "$node" &
    pids+=($!)
  done
  join_control_planes || failed=1
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  [ "$failed" -eq 0 ] || die "a node did not join"
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
