#!/bin/bash
# Makes the lab's apt repository: kubeadm, kubelet and kubectl packaged from the
# built binaries as VERSION-00, and Debian's own etcd packages of four suites.
# usage: packages.sh BINARIES OUTPUT STAMP...
set -Eeuo pipefail
umask 022

BINARIES=$1
OUTPUT=$2
shift 2
STAMPS=("$@")
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORK=$OUTPUT.work
# shellcheck source=apt.sh
. "$HERE/apt.sh"
POOL=$OUTPUT.part/pool
# suite:upstream version of etcd in it
ETCD=(bullseye:3.3.25 bookworm:3.4.23 trixie:3.5.16 forky:3.5.30)
KUBELET_DEPENDS="iptables (>= 1.4.21), iproute2, socat, util-linux, mount, ebtables, ethtool, conntrack"

# control NAME VERSION DEPENDS
control() {
  cat <<CONTROL
Package: $1
Version: $2-00
Architecture: amd64
Maintainer: Windlass lab <lab@windlass.invalid>
Section: misc
Priority: optional
Depends: $3
Homepage: https://kubernetes.io
Description: Kubernetes $1, built for the Windlass lab
 One source release stamped as $2. Not for real clusters.
CONTROL
}

# package NAME VERSION DEPENDS
package() {
  local name=$1 version=$2 root=$WORK/$1-$2
  mkdir -p "$root/DEBIAN" "$root/usr/bin"
  ln "$BINARIES/$version/$name" "$root/usr/bin/$name" 2>/dev/null || cp "$BINARIES/$version/$name" "$root/usr/bin/$name"
  control "$name" "$version" "$3" >"$root/DEBIAN/control"
  if [ "$name" = kubelet ]; then
    install -D -m 644 "$HERE/packages/kubelet/kubelet.service" "$root/lib/systemd/system/kubelet.service"
    install -D -m 644 "$HERE/packages/kubelet/10-kubeadm.conf" "$root/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"
    install -m 755 "$HERE/packages/kubelet/postinst" "$root/DEBIAN/postinst"
    echo /etc/systemd/system/kubelet.service.d/10-kubeadm.conf >"$root/DEBIAN/conffiles"
  fi
  dpkg-deb --root-owner-group -Zgzip -z1 --build "$root" "$POOL/${name}_$version-00_amd64.deb"
}

fetch_etcd() {
  local mirror entry suite upstream version name apt=$WORK/apt
  mirror=$(debian_mirror)
  mkdir -p "$apt"
  for entry in "${ETCD[@]}"; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror ${entry%:*} main"
  done >"$apt/sources.list"
  private_apt "$apt"
  cd "$POOL"
  for entry in "${ETCD[@]}"; do
    suite=${entry%:*} upstream=${entry#*:}
    for name in etcd-server etcd-client; do
      version=$(apt-cache "${PRIVATE_APT[@]}" madison "$name" | awk -F' *[|] *' -v up="$upstream" 'index($2, up) == 1 { print $2; exit }')
      [ -n "$version" ] || { echo "$suite no longer carries $name $upstream" >&2; return 1; }
      apt-get "${PRIVATE_APT[@]}" download "$name=$version"
    done
  done
  # The oldest one's server asks for it, for an init script that nobody runs here.
  version=$(apt-cache "${PRIVATE_APT[@]}" madison pipexec | awk -F' *[|] *' -v suite="${ETCD[0]%:*}" 'index($3, suite) { print $2; exit }')
  apt-get "${PRIVATE_APT[@]}" download "pipexec=$version"
}

# etcd-server of the newest suite marks its user with a letter (`u!`) that Debian 12's systemd-sysusers does not know, and
# its installation then fails. The mark, which locks the account, is taken out; nothing else of the package is touched.
fit_to_debian_12() {
  local deb root=$WORK/refit
  for deb in "$POOL"/etcd-server_*.deb; do
    rm -rf "$root"
    dpkg-deb -R "$deb" "$root"
    grep -qs '^u!' "$root"/usr/lib/sysusers.d/*.conf || continue
    sed -i 's/^u!/u/' "$root"/usr/lib/sysusers.d/*.conf
    (cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    dpkg-deb --root-owner-group -Zgzip -z1 --build "$root" "$deb"
  done
}

# The key only proves to the nodes' apt that the repository is the lab's.
sign_repository() {
  export GNUPGHOME=$WORK/gnupg
  mkdir -m 700 "$GNUPGHOME"
  gpg --batch --passphrase '' --quick-generate-key 'Windlass lab <lab@windlass.invalid>' rsa3072 sign never
  gpg --batch --export >"$OUTPUT.part/windlass-lab.gpg"
  gpg --batch --clearsign -o InRelease Release
  gpgconf --kill gpg-agent || true
}

index_repository() {
  cd "$OUTPUT.part"
  apt-ftparchive packages pool >Packages
  gzip -k1 Packages
  apt-ftparchive -o APT::FTPArchive::Release::Origin=windlass-lab -o APT::FTPArchive::Release::Suite=lab \
    -o APT::FTPArchive::Release::Label=windlass-lab release . >"$WORK/Release"
  mv "$WORK/Release" Release
  sign_repository
}

main() {
  rm -rf "$WORK" "$OUTPUT.part"
  mkdir -p "$WORK" "$POOL"
  LOG=$WORK/build.log
  trap 'tail -n 20 "$LOG" >&2' ERR
  for version in "${STAMPS[@]}"; do
    package kubelet "$version" "$KUBELET_DEPENDS"
    package kubectl "$version" "libc6"
    package kubeadm "$version" "kubelet (>= 1.19.0), kubectl (>= 1.19.0)"
  done >>"$LOG" 2>&1
  {
    fetch_etcd
    fit_to_debian_12
    index_repository
  } >>"$LOG" 2>&1
  chmod -R a+rX "$OUTPUT.part"
  mv "$OUTPUT.part" "$OUTPUT"
  rm -rf "$WORK"
}

main
