# The probe's section about Windlass itself; put before probe.sh. It reads files, and asks systemd about units that have not
# ended, so that it can be seen while etcd and the API are both down.

# Only tests set WINDLASS_ROOT; see prelude.sh.
STATE=${WINDLASS_ROOT:-/var/lib/windlass}

see_windlass() {
  [ ! -e "$STATE/token" ] || { printf 'token %s\n' "$(one_line cat "$STATE/token")"; }
  [ ! -e "$STATE/lock" ] || { printf 'lock %s\n' "$(one_line cat "$STATE/lock")"; }
  for started in "$STATE"/runs/*/*/started; do
    if [ -e "$started" ] && [ ! -e "${started%/started}/rc" ]; then see_unit "${started%/started}"; fi
  done
}

# see_unit FOLDER: its run, its name and when it was started, if it still runs. What was started before the last boot does
# not; where systemd gives no answer it may.
see_unit() {
  unit=${1##*/} run=${1%/*} run=${run##*/}
  { read -r booted && read -r since; } <"$1/started" || return 0
  [ "$booted" = "$(cat /proc/sys/kernel/random/boot_id)" ] || return 0
  case $(systemctl show -p LoadState -p ActiveState -p SubState "windlass-$run-$unit.service") in
    *LoadState=not-found* | *ActiveState=failed* | *SubState=exited* | *SubState=dead*) ;;
    *) printf 'unit %s %s %s\n' "$run" "$unit" "$since" ;;
  esac
}

