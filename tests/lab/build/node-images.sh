#!/bin/bash
# Builds the node images from the base archive and the start versions' packages.
# usage: node-images.sh BASE.tar REPOSITORY WORKDIR TAG K8S-VERSION ETCD-VERSION
# (docker is called as $ENGINE; images are windlass-lab/{infra,etcd,kube,bare}:TAG)
set -Eeuo pipefail

BASE=$1
REPOSITORY=$2
WORK=$3
TAG=$4
KUBERNETES=$5
ETCD=$6
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
read -r -a ENGINE <<<"${ENGINE:-docker}"

rm -rf "$WORK"
mkdir -p "$WORK/kube" "$WORK/etcd"
cp -r "$HERE"/node/. "$WORK"
cp "$REPOSITORY/windlass-lab.gpg" "$WORK"
cp "$REPOSITORY"/pool/kube*_"$KUBERNETES"-00_amd64.deb "$WORK/kube"
cp "$REPOSITORY"/pool/etcd-*_"$ETCD"*.deb "$WORK/etcd"

"${ENGINE[@]}" import "$BASE" "windlass-lab/base:$TAG"
for target in infra etcd kube bare; do
  DOCKER_BUILDKIT=0 "${ENGINE[@]}" build --network host --build-arg BASE="windlass-lab/base:$TAG" \
    --target "$target" --tag "windlass-lab/$target:$TAG" "$WORK"
done
rm -rf "$WORK"
