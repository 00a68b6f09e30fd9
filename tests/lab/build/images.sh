#!/bin/bash
# Packs the container images the cluster runs into one archive that
# `ctr images import` reads, without an engine and without pulling anything.
# usage: images.sh BINARIES REPOSITORY OUTPUT.tar "TAG:ETCD-VERSION..." STAMP...
set -Eeuo pipefail
umask 022

BINARIES=$1
REPOSITORY=$2
OUTPUT=$3
read -r -a ETCD <<<"$4"
shift 4
STAMPS=("$@")
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORK=$OUTPUT.work
REGISTRY=k8s.gcr.io

# layer NAME FILE-IN-IMAGE=SOURCE...: executables become one layer; prints its digest.
layer() {
  local name=$1 file root=$WORK/roots/$1
  shift
  mkdir -p "$root/tmp" "$root/etc"
  for file in "$@"; do install -D -m 755 "${file#*=}" "$root${file%%=*}"; done
  tar -C "$root" --owner=0 --group=0 --mtime=@0 --sort=name -cf "$WORK/out/$name.tar" .
  rm -rf "$root"
  sha256sum "$WORK/out/$name.tar" | cut -d' ' -f1
}

# image LAYER-NAME ENTRYPOINT "FILE-IN-IMAGE=SOURCE..." TAG...
image() {
  local name=$1 entrypoint=$2 files digest
  read -r -a files <<<"$3"
  shift 3
  digest=$(layer "$name" "${files[@]}")
  jq -n --arg entry "$entrypoint" --arg digest "sha256:$digest" '{
      architecture: "amd64", os: "linux", created: "2021-01-01T00:00:00Z",
      config: {Env: ["PATH=/usr/local/bin:/usr/bin:/bin"], Entrypoint: (if $entry == "" then null else [$entry] end)},
      rootfs: {type: "layers", diff_ids: [$digest]}}' >"$WORK/out/$name.json"
  jq -n --arg name "$name" '{Config: ($name + ".json"), Layers: [$name + ".tar"], RepoTags: $ARGS.positional}' \
    --args "$@" >>"$WORK/manifest.parts"
}

# etcd_image TAG VERSION: Debian's programs, which need this machine's C library and loader beside them.
etcd_image() {
  local tag=$1 version=$2 root=$WORK/etcd-$2 deb library files
  for deb in "$REPOSITORY"/pool/etcd-{server,client}_"$version"*.deb; do dpkg-deb -x "$deb" "$root"; done
  files="/usr/local/bin/etcd=$root/usr/bin/etcd /usr/local/bin/etcdctl=$root/usr/bin/etcdctl"
  [ ! -e "$root/usr/bin/etcdutl" ] || files+=" /usr/local/bin/etcdutl=$root/usr/bin/etcdutl"
  while read -r library; do files+=" $library=$library"; done < <(
    ldd "$root"/usr/bin/etcd* | awk '$3 ~ "^/" { print $3 } $1 ~ "^/.*[^:]$" { print $1 }' | sort -u)
  image "etcd-$version" '' "$files" "$REGISTRY/etcd:$tag"
}

main() {
  local version name entry
  rm -rf "$WORK"
  mkdir -p "$WORK/out"
  gcc -O2 -static -s -o "$WORK/pause" "$HERE/images/pause.c"
  GO111MODULE=off CGO_ENABLED=0 GOCACHE=$WORK/gocache HOME=$WORK \
    /usr/lib/go-1.19/bin/go build -ldflags '-s -w' -o "$WORK/coredns" "$HERE/images/coredns.go"

  image pause /pause "/pause=$WORK/pause" "$REGISTRY/pause:3.2" windlass.invalid/idle:1
  image coredns /coredns "/coredns=$WORK/coredns" "$REGISTRY/coredns:1.7.0"
  local proxies=()
  for version in "${STAMPS[@]}"; do proxies+=("$REGISTRY/kube-proxy:v$version"); done
  image kube-proxy '' "/usr/local/bin/kube-proxy=$WORK/pause" "${proxies[@]}"
  for version in "${STAMPS[@]}"; do
    for name in kube-apiserver kube-controller-manager kube-scheduler; do
      image "$name-$version" '' "/usr/local/bin/$name=$BINARIES/$version/$name" "$REGISTRY/$name:v$version"
    done
  done
  for entry in "${ETCD[@]}"; do etcd_image "${entry%%:*}" "${entry#*:}"; done
  jq -s . "$WORK/manifest.parts" >"$WORK/out/manifest.json"
  tar -C "$WORK/out" -cf "$OUTPUT.part" .
  mv "$OUTPUT.part" "$OUTPUT"
  chmod -R u+w "$WORK"
  rm -rf "$WORK"
}

main
