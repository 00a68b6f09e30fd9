# kubeadm's configuration files for the lab: etcd on machines of its own or on the
# control planes, an endpoint that is the load balancer, and kubelet settings that a
# container can live with.
# shellcheck shell=bash

BOOTSTRAP_TOKEN=w1nd1a.55labtoken000000
# The one check a container may not pass: it reads the kernel's configuration, which
# some machines only keep in /boot. Nothing has to be ignored for upgrades.
# shellcheck disable=SC2034  # used when nodes are initialised and joined
PREFLIGHT_IGNORE=SystemVerification

# What init and a control plane's join share with a worker's join.
node_registration() {
  cat <<YAML
nodeRegistration:
  name: $1
  criSocket: /run/containerd/containerd.sock
  kubeletExtraArgs:
    node-ip: ${LAB_ADDRESS[$1]}
YAML
}

# The tag of the image with the etcd that the lab begins with; none when there is no such image.
etcd_image_tag() {
  local image
  for image in "${LAB_ETCD_IMAGES[@]}"; do
    [ "${image#*:}" != "$LAB_ETCD_START" ] || { echo "${image%%:*}"; return; }
  done
}

etcd_configuration() {
  local node
  if [ "$LAB_TOPOLOGY" = stacked ]; then
    printf 'etcd:\n  local:\n    dataDir: /var/lib/etcd\n'
    # A tag of one's own keeps etcd where it is when kubeadm upgrades: only where another one is asked for.
    [ "$LAB_ETCD_START" = "$LAB_ETCD_BUILT" ] || printf '    imageTag: %s\n' "$(etcd_image_tag)"
    printf '    extraArgs:\n      heartbeat-interval: "250"\n      election-timeout: "2500"\n'
    return
  fi
  printf 'etcd:\n  external:\n    endpoints:\n'
  for node in "${LAB_ETCD[@]}"; do echo "      - https://${LAB_ADDRESS[$node]}:2379"; done
  cat <<YAML
    caFile: /etc/kubernetes/pki/etcd/ca.crt
    certFile: /etc/kubernetes/pki/apiserver-etcd-client.crt
    keyFile: /etc/kubernetes/pki/apiserver-etcd-client.key
YAML
}

kubeadm_init_configuration() {
  cat <<YAML
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
bootstrapTokens:
  - token: $BOOTSTRAP_TOKEN
    ttl: 24h0m0s
localAPIEndpoint:
  advertiseAddress: ${LAB_ADDRESS[cp1]}
  bindPort: 6443
$(node_registration cp1)
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
kubernetesVersion: v$LAB_START_VERSION
clusterName: windlass-lab
controlPlaneEndpoint: ${LAB_ADDRESS[lb1]}:6443
$(etcd_configuration)
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
failSwapOn: false
imageGCHighThresholdPercent: 100
evictionHard:
  memory.available: 1%
  nodefs.available: 1%
  nodefs.inodesFree: 1%
  imagefs.available: 1%
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack:
  maxPerCore: 0
YAML
}

kubeadm_join_configuration() {
  local node=$1
  cat <<YAML
apiVersion: kubeadm.k8s.io/v1beta2
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: ${LAB_ADDRESS[lb1]}:6443
    token: $BOOTSTRAP_TOKEN
    unsafeSkipCAVerification: true
$(node_registration "$node")
YAML
  [ "$(role_of "$node")" = control-plane ] || return 0
  cat <<YAML
controlPlane:
  localAPIEndpoint:
    advertiseAddress: ${LAB_ADDRESS[$node]}
    bindPort: 6443
YAML
}
