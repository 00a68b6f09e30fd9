# Part of the jobs that wait for containers. Only tests set WINDLASS_FROM.

# running NAMESPACE NAME…: the containers of these names that run, in pods of the namespace or, as `any`, of whichever; as `ID PID`
# a line. The PID is 0 where the runtime does not tell it. It fails where nobody tells what runs: that is not nothing.
# containerd keeps the specification of what runs in /run: read there, a kubelet that is down does not matter.
running() {
    namespace=$1
    shift
    containerd=${WINDLASS_FROM:-}/run/containerd
    tasks=$containerd/io.containerd.runtime.v2.task/k8s.io
    for name in "$@"; do
        if [ -d "$tasks" ]; then
            find "$tasks" -mindepth 2 -maxdepth 2 -name config.json \
                -exec grep -l -F "\"io.kubernetes.cri.container-name\":\"$name\"" {} + | while read -r file; do
                task=${file%/*}
                pid=$(cat "$task/init.pid" 2>/dev/null)
                [ ! -d "/proc/${pid:-none}" ] || elsewhere "$file" || echo "${task##*/} $pid"
            done
        elif [ -S "$containerd/containerd.sock" ] && ! command -v crictl >/dev/null; then
            # A containerd that has run nothing since the machine was started.
            :
        else
            found=$(of_crictl "$name") || return 1
            [ -z "$found" ] || printf '%s\n' "$found" | sed 's/$/ 0/'
        fi
    done
}

# elsewhere SPECIFICATION: whether it is told to be of another namespace; old runtimes do not tell.
elsewhere() {
    of='"io.kubernetes.cri.sandbox-namespace":"'
    [ "$namespace" != any ] && grep -q -F "$of" "$1" && ! grep -q -F "$of$namespace\"" "$1"
}

of_crictl() {
    if [ "$namespace" = any ]; then
        crictl ps --quiet --name "^$1\$"
    else
        crictl ps --quiet --name "^$1\$" --label "io.kubernetes.pod.namespace=$namespace"
    fi
}
