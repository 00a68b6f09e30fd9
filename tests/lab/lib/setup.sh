# `lab setup`: installs the Debian packages the lab is built with, starts the
# container engine where nothing else does, and raises the inotify limits that
# a dozen systemd containers need. Does nothing when all of that is there.
# shellcheck shell=bash

SETUP_PACKAGES=(
  docker.io debootstrap openssh-client openssl curl ca-certificates gnupg
  golang-1.19-go gcc libc6-dev make rsync file dpkg-dev apt-utils xz-utils
  jq protobuf-compiler libprotobuf-dev shellcheck
)

missing_packages() {
  local package
  for package in "${SETUP_PACKAGES[@]}"; do
    dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^.i' || echo "$package"
  done
}

agree_to_install() {
  local answer
  [ "${CI:-}" = true ] && return
  [ -t 0 ] || return 0
  read -r -p "Install them? [y/N] " answer
  [[ $answer == [yY]* ]] || die "nothing installed"
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" -gt 0 ] || return 0
  say "lab setup installs these Debian packages: ${missing[*]}"
  agree_to_install
  local log=$LAB_CACHE/logs/setup-apt.log
  quiet "$log" as_root apt-get update
  quiet "$log" as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

# A service that listens: people decide themselves whether their machine has one. RUNLEVEL keeps it from being started.
install_sshd() {
  [ "${CI:-}" = true ] && [ ! -x /usr/sbin/sshd ] || return 0
  say "lab setup installs the Debian package openssh-server, for tests that start an sshd of their own"
  local log=$LAB_CACHE/logs/setup-apt.log
  quiet "$log" as_root apt-get update
  quiet "$log" as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends openssh-server
}

raise_inotify_limits() {
  local key want
  for key in max_user_instances:8192 max_user_watches:1048576; do
    want=${key#*:}
    key=/proc/sys/fs/inotify/${key%:*}
    [ "$(cat "$key")" -ge "$want" ] || echo "$want" | as_root tee "$key" >/dev/null
  done
}

engine_answers() {
  timeout 20 docker info >/dev/null 2>&1 || as_root timeout 20 docker info >/dev/null 2>&1
}

# forget_stale FILE NAME: removes a pid file whose process is gone, or is another one by now.
forget_stale() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] || as_root rm -f "$1"
}

# Where PID 1 is not systemd nobody starts the engine; a killed one leaves its pid files behind.
start_engine() {
  engine_answers && return
  stage "starting the container engine"
  local log=$LAB_CACHE/logs/dockerd.log
  mkdir -p "$(dirname "$log")"
  forget_stale /var/run/docker.pid dockerd
  forget_stale /var/run/docker/containerd/containerd.pid containerd
  # The init script gives up where it may not raise limits: then the daemon is started directly.
  if ! as_root service docker start >>"$log" 2>&1 || ! sleep 1 || ! pgrep -x dockerd >/dev/null; then
    as_root sh -c "setsid dockerd >>'$log' 2>&1 </dev/null &"
  fi
  for _ in {1..60}; do
    engine_answers && return
    sleep 0.5
  done
  tail -n 15 "$log" >&2
  die "the container engine does not answer (log: $log)"
}

lab_setup() {
  install_packages
  install_sshd
  raise_inotify_limits
  start_engine
  engine version >/dev/null
}
