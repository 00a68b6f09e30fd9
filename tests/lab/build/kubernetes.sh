#!/bin/bash
# Builds Kubernetes from Debian's source package once per version stamp.
# usage: kubernetes.sh OUTPUT "MINOR:ETCD-TAG..." STAMP...   (writes OUTPUT/STAMP/{kubeadm,kubelet,...})
#
# There is one source, 1.20.2; the version is a link-time string. Upgrades between
# stamps exercise kubeadm's own code, not what the later releases changed. The one thing that is changed: a kubeadm of one of
# the MINORs wants that etcd on stacked control planes, as each release brings its own; else no stamp would ever raise etcd.
set -Eeuo pipefail
umask 022
# shellcheck source=apt.sh
. "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

OUTPUT=$1
read -r -a ETCD <<<"$2"
shift 2
STAMPS=("$@")
WORK=$OUTPUT.work
GO=/usr/lib/go-1.19/bin
COMMANDS=(kubeadm kubelet kubectl kube-apiserver kube-controller-manager kube-scheduler)

stage() { printf '[%4ds]   kubernetes: %s\n' "$SECONDS" "$*" >&2; }

fetch_source() {
  local mirror apt=$WORK/apt
  mirror=$(debian_mirror)
  mkdir -p "$apt"
  cat >"$apt/sources.list" <<SOURCES
deb $mirror bookworm main
deb-src $mirror bookworm main
SOURCES
  private_apt "$apt"
  cd "$WORK"
  apt-get "${PRIVATE_APT[@]}" source --download-only kubernetes
  apt-get "${PRIVATE_APT[@]}" download golang-github-modern-go-reflect2-dev
  rm -rf gopath reflect2
  mkdir -p gopath/src/k8s.io
  dpkg-source --no-check -x kubernetes_*.dsc gopath/src/k8s.io/kubernetes
  # The vendored reflect2 reads map internals that newer Go releases changed, and panics.
  dpkg-deb -x golang-github-modern-go-reflect2-dev_*.deb reflect2
  rm -rf gopath/src/k8s.io/kubernetes/vendor/github.com/modern-go/reflect2
  cp -r reflect2/usr/share/gocode/src/github.com/modern-go/reflect2 \
    gopath/src/k8s.io/kubernetes/vendor/github.com/modern-go/reflect2
}

version_flags() {
  local version=$1 major minor package flags="-s -w"
  IFS=. read -r major minor _ <<<"$version"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    package=k8s.io/kubernetes/vendor/$package
    flags+=" -X $package.gitVersion=v$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
    flags+=" -X $package.gitTreeState=clean -X $package.gitCommit=0000000000000000000000000000000000000000"
  done
  echo "$flags"
}

# want_etcd VERSION: kubeadm's table of etcd releases as it is, or with what VERSION's minor is to bring.
want_etcd() {
  local version=$1 entry minor table=cmd/kubeadm/app/constants/constants.go
  [ -f "$WORK/constants.go" ] || cp "$table" "$WORK/constants.go"
  IFS=. read -r _ minor _ <<<"$version"
  cp "$WORK/constants.go" "$table"
  for entry in "${ETCD[@]}"; do
    [ "${entry%%:*}" = "1.$minor" ] || continue
    awk -v minor="$minor" -v tag="${entry#*:}" '
      /SupportedEtcdVersion = map\[uint8\]string\{/ { inside = 1 }
      inside && $1 == minor ":" { next }
      inside && $1 == "}" { printf "\t\t%d: \"%s\",\n", minor, tag; inside = 0; written = 1 }
      { print }
      END { exit !written }' "$WORK/constants.go" >"$table"
  done
}

build_stamp() {
  local version=$1 command packages=()
  want_etcd "$version"
  for command in "${COMMANDS[@]}"; do packages+=("./cmd/$command"); done
  mkdir -p "$OUTPUT.part/$version"
  go build -trimpath -ldflags "$(version_flags "$version")" -o "$OUTPUT.part/$version/" "${packages[@]}"
}

main() {
  mkdir -p "$WORK"
  LOG=$WORK/build.log
  trap 'tail -n 20 "$LOG" >&2' ERR
  : >"$LOG"
  export PATH=$GO:$PATH GO111MODULE=off GOPATH=$WORK/gopath GOCACHE=$WORK/gocache CGO_ENABLED=0 GOFLAGS=-buildvcs=false
  if [ ! -f "$WORK/generated" ]; then
    stage "fetching the source package"
    fetch_source >>"$LOG" 2>&1
    cd "$GOPATH/src/k8s.io/kubernetes"
    stage "generating code"
    GOFLAGS='' make generated_files >>"$LOG" 2>&1
    touch "$WORK/generated"
  fi
  cd "$GOPATH/src/k8s.io/kubernetes"
  rm -rf "$OUTPUT.part"
  for version in "${STAMPS[@]}"; do
    stage "compiling $version"
    build_stamp "$version" >>"$LOG" 2>&1
  done
  mv "$OUTPUT.part" "$OUTPUT"
  # Only the results are worth keeping: the work folder is gigabytes.
  chmod -R u+w "$WORK"
  rm -rf "$WORK"
  stage "done"
}

main
