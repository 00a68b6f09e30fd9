#!/bin/sh
# Looks at one machine and changes nothing on it. What it prints is read by `facts::probe`.
#
# usage: probe.sh SECTIONS PACKAGES ETCD_SERVICE ETCD_ENV_FILE ETCD_CA ETCD_CERT ETCD_KEY ETCD_PORT [ENDPOINT]
#
# SECTIONS and PACKAGES are comma lists; `-` stands for none. Needs root.
#
# Each section is printed as
#     @@ NAME
#      its lines, each behind one space, so that no content can pass for a marker
#     @@ end NAME ok            or            @@ end NAME unseen WHY
# and the answer ends with `@@ done`: without it the reader knows that the answer was cut short.
#
# A section function prints its lines and succeeds, or prints why it could not see and fails.
# Written for dash with procps, coreutils and systemd. The rpm branch has not been tried on real machines.
set -u

MANIFESTS=/etc/kubernetes/manifests
PKI=/etc/kubernetes/pki
HTTP_SECONDS=3 # a healthy server on this machine answers in milliseconds
SCRATCH=

main() {
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
  LC_ALL=C
  export PATH LC_ALL
  trap 'forget_scratch' EXIT
  trap 'exit 129' HUP INT TERM PIPE

  PACKAGES=$(words_of "${2:--}")
  ETCD_SERVICE=${3:--} ETCD_ENV_FILE=${4:--} ETCD_CA=${5:--} ETCD_CERT=${6:--} ETCD_KEY=${7:--} ETCD_PORT=${8:--}
  ENDPOINT=${9:--}

  # Printed first and last: the reader takes the middle of the two.
  printf '@@ clock %s\n' "$(date +%s%3N)"
  for section in $(words_of "$1"); do
    case $section in
      identity | packages | candidates | disks | kubelet | static-pods | containers | api-server | certificates | etcd | windlass | kept | etcd-tool | size | etcd-pace | api-requests | ground | balancer)
        answer "$section" "see_$(printf %s "$section" | tr - _)" ;;
      *) printf '@@ %s\n@@ end %s unseen this probe knows no such section\n' "$section" "$section" ;;
    esac
  done
  printf '@@ clock %s\n' "$(date +%s%3N)"
  echo '@@ done'
}

words_of() { [ "$1" = - ] || printf %s "$1" | tr , ' '; }

# In the shell itself, not in $(…), so that the trap knows of the folder.
make_scratch() { SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/windlass-probe.XXXXXX"); }
forget_scratch() { [ -z "$SCRATCH" ] || rm -rf "$SCRATCH"; }

answer() {
  if [ "$1" = candidates ] && ! make_scratch 2>/dev/null; then
    printf '@@ %s\n@@ end %s unseen no temporary folder could be made\n' "$1" "$1"
    return
  fi
  printf '@@ %s\n' "$1"
  if text=$("$2" 2>/dev/null); then
    [ -z "$text" ] || printf '%s\n' "$text" | sed 's/^/ /'
    printf '@@ end %s ok\n' "$1"
  else
    printf '@@ end %s unseen %s\n' "$1" "$(printf %s "$text" | tr '\n\t' '  ' | tail -c 400)"
  fi
}

unseen() {
  printf '%s\n' "$*"
  return 1
}

has() { command -v "$1" >/dev/null; }

# one_line COMMAND…: its output, both streams, on one line; its exit status.
one_line() {
  said=$("$@" 2>&1 </dev/null)
  status=$?
  printf %s "$said" | tr '\n\t' '  '
  return "$status"
}

see_identity() {
  printf 'hostname %s\n' "$(uname -n)"
  [ ! -s /etc/machine-id ] || printf 'machine-id %s\n' "$(cat /etc/machine-id)"
  [ ! -r /proc/sys/kernel/random/boot_id ] || printf 'boot-id %s\n' "$(cat /proc/sys/kernel/random/boot_id)"
  for file in /etc/os-release /usr/lib/os-release; do
    [ -r "$file" ] || continue
    sed -n -E 's/^(ID|VERSION_ID|PRETTY_NAME)=/os \1=/p' "$file"
    break
  done
}

# ---- packages ----

package_manager() {
  if has dpkg-query && has apt-get; then echo apt
  elif has zypper && has rpm; then echo zypper
  elif has rpm && { has dnf || has yum; }; then echo dnf
  else return 1; fi
}

see_packages() {
  manager=$(package_manager) || unseen 'neither apt nor dnf nor zypper is here' || return
  printf 'manager %s\n' "$manager"
  for package in $PACKAGES; do printf 'asked %s\n' "$package"; done
  see_programs
  PACKAGES=$(no_programs)
  [ -n "$PACKAGES" ] || return 0
  case $manager in
    apt) dpkg_packages ;;
    *) rpm_packages "$manager" ;;
  esac
}

# What is called by its path is no package: it tells its version itself, where nobody but root could have put it there.
see_programs() {
  for program in $PACKAGES; do
    case $program in /*) ;; *) continue ;; esac
    { only_roots "$program" && only_roots "${program%/*}/"; } || continue
    version=$(timeout 10 "$program" --version 2>/dev/null | sed -n 's/^etcd Version: //p')
    [ -z "$version" ] || printf 'package %s install installed %s\n' "$program" "$version"
  done
}
only_roots() { case $(stat -L -c '%u %a' "$1") in '0 '*[0145]) ;; *) return 1 ;; esac; }
no_programs() { for package in $PACKAGES; do case $package in /*) ;; *) printf '%s ' "$package" ;; esac; done; }

# `hold` is dpkg's own selection state; apt-mark would rebuild the package cache on its way to the same answer.
dpkg_packages() {
  # shellcheck disable=SC2016,SC2086  # the ${…} are dpkg's; the list is one of words
  dpkg-query -W -f='package ${Package} ${db:Status-Want} ${db:Status-Status} ${Version}\n' $PACKAGES
  # It fails when one of them is unknown to dpkg, which is an answer; anything else is not.
  [ $? -le 1 ] || unseen 'dpkg-query failed'
}

rpm_packages() {
  locks='/etc/dnf/plugins/versionlock.list /etc/dnf/versionlock.toml /etc/yum/pluginconf.d/versionlock.list'
  [ "$1" != zypper ] || locks=/etc/zypp/locks
  for package in $PACKAGES; do
    version=$(rpm -q --qf '%{VERSION}-%{RELEASE}\n' "$package" | tail -n 1) || continue
    want=install
    # shellcheck disable=SC2086  # a list of paths without spaces
    ! cat $locks 2>/dev/null | grep -q -E "(^|[^a-z-])$package([^a-z]|\$)" || want=hold
    printf 'package %s %s installed %s\n' "$package" "$want" "$version"
  done
}

see_candidates() {
  PACKAGES=$(no_programs)
  [ -n "$PACKAGES" ] || return 0
  manager=$(package_manager) || unseen 'neither apt nor dnf nor zypper is here' || return
  case $manager in
    apt) apt_candidates ;;
    *) rpm_candidates "$manager" ;;
  esac
}

# Indexes that say nothing of versions.
UNREAD_TARGETS='deb::Contents-deb deb::Contents-udeb deb::Contents-deb-legacy deb::DEP-11 deb::CNF deb-src::Sources'

# Lists and caches of apt's go to a folder of our own, and no hook of `apt-get update` runs: some of them write below
# /var, and the one that container images ship empties the package cache.
apt_candidates() {
  mkdir -p "$SCRATCH/lists/partial" "$SCRATCH/cache/archives/partial"
  # shellcheck disable=SC2086  # the list is one of words
  cat >"$SCRATCH/apt.conf" <<CONF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State::Lists "$SCRATCH/lists";
Dir::Cache "$SCRATCH/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Log "$SCRATCH";
APT::Sandbox::User "root";
Acquire::Retries "0";
Acquire::http::Timeout "5";
Acquire::https::Timeout "5";
Acquire::ftp::Timeout "5";
Acquire::Languages "none";
$(printf 'Acquire::IndexTargets::%s::DefaultEnabled "false";\n' $UNREAD_TARGETS)
CONF
  # With copies of the machine's own lists to start from, an index that has not changed is not fetched again. When a
  # source fails they would hide it behind old answers, so then nothing old is kept.
  find /var/lib/apt/lists -maxdepth 1 -type f '(' -name '*Release*' -o -name '*_Packages*' ')' -exec cp -p --reflink=auto -t "$SCRATCH/lists" {} +
  apt_update || {
    find "$SCRATCH/lists" -type f -delete
    apt_update
  }
  printf '%s\n' "$updated" | sed -n -E 's/^[WE]: (.*)/failed \1/p' | head -n 20
  # shellcheck disable=SC2086  # the list is one of words
  apt-cache -c "$SCRATCH/apt.conf" madison $PACKAGES | awk -F '|' '{ gsub(/ /, ""); print "candidate " $1 " " $2 }'
}

# Without the cache that it would build at its end: nobody reads it.
apt_update() {
  updated=$(apt-get -c "$SCRATCH/apt.conf" -o pkgCacheFile::Generate=false -q -y update 2>&1) && ! printf '%s\n' "$updated" | grep -q -E '^(E:|Err:|W: Failed)'
}

rpm_candidates() {
  [ "$1" = dnf ] && has dnf || unseen "candidates are looked up with apt and dnf only, and this is $1" || return
  for package in $PACKAGES; do
    dnf -q --setopt=cachedir="$SCRATCH" --disableexcludes=all repoquery --available --qf '%{name} %{version}-%{release}' "$package" |
      sort -r -V | awk 'NF == 2 { print "candidate " $0 }'
  done
}

see_disks() {
  for path in / /var/lib /var/lib/etcd /var/cache/apt/archives /var/lib/containerd /var/lib/kubelet /etc/kubernetes; do
    # %b blocks, %f blocks free to root, %S their size
    [ ! -d "$path" ] || stat -f -c 'disk %n %S %b %f' "$path"
  done
}

see_size() {
  printf 'cores %s\n' "$(nproc)"
  sed -n -E 's/^MemTotal: *([0-9]+) kB$/memory \1/p' /proc/meminfo
}

# What is there of a cluster that stands here or stood here, and what is in the way of one.
see_ground() {
  [ ! -r /sys/class/dmi/id/product_uuid ] || printf 'product-uuid %s\n' "$(cat /sys/class/dmi/id/product_uuid)"
  sed -n -E 's/^SwapTotal: *([0-9]+) kB$/swap \1/p' /proc/meminfo
  # State 0A is a listener's.
  cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == "0A" { n = split($2, address, ":"); print "listens " address[n] }' | sort -u
  for path in /etc/kubernetes/manifests/*.yaml /etc/kubernetes/*.conf /etc/kubernetes/pki/ca.crt /var/lib/kubelet/config.yaml \
    /var/lib/etcd/member /var/lib/etcd/*/member; do
    [ ! -e "$path" ] || printf 'has %s\n' "$path"
  done
  [ "$ENDPOINT" = - ] || ! has curl || endpoint
  ! has timedatectl || printf 'synchronised %s\n' "$(timedatectl show -p NTPSynchronized --value)"
}

# Who is where the API will be: nobody has to prove anything, since nothing is told to him.
endpoint() {
  code=$(curl -s -k --noproxy '*' --connect-timeout "$HTTP_SECONDS" --max-time 5 -o /dev/null -w '%{http_code} %{time_connect}' "https://$ENDPOINT/version")
  case $?,$code in
    6,*) echo 'endpoint unresolved' ;;
    7,*) echo 'endpoint refuses' ;;
    28,*' 0.000000' | 28,*' 0') echo 'endpoint silent' ;;
    0,5*) echo 'endpoint accepts' ;;
    0,*) echo 'endpoint answers' ;;
    *) echo 'endpoint accepts' ;;
  esac
}

# The API servers that Windlass told haproxy of, as haproxy sees them.
see_balancer() {
  systemctl is-active --quiet haproxy || { echo none; return 0; }
  ! systemctl is-active --quiet keepalived || echo 'keepalived yes'
  has socat || unseen 'socat is not here, which asks haproxy' || return
  servers | sed 's/^/server /'
}

# ---- Kubernetes ----

main_pid() { systemctl show -p MainPID --value "$1"; }

# Asked of the process' own file: a kubelet that was replaced on disk and not restarted still is the old one.
see_kubelet() {
  has systemctl || unseen 'systemctl is not here' || return
  pid=$(main_pid kubelet)
  case $pid in
    '' | 0) echo none ;;
    # GOGC: it starts in two thirds of the time when Go's collector does not run meanwhile.
    *) version=$(one_line env GOGC=off "/proc/$pid/exe" --version) || unseen "the running kubelet does not tell its version: $version" || return
      printf 'version %s\n' "$version" ;;
  esac
}

see_static_pods() {
  for file in "$MANIFESTS"/*.yaml; do
    [ -f "$file" ] || continue
    printf 'pod %s %s\n' "$(basename "$file" .yaml)" "$(image_of "$file")"
  done
}

# containerd keeps the specification of what runs in /run: read there, it costs no call. Of several names of one image it
# keeps one, so a name here may differ from the manifest's while the image is the same.
see_containers() {
  tasks=/run/containerd/io.containerd.runtime.v2.task/k8s.io
  if [ -d "$tasks" ]; then
    for task in "$tasks"/*; do
      # A builtin: the folder of a sandbox or of a dead container costs no process.
      { read -r pid <"$task/init.pid" || [ -n "$pid" ]; } && [ -d "/proc/$pid" ] && printf '%s\n' "$task/config.json"
    done | annotated
    return 0
  fi
  text='there is none'
  ! has crictl || text=$(one_line crictl --timeout 5s ps -o json)
  case $text in
    '{'*) printf 'crictl %s\n' "$text" ;;
    # A containerd that has run nothing since the machine started has no folder yet.
    *) [ -S /run/containerd/containerd.sock ] || unseen "no containerd is here, and of crictl: $text" ;;
  esac
}

# Of the specifications whose paths are on stdin, those of containers: name and image.
annotated() {
  awk '
    function of(name) { return match(text, "\"io.kubernetes.cri." name "\":\"[^\"]*\"") ? value(length(name) + 22) : "" }
    function value(skip) { return substr(text, RSTART + skip, RLENGTH - skip - 1) }
    { path = $0; text = ""; while ((getline line <path) > 0) text = text line; close(path) }
    of("container-type") == "container" { print "container", of("container-name"), of("image-name") }'
}

flag_of() { sed -n -E "s/^ *- *[\"']?--$2=([^\"' ]*).*/\1/p" "$1" | head -n 1; }

own_server() {
  host=$(flag_of "$manifest" advertise-address)
  port=$(flag_of "$manifest" secure-port)
  case $host in *:*) host="[$host]" ;; esac
  printf 'https://%s:%s\n' "${host:-127.0.0.1}" "${port:-6443}"
}

see_api_server() {
  manifest=$MANIFESTS/kube-apiserver.yaml
  [ -f "$manifest" ] || { echo none; return; }
  server=$(own_server)
  # One call for both. What stands behind the version's closing brace is the readiness, or why there is none.
  said=$(api_get "$server/version" "$server/readyz") || true
  case $said in '{'*'}'*) ;; *) unseen "$server/version: $said" || return ;; esac
  ready=${said##*\}}
  printf 'version %s\n' "${said%"$ready"}"
  [ "${ready# }" = ok ] || printf 'unready %s\n' "$ready"
}

# Of its metrics, which are long, only what readers ask it now.
see_api_requests() {
  manifest=$MANIFESTS/kube-apiserver.yaml
  [ -f "$manifest" ] || unseen 'this machine runs no API server' || return
  limit=$(flag_of "$manifest" max-requests-inflight)
  [ -z "$limit" ] || printf 'limit %s\n' "$limit"
  api_curl "$(own_server)/metrics" | sed -n -E 's/^apiserver_current_inflight_requests\{request_?[kK]ind="readOnly"\} /in-flight /p'
}

# The certificate that the API server itself uses towards kubelets: kubeadm makes one on every control plane.
api_get() {
  has curl || unseen 'curl is not here' || return
  one_line api_curl "$@"
}
api_curl() {
  curl -sS --max-time "$HTTP_SECONDS" --noproxy '*' -f --fail-early --cacert "$PKI/ca.crt" \
    --cert "$PKI/apiserver-kubelet-client.crt" --key "$PKI/apiserver-kubelet-client.key" "$@"
}

# Certificates are public, and are read where the answer is read; keys may lie in the same files and stay there.
see_certificates() {
  {
    find "$PKI" -name '*.crt' -type f
    find /var/lib/kubelet/pki -name 'kubelet-*-current.pem'
    [ "$ETCD_SERVICE" = - ] || printf '%s\n' "$ETCD_CA" "$ETCD_CERT"
    [ ! -r "$ETCD_ENV_FILE" ] || sed -n -E "s/^ETCD_(PEER_)?(CERT|TRUSTED_CA)_FILE=[\"']?([^\"']*).*/\3/p" "$ETCD_ENV_FILE"
    printf '/etc/kubernetes/%s.conf\n' admin super-admin controller-manager scheduler
  } | sort -u | while read -r path; do
    [ ! -f "$path" ] || printf '%s\n' "$path"
  done | certificates
}

# For each path on stdin: its first certificate, whole or not at all, as base64 on one line; of a kubeconfig, what it holds.
certificates() {
  awk '{
    path = $0; kind = (path ~ /\.conf$/) ? "kubeconfig" : "certificate"; body = ""; inside = 0; whole = 0
    while (!whole && (getline line <path) > 0) {
      sub(/[ \t\r]+$/, "", line)
      if (kind == "kubeconfig") { if (sub(/^ *client-certificate-data: */, "", line)) { body = line; whole = 1 } }
      else if (line == "-----BEGIN CERTIFICATE-----") { inside = 1; body = "" }
      else if (line == "-----END CERTIFICATE-----") whole = inside
      else if (line ~ /^-----/) inside = 0
      else if (inside) body = body line
    }
    close(path)
    print kind, (whole && body ~ /^[A-Za-z0-9+\/]+=*$/) ? body : "none", path
  }'
}

# ---- etcd ----

# The settings that are told; everything else in its environment stays there.
SETTINGS='name|data-dir|wal-dir|heartbeat-interval|election-timeout|quota-backend-bytes|enable-v2|config-file|advertise-client-urls'
SETTINGS="$SETTINGS|listen-(client|peer|metrics)-urls|initial-advertise-peer-urls|strict-reconfig-check|pre-vote"
SETTINGS="$SETTINGS|snapshot-count|max-(snapshots|wals|txn-ops|request-bytes)|auto-compaction-(mode|retention)|metrics|logger|log-(level|outputs)"
SETTINGS="$SETTINGS|(peer-)?(cert-file|key-file|client-cert-auth|trusted-ca-file)|(client|peer)-crl-file|peer-cert-allowed-cn|cipher-suites"
SETTINGS="$SETTINGS|tls-min-version|proxy(-[a-z-]+)?|experimental-[a-z0-9-]+"

# The manifest of a stacked member: the kubelet's, or else the last one that a run has put aside.
etcd_manifest() {
  if [ -f "$MANIFESTS/etcd.yaml" ]; then
    echo "$MANIFESTS/etcd.yaml"
    return
  fi
  for found in "${MANIFESTS%/*}"/windlass-*/etcd.yaml; do
    [ ! -f "$found" ] || printf '%s %s\n' "$(stat -c %Z "$found")" "$found"
  done | sort -n | tail -n 1 | cut -d ' ' -f 2
}

image_of() { sed -n -E "s/^[ -]*image:[ ]*[\"']?([^\"' #]+).*/\1/p" "$1" | head -n 1; }

etcd_image() {
  manifest=$(etcd_manifest)
  [ -z "$manifest" ] || image_of "$manifest"
}

see_etcd() {
  has systemctl || unseen 'systemctl is not here' || return
  manifest=$(etcd_manifest)
  if has_etcd_service; then
    config=$ETCD_ENV_FILE
  elif [ -n "$manifest" ]; then
    config=$manifest
  else
    echo none
    return
  fi
  pid=$(etcd_pid)
  case $pid in
    '' | 0) stopped_etcd ;;
    *) running_etcd ;;
  esac
  if [ -f "$config" ]; then
    printf 'digest %s\n' "$(sha256sum "$config" | cut -d ' ' -f 1)"
    if [ "$config" = "$manifest" ]; then
      # A container's paths are the machine's only where they are mounted from there.
      sed -n -E "s/^ *path: *[\"']?([^\"']*).*/host-path \1/p" "$config"
    else
      sed -n -E "s/^ETCD_INITIAL_CLUSTER=[\"']?([^\"']*).*/file-members \1/p" "$config" | tail -n 1
    fi
  fi
}

has_etcd_service() { [ "$ETCD_SERVICE" != - ] && [ "$(systemctl show -p LoadState --value "$ETCD_SERVICE")" != not-found ]; }

# The service's process, where the machine has that; else the static pod's. Nothing, or 0, when none runs.
etcd_pid() {
  has_etcd_service || { static_etcd_pid; return; }
  pid=$(main_pid "$ETCD_SERVICE")
  [ "${pid:-0}" = 0 ] || [ "$(cat "/proc/$pid/comm")" = etcd ] || pid=$(pgrep -o -P "$pid" -x etcd)
  printf '%s\n' "$pid"
}

# By the name in its manifest: a pod of somebody's may run an etcd, too.
static_etcd_pid() {
  manifest=$(etcd_manifest)
  name=$([ -z "$manifest" ] || flag_of "$manifest" name)
  for pid in $(pgrep -x etcd); do
    tr '\0' '\n' <"/proc/$pid/cmdline" | grep -q -x -F -e "--name=${name:-?}" || continue
    printf '%s\n' "$pid"
    return
  done
  pgrep -o -x etcd
}

running_etcd() {
  echo 'running yes'
  printf 'cwd %s\n' "$(readlink "/proc/$pid/cwd")"
  settings=$(process_settings)
  tell_settings
  etcd_version
}

process_settings() {
  tr '\n\0' ' \n' <"/proc/$pid/environ" | env_settings
  tr '\n\0' ' \n' <"/proc/$pid/cmdline" | flag_settings
}

# The settings, and those of the file that they name.
tell_settings() {
  printf '%s\n' "$settings"
  file=$(printf '%s\n' "$settings" | sed -n 's/^set config-file //p' | tail -n 1)
  [ ! -r "$file" ] || of_file <"$file" | sed -n -E "s/^($SETTINGS) /conf &/p"
}

env_settings() { of_variables | only_settings; }
# What it is told by a flag is told twice: it does not start with one that it does not know.
flag_settings() { of_arguments | only_settings | sed -n -E 'p; s/^set ([^ ]+).*/flag \1/p'; }
only_settings() { sed -n -E "s/^($SETTINGS) /set &/p"; }

stopped_etcd() {
  echo 'running no'
  settings=$(
    if [ "$config" = "$manifest" ]; then
      sed -n -E "s/^ *- *[\"']?(--[^\"']*).*/\1/p" "$manifest" | flag_settings
    else
      systemctl show -p Environment --value "$ETCD_SERVICE" | tr ' ' '\n' | env_settings
      [ ! -r "$config" ] || sed -E "s/=[\"'](.*)[\"'] *\$/=\1/" "$config" | env_settings
      # What is filled in when it starts is not known before.
      systemctl show -p ExecStart --value "$ETCD_SERVICE" | sed -n -E 's/^.*argv\[\]=(.*) ; ignore_errors=.*/\1/p' | tr ' ' '\n' |
        flag_settings | grep -v -F '$'
    fi
  )
  tell_settings
}

# Not every certificate is for 127.0.0.1, nor does every member listen there: then it is asked where it says it is. That has
# to be an address: curl's options would act as root.
etcd_urls() {
  if [ "$ETCD_CA" = - ]; then scheme=http; else scheme=https; fi
  printf '%s\n' "$scheme://127.0.0.1:${ETCD_PORT#-}"
  printf '%s\n' "$settings" | sed -n 's/^set advertise-client-urls //p' | tail -n 1 | tr , '\n' | grep -E '^https?://'
}

etcd_version() {
  has curl || { echo 'unasked curl is not here'; return; }
  for url in $(etcd_urls); do
    keys_url=$url/v2/keys/
    case $settings in *'set enable-v2 false'*) keys_url= ;; esac
    # One call for both; the version is one flat object, and what stands behind it is about the keys.
    said=$(etcd_get "$url/version" ${keys_url:+"$keys_url"})
    case $?:$said in 0:* | *':{'*'}'*) ;; *) continue ;; esac
    version=${said%%\}*}
    printf 'version %s\n' "$version}"
    keys=${said#"$version"\}}
    # One line, and only its beginning: whether there is a key is all that is asked.
    [ -z "$keys_url" ] || printf 'v2 %s\n' "$(printf %s "${keys# }" | head -c 300)"
    return
  done
  printf 'unasked %s\n' "${said%% More details*}"
}

etcd_get() { one_line etcd_curl "$@"; }
etcd_curl() {
  set -- -sS -g --fail-early --max-time "$HTTP_SECONDS" --noproxy '*' "$@"
  [ "$ETCD_CA" = - ] || set -- --cacert "$ETCD_CA" --cert "$ETCD_CERT" --key "$ETCD_KEY" "$@"
  curl "$@"
}

PACE='etcd_disk_wal_fsync_duration_seconds_bucket\{|etcd_network_peer_round_trip_time_seconds_bucket\{'
PACE="$PACE|etcd_server_heartbeat_send_failures_total |process_start_time_seconds "

see_etcd_pace() {
  pid=$(etcd_pid)
  case $pid in '' | 0) unseen 'etcd does not run' || return ;; esac
  has curl || unseen 'curl is not here' || return
  settings=$(process_settings)
  for url in $(etcd_urls); do
    metrics=$(etcd_curl "$url/metrics" | grep -E "^($PACE)") || continue
    printf 'now %s\n%s\n' "$(date +%s)" "$metrics"
    return
  done
  unseen 'its metrics cannot be had'
}

main "$@" </dev/null
