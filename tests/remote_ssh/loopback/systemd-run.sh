# Stands in for systemd-run on a machine of the loopback cluster: starts the unit by itself, as one that outlives whoever asked.
set -u
for word; do
    case $word in --unit=*) unit=${word#--unit=} ;; esac
done
while [ "$1" != -- ]; do shift; done
shift
mkdir -p "$NODE_DIR/units"
: >"$NODE_DIR/units/$unit.service"
: >"$NODE_DIR/units/$unit"
setsid "$@" >/dev/null 2>&1 </dev/null 9>&- &
