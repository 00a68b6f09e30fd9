#!/bin/sh
# Asks the Kubernetes API, through this control plane's own API server, and changes nothing. Read by `facts::api`.
#
# usage: api.sh SECTIONS KUBECONFIG [NODE]
#
# SECTIONS is a comma list; with NODE, `nodes` is about that node alone. Needs root, and kubectl 1.19 or newer (older ones
# print jsonpath's objects as Go does, not as JSON). Sections are printed as in probe.sh. The server's readiness is
# always asked first: when it is not ready, nothing else is asked, so that a dead server costs one timeout and not four.
set -u

PKI=/etc/kubernetes/pki
MANIFEST=/etc/kubernetes/manifests/kube-apiserver.yaml
SCRATCH=

main() {
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
  LC_ALL=C
  export PATH LC_ALL
  KUBECONFIG=$2
  NODE=${3:-}
  export KUBECONFIG
  trap '[ -z "$SCRATCH" ] || rm -rf "$SCRATCH"' EXIT
  trap 'exit 129' HUP INT TERM PIPE

  # Whoever only asks for readiness wants to know that kubectl gets through, too.
  case ,$1, in *,nodes,*) quick=yes ;; *) quick=no ;; esac
  down=
  answer readyz
  for section in $(printf %s "$1" | tr , ' '); do
    case $section in
      readyz) ;;
      nodes | addresses | kubeadm | addons | kubelet-configs | stateful-sets | load | volumes) answer "$section" ;;
      *) printf '@@ %s\n@@ end %s unseen this script knows no such section\n' "$section" "$section" ;;
    esac
  done
  echo '@@ done'
}

# kubectl keeps what it discovers on disk: here, not in root's home.
answer() {
  printf '@@ %s\n' "$1"
  [ -n "$SCRATCH" ] || SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/windlass-api.XXXXXX") || down='no temporary folder could be made'
  if [ -n "$down" ]; then
    printf '@@ end %s unseen %s\n' "$1" "$down"
  elif text=$("see_$(printf %s "$1" | tr - _)" 2>"$SCRATCH/complaint"); then
    [ -z "$text" ] || printf '%s\n' "$text" | sed 's/^/ /'
    printf '@@ end %s ok\n' "$1"
  else
    why=$({ printf '%s\n' "$text"; cat "$SCRATCH/complaint"; } | tr '\n\t' '  ' | tail -c 400)
    [ "$1" != readyz ] || down=$why
    printf '@@ end %s unseen %s\n' "$1" "$why"
  fi
}

ask() { kubectl --server="$server" --cache-dir="$SCRATCH/cache" --request-timeout=10s "$@"; }

flag_of() { sed -n -E "s/^ *- *[\"']?--$1=([^\"' ]*).*/\1/p" "$MANIFEST" | head -n 1; }

# Its own address, not 127.0.0.1, which its certificate need not name; nor the load balancer, which picks any.
own_server() {
  [ -f "$MANIFEST" ] || { echo "this machine runs no API server: $MANIFEST is not here"; return 1; }
  host=$(flag_of advertise-address)
  port=$(flag_of secure-port)
  case $host in *:*) host="[$host]" ;; esac
  server=https://${host:-127.0.0.1}:${port:-6443}
}

see_readyz() {
  own_server || return
  printf 'server %s\n' "$server"
  if [ "$quick" = yes ] && command -v curl >/dev/null; then
    said=$(quick_readyz)
    case $?:$said in
      0:ok) echo ok; return ;;
      28:*) echo "$said"; return 1 ;; # no answer in time: kubectl would only wait again
    esac
  fi
  ask get --raw /readyz
}

# A quarter of what kubectl costs, with the certificate that the API server itself uses towards kubelets.
quick_readyz() {
  curl -sS -f --max-time 10 --noproxy '*' --cacert "$PKI/ca.crt" \
    --cert "$PKI/apiserver-kubelet-client.crt" --key "$PKI/apiserver-kubelet-client.key" "$server/readyz" 2>&1
}

# A tenth of what `-o json` would print, one line a part: strings are plain, objects are JSON.
see_nodes() {
  parts='node {.metadata.name}{"\n"}labels {.metadata.labels}{"\n"}annotations {.metadata.annotations}{"\n"}spec {.spec}{"\n"}conditions {.status.conditions}{"\n"}info {.status.nodeInfo}{"\n"}'
  own_server || return
  if [ -n "$NODE" ]; then
    ask get node --ignore-not-found -o jsonpath="$parts" -- "$NODE"
  else
    ask get nodes -o jsonpath="{range .items[*]}$parts{end}"
  fi
}

# Where each node is, for who has no inventory yet.
see_addresses() {
  own_server || return
  parts='node {.metadata.name}{"\n"}labels {.metadata.labels}{"\n"}address {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}'
  ask get nodes -o jsonpath="{range .items[*]}$parts{end}"
}

# One call for three sections, made by the first of them: kubectl's start costs more than its answer. The text that may have
# any lines comes last.
kube_system() {
  [ ! -f "$SCRATCH/kube-system" ] || return 0
  own_server || return
  names='{{range .items}}{{if eq .kind "ConfigMap"}}configmap{{else}}{{.kind}}{{end}} {{.metadata.name}}'
  images='{{if ne .kind "ConfigMap"}} {{(index .spec.template.spec.containers 0).image}}{{end}}{{"\n"}}{{end}}'
  text='{{range .items}}{{if and (eq .kind "ConfigMap") (eq .metadata.name "kubeadm-config")}}{{"kubeadm\n"}}{{.data.ClusterConfiguration}}{{end}}{{end}}'
  ask -n kube-system get configmaps,daemonsets,deployments -o go-template="$names$images$text" >"$SCRATCH/part" || return
  mv "$SCRATCH/part" "$SCRATCH/kube-system"
}

see_kubeadm() {
  kube_system || return
  grep -q '^kubeadm$' "$SCRATCH/kube-system" || { echo 'kube-system has no ConfigMap kubeadm-config'; return 1; }
  sed '1,/^kubeadm$/d' "$SCRATCH/kube-system"
}

see_addons() {
  kube_system || return
  sed -n -e '/^kubeadm$/q' -e 's/^DaemonSet kube-proxy /kube-proxy /p' -e 's/^Deployment coredns /coredns /p' "$SCRATCH/kube-system"
}

see_kubelet_configs() {
  kube_system || return
  sed -n -e '/^kubeadm$/q' -e 's/^configmap \(kubelet-config.*\)/\1/p' "$SCRATCH/kube-system"
}

# Columns and not jsonpath: kubectl 1.19 fails on a `range` over nothing (kubernetes/kubernetes#95882).
see_stateful_sets() {
  own_server || return
  ask get statefulsets --all-namespaces --no-headers \
    -o custom-columns=:.metadata.namespace,:.metadata.name,:.spec.replicas,:.status.readyReplicas
}

# What each node can take and what it has, pods that are alike on one line. kubectl holds all of them in memory, some 10 KiB each:
# of too many it is not asked.
MANY_PODS=20000
see_load() {
  own_server || return
  more=$(ask get --raw '/api/v1/pods?limit=1' | grep -o '"remainingItemCount":[0-9]*') || more=:0
  [ "${more#*:}" -lt "$MANY_PODS" ] || { echo "there are ${more#*:} pods, too many to be listed on a control plane"; return 1; }
  parts='allocatable {.metadata.name} {.status.allocatable.pods} {.status.allocatable.memory}{"\n"}'
  ask get nodes -o jsonpath="{range .items[*]}$parts{end}" || return
  ask get pods --all-namespaces --field-selector=status.phase!=Succeeded,status.phase!=Failed --no-headers \
    -o 'custom-columns=:.spec.nodeName,:.metadata.ownerReferences[0].kind,:.spec.containers[*].resources.requests.memory' \
    >"$SCRATCH/pods" || return
  sort "$SCRATCH/pods" | uniq -c | sed 's/^ */pods /'
}

# What pods keep on nodes: a line for each volume in a node's own folders, for each pod that nothing brings back, and for each
# volume of the cluster that is on one node alone. An owner is told as `KIND,`.
# shellcheck disable=SC2016 # $ is the template's
see_volumes() {
  own_server || return
  more=$(ask get --raw '/api/v1/pods?limit=1' | grep -o '"remainingItemCount":[0-9]*') || more=:0
  [ "${more#*:}" -lt "$MANY_PODS" ] || { echo "there are ${more#*:} pods, too many to be listed on a control plane"; return 1; }
  pod='{{$pod.spec.nodeName}} {{$pod.metadata.namespace}}/{{$pod.metadata.name}} {{range $pod.metadata.ownerReferences}}{{.kind}},{{end}}'
  each='{{range $kind, $of := .}}{{if eq $kind "hostPath"}}volume hostPath '$pod' {{$of.path}}{{"\n"}}{{end}}{{if eq $kind "emptyDir"}}volume emptyDir '$pod'{{"\n"}}{{end}}{{end}}'
  ask get pods --all-namespaces --field-selector=status.phase!=Succeeded,status.phase!=Failed \
    -o go-template='{{range $pod := .items}}{{if not $pod.metadata.ownerReferences}}volume none '"$pod"'{{"\n"}}{{end}}{{range $pod.spec.volumes}}'"$each"'{{end}}{{end}}' || return
  terms='{{range .spec.nodeAffinity.required.nodeSelectorTerms}}{{range .matchExpressions}}{{if eq .key "kubernetes.io/hostname"}}{{range .values}}'
  ask get persistentvolumes \
    -o go-template='{{range $volume := .items}}{{if .spec.nodeAffinity}}{{if .spec.nodeAffinity.required}}'"$terms"'local {{.}} {{$volume.metadata.name}} {{if $volume.spec.claimRef}}{{$volume.spec.claimRef.namespace}}/{{$volume.spec.claimRef.name}}{{end}}{{"\n"}}{{end}}{{end}}{{end}}{{end}}{{end}}{{end}}{{end}}'
}

main "$@" </dev/null
