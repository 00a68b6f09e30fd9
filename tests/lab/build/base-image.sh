#!/bin/bash
# Makes the base of the node image: a minimal Debian 12 with systemd and sshd.
# usage: base-image.sh OUTPUT.tar WORKDIR   (needs root; nothing is pulled from a registry of images)
set -euo pipefail
umask 022
# shellcheck source=apt.sh
. "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

OUTPUT=$1
WORK=$2
INCLUDE=systemd,systemd-sysv,dbus,openssh-server,sudo,iproute2,procps,ca-certificates,curl,openssl,gnupg

mirror=$(debian_mirror)

rm -rf "$WORK"
debootstrap --variant=minbase --include="$INCLUDE" bookworm "$WORK" "$mirror"
rm -rf "$WORK"/var/cache/apt/archives/*.deb "$WORK"/var/lib/apt/lists/* "$WORK"/etc/ssh/ssh_host_*
tar -C "$WORK" -c . >"$OUTPUT.part"
mv "$OUTPUT.part" "$OUTPUT"
rm -rf "$WORK"
