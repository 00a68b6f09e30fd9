#!/bin/bash
# Unpacks the image archive once into a containerd store kept in a volume; nodes
# get copies of it, which is far quicker than importing on every node.
# usage: image-store.sh NODE-IMAGE IMAGES.tar VOLUME   (docker is called as $ENGINE)
set -Eeuo pipefail

IMAGE=$1
ARCHIVE=$2
VOLUME=$3
read -r -a ENGINE <<<"${ENGINE:-docker}"
NAME=windlass-store-build

"${ENGINE[@]}" rm -f "$NAME" >/dev/null 2>&1 || true
"${ENGINE[@]}" volume rm -f "$VOLUME" >/dev/null
"${ENGINE[@]}" volume create --label windlass.cache=1 "$VOLUME" >/dev/null
# The daemon is stopped cleanly so that its databases are closed.
# shellcheck disable=SC2016  # expanded inside the container
"${ENGINE[@]}" run --rm --name "$NAME" --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
  -v "$VOLUME":/var/lib/containerd -v "$ARCHIVE":/images.tar:ro --entrypoint /bin/sh "$IMAGE" -ec '
    containerd >/tmp/containerd.log 2>&1 &
    daemon=$!
    for attempt in $(seq 50); do ctr version >/dev/null 2>&1 && break; sleep 0.2; done
    ctr -n k8s.io images import /images.tar
    kill "$daemon"
    wait "$daemon" || true
    touch /var/lib/containerd/.complete'
