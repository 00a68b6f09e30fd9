# Part of the jobs that wait for containers. Only tests set WINDLASS_FROM.

# running NAME…: the containers of these names that run, as `ID PID` a line; the PID is 0 where the runtime does not tell it.
# containerd keeps the specification of what runs in /run: read there, a kubelet that is down does not matter.
running() {
    tasks=${WINDLASS_FROM:-}/run/containerd/io.containerd.runtime.v2.task/k8s.io
    for name in "$@"; do
        if [ -d "$tasks" ]; then
            find "$tasks" -mindepth 2 -maxdepth 2 -name config.json \
                -exec grep -l -F "\"io.kubernetes.cri.container-name\":\"$name\"" {} + | while read -r file; do
                task=${file%/*}
                pid=$(cat "$task/init.pid" 2>/dev/null)
                [ ! -d "/proc/${pid:-none}" ] || echo "${task##*/} $pid"
            done
        else
            crictl ps --quiet --name "^$name\$" | sed 's/$/ 0/'
        fi
    done
}
