# Job: proves a snapshot. It is restored as it is into a throw-away folder, etcd is started on it for a moment and asked what it
# has, and all of it is gone again. The member that lives here is not touched: the throw-away one has a name, a token and a
# data directory of its own, takes nothing from the environment, listens on sockets in a folder that only root can enter, and
# has one core, the last turn at processor and disk, and the first at the kernel's memory killer (unit-start bounds it, too).
# Arguments: SNAPSHOT(a file's name below Windlass's proofs)  SHA256  REVISION(to hash at)  MINOR(of etcd, as 3.4)
#
# Prints the frame of the probe with one section, `proof`:
#   etcd VERSION                of the throw-away etcd
#   revision N                  its own
#   compact-revision N          below which its history is compacted; -1 when it never was
#   keys N                      that are there
#   hash N                      its HashKV at REVISION
# Exit: 0 printed; 1 it did not come to life; 75 refused, nothing was started: it is not the file that was sent, there is no
# etcd of that minor here, no room or no memory for it, or another proof does not end.
NAME=windlass-proof
CLIENTS=unix://localhost:1
PEERS=unix://localhost:2

refuse() {
    echo "refused: $*" >&2
    return 75
}

# fail WHAT [FILE]: with the last line of the file.
fail() {
    last=
    [ "$#" -lt 2 ] || last=$(grep . "$2" | tail -n 1 | tr -cd '[:print:]' | cut -c 1-400)
    echo "$1${last:+: $last}" >&2
    return 1
}

# Ends whatever of etcd's runs in the throw-away folder, since this or an earlier try, and removes the folder.
sweep() {
    find /proc -mindepth 2 -maxdepth 2 -name cwd -lname "$at*" 2>/dev/null | while IFS=/ read -r _ _ process _; do
        case $(cat "/proc/$process/comm" 2>/dev/null) in
            timeout | etcd | etcdctl | etcdutl) kill -9 "$process" 2>/dev/null ;;
        esac
    done
    # What is killed may write for a moment still.
    rm -rf "$at" 2>/dev/null || { sleep 1 && rm -rf "$at"; }
}

clean() {
    sweep
    rm -f "$place/$file"
}

# Runs a program of etcd's in the throw-away folder, for so many seconds at most: etcd and its tools take settings from
# variables of every name, and the lock is ours, not theirs.
bounded() {
    seconds=$1
    shift
    cd "$at" && exec env -i PATH="$PATH" ETCDCTL_API=3 GOMAXPROCS=1 timeout -s KILL "$seconds" "$@" 8>&-
}

ask() { (bounded 120 etcdctl --endpoints="$CLIENTS" --dial-timeout=5s --command-timeout=110s -w json "$@"); }

# number_of FIELD: its first value in the JSON on stdin. etcd leaves out what is 0.
number_of() {
    number=$(grep -o -E "\"$1\":-?[0-9]+" | head -n 1)
    echo "${number##*:}" | sed 's/^$/0/'
}

# etcdutl, where it restores; from 3.6 on etcdctl does not any more.
tool() {
    for tool in etcdutl etcdctl; do
        case $(ETCDCTL_API=3 "$tool" snapshot restore --help 2>&1) in
            *--initial-cluster-token*) echo "$tool" && return ;;
        esac
    done
    return 1
}

# fits BYTES: there is room for the restored database and two files of its log, and as much is left for whoever lives here;
# and memory.
fits() {
    needed=$(($1 / 512 + 262144))
    free=$(df -Pk "$place" | awk 'NR == 2 { print $4 }')
    [ "${free:-0}" -ge "$needed" ] || refuse "$place has $free KiB free, and a proof needs $needed" || return
    needed=$(($1 / 1024 + 262144))
    free=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
    [ "${free:-0}" -ge "$needed" ] || refuse "$free KiB of memory are free here, and a proof needs $needed"
}

# Everybody else first: processor, disk, memory.
step_back() {
    renice -n 19 -p "$$" >/dev/null 2>&1
    ionice -c 3 -p "$$" 2>/dev/null
    { echo 1000 >"/proc/$$/oom_score_adj"; } 2>/dev/null
    ulimit -c 0
}

# Waits until etcd reads for everybody: it leads itself by then.
await() {
    tries=0
    until ask get windlass >/dev/null 2>"$at/asked"; do
        kill -0 "$etcd" 2>/dev/null || fail "etcd did not start on it" "$at/log" || return
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail "etcd did not answer on it" "$at/asked" || return
        sleep 1
    done
}

prove() {
    (bounded 900 "$tool" snapshot restore "$place/$file" --data-dir data --name "$NAME" --initial-cluster "$NAME=$PEERS" \
        --initial-advertise-peer-urls "$PEERS" --initial-cluster-token "$NAME-$sha256") >"$at/restored" 2>&1 ||
        fail "it could not be restored" "$at/restored" || return
    # Room for its database: etcd's largest suggested quota. A proof must not end with an alarm that the cluster never had.
    (bounded 1200 etcd --name "$NAME" --data-dir data --quota-backend-bytes 8589934592 --initial-cluster "$NAME=$PEERS" \
        --initial-advertise-peer-urls "$PEERS" --listen-peer-urls "$PEERS" --initial-cluster-token "$NAME-$sha256" \
        --listen-client-urls "$CLIENTS" --advertise-client-urls "$CLIENTS") >"$at/log" 2>&1 &
    etcd=$!
    await || return
    hashed=$(ask endpoint hashkv --rev="$revision" 2>"$at/asked") || fail "it has no hash" "$at/asked" || return
    # Not `--count-only`, which 3.4 does not know: one key, and how many there are, whatever the limit is.
    counted=$(ask get '' --prefix --limit=1 --keys-only 2>"$at/asked") || fail "it counts no keys" "$at/asked" || return
    echo '@@ proof'
    printf ' etcd %s\n' "$version"
    printf ' revision %s\n' "$(printf '%s\n' "$counted" | number_of revision)"
    printf ' compact-revision %s\n' "$(printf '%s\n' "$hashed" | number_of compact_revision)"
    printf ' keys %s\n' "$(printf '%s\n' "$counted" | number_of count)"
    printf ' hash %s\n' "$(printf '%s\n' "$hashed" | number_of hash)"
    echo '@@ end proof ok'
    echo '@@ done'
}

main() {
    set -uf
    umask 077
    file=$1 sha256=$2 revision=$3 minor=$4
    place=$(cd "$WINDLASS_DIR/proofs" && pwd -P) || refuse "no snapshot was sent" || return
    at=$place/at
    exec 8>"$place/.lock"
    if ! flock -w 1200 8; then
        rm -f "$place/$file"
        refuse "another proof is at work here"
        return
    fi
    trap clean EXIT
    trap 'exit 143' HUP INT TERM
    step_back
    sweep
    # Files that were sent for a proof which never began.
    find "$place" -maxdepth 1 -type f ! -name .lock ! -name "$file" -mmin +60 -delete
    [ "$(sha256sum <"$place/$file")" = "$sha256  -" ] || refuse "$file has another SHA-256 than $sha256" || return
    version=$(etcd --version 2>/dev/null | sed -n 's/^etcd Version: //p')
    case $version in
        "$minor".*) ;;
        *) refuse "it is of etcd $minor, and here is ${version:-none}" || return ;;
    esac
    tool=$(tool) || refuse "neither etcdutl nor an etcdctl that restores is here" || return
    fits "$(stat -c %s "$place/$file")" || return
    mkdir "$at" || return 1
    prove
}
main "$@" </dev/null
