#!/bin/bash
# Packs the container images the cluster runs into one archive that
# `ctr images import` reads, without an engine and without pulling anything.
# usage: images.sh BINARIES OUTPUT.tar STAMP...
set -Eeuo pipefail
umask 022

BINARIES=$1
OUTPUT=$2
shift 2
STAMPS=("$@")
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORK=$OUTPUT.work
REGISTRY=k8s.gcr.io

# layer NAME FILE-IN-IMAGE SOURCE: one executable becomes one layer; prints its digest.
layer() {
  local name=$1 path=$2 source=$3 root=$WORK/roots/$1
  mkdir -p "$root$(dirname "$path")" "$root/tmp" "$root/etc"
  cp "$source" "$root$path"
  chmod 755 "$root$path"
  tar -C "$root" --owner=0 --group=0 --mtime=@0 --sort=name -cf "$WORK/out/$name.tar" .
  rm -rf "$root"
  sha256sum "$WORK/out/$name.tar" | cut -d' ' -f1
}

# image LAYER-NAME ENTRYPOINT FILE-IN-IMAGE SOURCE TAG...
image() {
  local name=$1 entrypoint=$2 path=$3 source=$4 digest
  shift 4
  digest=$(layer "$name" "$path" "$source")
  jq -n --arg entry "$entrypoint" --arg digest "sha256:$digest" '{
      architecture: "amd64", os: "linux", created: "2021-01-01T00:00:00Z",
      config: {Env: ["PATH=/usr/local/bin:/usr/bin:/bin"], Entrypoint: (if $entry == "" then null else [$entry] end)},
      rootfs: {type: "layers", diff_ids: [$digest]}}' >"$WORK/out/$name.json"
  jq -n --arg name "$name" '{Config: ($name + ".json"), Layers: [$name + ".tar"], RepoTags: $ARGS.positional}' \
    --args "$@" >>"$WORK/manifest.parts"
}

main() {
  local version name
  rm -rf "$WORK"
  mkdir -p "$WORK/out"
  gcc -O2 -static -s -o "$WORK/pause" "$HERE/images/pause.c"
  GO111MODULE=off CGO_ENABLED=0 GOCACHE=$WORK/gocache HOME=$WORK \
    /usr/lib/go-1.19/bin/go build -ldflags '-s -w' -o "$WORK/coredns" "$HERE/images/coredns.go"

  image pause /pause /pause "$WORK/pause" "$REGISTRY/pause:3.2" windlass.invalid/idle:1
  image coredns /coredns /coredns "$WORK/coredns" "$REGISTRY/coredns:1.7.0"
  local proxies=()
  for version in "${STAMPS[@]}"; do proxies+=("$REGISTRY/kube-proxy:v$version"); done
  image kube-proxy '' /usr/local/bin/kube-proxy "$WORK/pause" "${proxies[@]}"
  for version in "${STAMPS[@]}"; do
    for name in kube-apiserver kube-controller-manager kube-scheduler; do
      image "$name-$version" '' "/usr/local/bin/$name" "$BINARIES/$version/$name" "$REGISTRY/$name:v$version"
    done
  done
  jq -s . "$WORK/manifest.parts" >"$WORK/out/manifest.json"
  tar -C "$WORK/out" -cf "$OUTPUT.part" .
  mv "$OUTPUT.part" "$OUTPUT"
  chmod -R u+w "$WORK"
  rm -rf "$WORK"
}

main
