# Part of the jobs that change etcd's members: asking one of them, which has to reach a quorum, for the list.

# speak_to CA CERT KEY URL: sets etcdctl's environment and `url`.
speak_to() {
    export ETCDCTL_API=3 ETCDCTL_CACERT="$1" ETCDCTL_CERT="$2" ETCDCTL_KEY="$3"
    url=$4
}

ask_etcd() { etcdctl --endpoints="$url" --command-timeout=10s "$@"; }

# list_members: a line for each, `ID, started|unstarted, NAME, PEER-URLS, CLIENT-URLS, LEARNER` (no LEARNER before 3.4). A member
# that is cut off from the others would tell an old list: the read that shows its health goes through a quorum.
list_members() {
    ask_etcd endpoint health >&2 || {
        echo "the member at $url does not reach a quorum" >&2
        return 2
    }
    ask_etcd member list || return 2
}

# line_of FIELD VALUE: the member's line; fails with 1 when there is none, with 2 when the list cannot be had.
line_of() {
    all=$(list_members) || return 2
    printf '%s\n' "$all" | awk -F ', ' -v field="$1" -v value="$2" '$field == value { print; found = 1 } END { exit !found }'
}
