# Part of the jobs that change etcd's members: asking one of them, which has to reach a quorum, for the list.

# speak_to CA CERT KEY URL: sets etcdctl's environment and `url`.
speak_to() {
    export ETCDCTL_API=3 ETCDCTL_CACERT="$1" ETCDCTL_CERT="$2" ETCDCTL_KEY="$3"
    url=$4
}

ask_etcd() { etcdctl --endpoints="$url" --command-timeout=10s "$@"; }

# list_members: a line for each, `ID, started|unstarted, NAME, PEER-URLS, CLIENT-URLS, LEARNER` (no LEARNER before 3.4). A member
# that is cut off from the others would tell an old list: the read that shows its health goes through a quorum. While the members
# choose a leader there is none for a moment.
list_members() {
    tries=0
    until ask_etcd endpoint health >&2 && ask_etcd member list; do
        tries=$((tries + 1))
        if [ "$tries" -ge 10 ]; then
            echo "the member at $url does not reach a quorum" >&2
            return 2
        fi
        sleep 1
    done
}

# line_of FIELD VALUE: the member's line; fails with 1 when there is none, with 2 when the list cannot be had.
line_of() {
    all=$(list_members) || return 2
    printf '%s\n' "$all" | awk -F ', ' -v field="$1" -v value="$2" '$field == value { print; found = 1 } END { exit !found }'
}

# change_until LISTED FIELD VALUE WORDS…: tells etcd WORDS until a member with that VALUE is listed (`yes`) or is not (`no`). Its
# answer may be lost: the list tells. etcd refuses for 5 s after a member has come or come back, so it is told more than once.
change_until() {
    listed=$1 field=$2 value=$3 told=0
    shift 3
    while :; do
        line_of "$field" "$value"
        case $?:$listed in
        0:yes | 1:no) return 0 ;;
        0:no | 1:yes) ;;
        *) return 1 ;;
        esac
        [ "$told" -lt 12 ] || return 1
        [ "$told" -eq 0 ] || sleep 1
        told=$((told + 1))
        ask_etcd "$@"
    done
}
