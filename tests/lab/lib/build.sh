# `lab build`: makes what is slow (Kubernetes, packages, images, node images) once
# and keeps it under a digest of exactly the files that decide what comes out.
# shellcheck shell=bash
# shellcheck disable=SC2034  # the names of the artefacts are read by the files that source this one

BUILD_DIR=$LAB_DIR/build

# Each artefact's digest holds the digests of what it is made from.
artefact_names() {
  KUBERNETES_DIGEST=$(digest_of "$BUILD_DIR/kubernetes.sh" "$BUILD_DIR/apt.sh" "${LAB_ETCD_BROUGHT[@]}" "${LAB_STAMPS[@]}")
  PACKAGES_DIGEST=$(digest_of "$KUBERNETES_DIGEST" "$BUILD_DIR/packages.sh" "$BUILD_DIR/apt.sh" "$BUILD_DIR"/packages/*/*)
  IMAGES_DIGEST=$(digest_of "$PACKAGES_DIGEST" "$BUILD_DIR/images.sh" "$BUILD_DIR"/images/* "${LAB_ETCD_IMAGES[@]}")
  BASE_DIGEST=$(digest_of "$BUILD_DIR/base-image.sh" "$BUILD_DIR/apt.sh")
  NODE_TAG=$(digest_of "$BASE_DIGEST" "$PACKAGES_DIGEST" "$BUILD_DIR/node-images.sh" "$BUILD_DIR"/node/*)
  STORE_DIGEST=$(digest_of "$IMAGES_DIGEST" "$BUILD_DIR/image-store.sh" "$BUILD_DIR/node/containerd.toml")

  KUBERNETES_BINARIES=$LAB_CACHE/kubernetes-$KUBERNETES_DIGEST
  REPOSITORY=$LAB_CACHE/packages-$PACKAGES_DIGEST
  IMAGE_ARCHIVE=$LAB_CACHE/images-$IMAGES_DIGEST.tar
  BASE_ARCHIVE=$LAB_CACHE/base-$BASE_DIGEST.tar
  IMAGE_STORE=windlass-store-$STORE_DIGEST
}

node_images_exist() {
  local target
  for target in infra bare; do
    engine image inspect "windlass-lab/$target:$NODE_TAG" >/dev/null 2>&1 || return 1
  done
}

volume_path() { engine volume inspect -f '{{.Mountpoint}}' "$1" 2>/dev/null; }

image_store_exists() {
  local path
  path=$(volume_path "$IMAGE_STORE") && as_root test -f "$path/.complete"
}

everything_is_built() { artefact_names && node_images_exist && image_store_exists && [ -d "$REPOSITORY" ]; }

build_kubernetes() {
  [ -d "$KUBERNETES_BINARIES" ] && return
  stage "building Kubernetes ${LAB_STAMPS[*]} (about ten minutes on two cores)"
  "$BUILD_DIR/kubernetes.sh" "$KUBERNETES_BINARIES" "${LAB_ETCD_BROUGHT[*]}" "${LAB_STAMPS[@]}"
}

build_packages() {
  [ -d "$REPOSITORY" ] && return
  stage "packaging Kubernetes and fetching etcd"
  "$BUILD_DIR/packages.sh" "$KUBERNETES_BINARIES" "$REPOSITORY" "${LAB_STAMPS[@]}"
}

build_image_archive() {
  [ -f "$IMAGE_ARCHIVE" ] && return
  stage "packing container images"
  "$BUILD_DIR/images.sh" "$KUBERNETES_BINARIES" "$REPOSITORY" "$IMAGE_ARCHIVE" "${LAB_ETCD_IMAGES[*]}" "${LAB_STAMPS[@]}"
}

build_base() {
  [ -f "$BASE_ARCHIVE" ] && return
  stage "making the base system"
  quiet "$LAB_CACHE/logs/base-image.log" as_root "$BUILD_DIR/base-image.sh" "$BASE_ARCHIVE" "$LAB_CACHE/base.work"
}

build_node_images() {
  node_images_exist && return
  stage "building node images"
  quiet "$LAB_CACHE/logs/node-images.log" env ENGINE="${LAB_ENGINE[*]}" "$BUILD_DIR/node-images.sh" \
    "$BASE_ARCHIVE" "$REPOSITORY" "$LAB_CACHE/node.work" "$NODE_TAG"
}

build_image_store() {
  image_store_exists && return
  [ -f "$IMAGE_ARCHIVE" ] || build_image_archive
  stage "unpacking container images into a store"
  quiet "$LAB_CACHE/logs/image-store.log" env ENGINE="${LAB_ENGINE[*]}" "$BUILD_DIR/image-store.sh" \
    "windlass-lab/infra:$NODE_TAG" "$IMAGE_ARCHIVE" "$IMAGE_STORE"
}

lab_build() {
  lab_setup
  everything_is_built && return
  mkdir -p "$LAB_CACHE/logs"
  build_base
  build_kubernetes
  build_packages
  build_image_archive
  build_node_images
  build_image_store
  stage "everything is built"
}

# An etcd of the lab's as programs of this machine, its first one by default; unpacked beside the packages they come from.
# Nothing is installed.
lab_tools() {
  local tools deb version=${1:-$LAB_ETCD_BUILT}
  artefact_names
  tools=$REPOSITORY.tools${1:+-$1}
  if [ ! -d "$tools" ]; then
    for deb in "$REPOSITORY"/pool/etcd-{server,client}_"$version"*.deb; do
      dpkg-deb -x "$deb" "$tools.part"
    done
    mv "$tools.part" "$tools"
  fi
  echo "$tools/usr/bin"
}
