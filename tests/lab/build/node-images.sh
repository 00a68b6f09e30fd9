#!/bin/bash
# Builds the node images from the base archive.
# usage: node-images.sh BASE.tar REPOSITORY WORKDIR TAG
# (docker is called as $ENGINE; images are windlass-lab/{infra,bare}:TAG)
set -Eeuo pipefail

BASE=$1
REPOSITORY=$2
WORK=$3
TAG=$4
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
read -r -a ENGINE <<<"${ENGINE:-docker}"

rm -rf "$WORK"
mkdir -p "$WORK"
cp -r "$HERE"/node/. "$WORK"
cp "$REPOSITORY/windlass-lab.gpg" "$WORK"

"${ENGINE[@]}" import "$BASE" "windlass-lab/base:$TAG"
for target in infra bare; do
  DOCKER_BUILDKIT=0 "${ENGINE[@]}" build --network host --build-arg BASE="windlass-lab/base:$TAG" \
    --target "$target" --tag "windlass-lab/$target:$TAG" "$WORK"
done
rm -rf "$WORK"
