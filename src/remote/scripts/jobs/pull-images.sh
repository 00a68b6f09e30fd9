# Job: pulls the images that the target's own kubeadm asks for; what is there already is not pulled again.
# Arguments: KUBERNETES-VERSION (v1.21.14)  KUBEADM-PACKAGE-VERSION  all|all-but-etcd|worker  ETCD-NOW  ETCD-PINNED  ETCD-FIRST
#   The last three say which etcd kubeadm may bring to the stacked member here, as brought.part.sh has it; - for none.
# Exit: 0 all there; 1 one could not be had; 2 the downloaded package is not there; 75 kubeadm would bring an etcd that may not be.
# The cluster's own image repository, a mirror perhaps; nothing when it cannot be read. Nodes may read kubeadm-config.
image_repository() {
    conf=/etc/kubernetes/admin.conf
    [ -f "$conf" ] || conf=/etc/kubernetes/kubelet.conf
    # A machine that has not joined yet knows of none.
    [ -f "$conf" ] || return 0
    kubectl --kubeconfig="$conf" --request-timeout=20s -n kube-system get configmap kubeadm-config \
        -o 'jsonpath={.data.ClusterConfiguration}' | sed -n 's/^imageRepository: *//p'
}

main() {
    set -u
    version=$1 package=$2 which=$3 now=$4 pinned=$5 first=$6
    # apt writes the colon of an epoch as %3a in file names.
    file=$(printf '%s' "$package" | sed 's/:/%3a/g')
    deb=
    for found in /var/cache/apt/archives/kubeadm_"$file"_*.deb; do
        [ -f "$found" ] && deb=$found
    done
    if [ -n "$deb" ]; then
        unpacked=$WINDLASS_DIR/kubeadm
        rm -rf "$unpacked"
        dpkg-deb -x "$deb" "$unpacked" || return 2
        kubeadm=$unpacked/usr/bin/kubeadm
    elif [ "$(dpkg-query -W -f '${Version}' kubeadm 2>/dev/null)" = "$package" ]; then
        kubeadm=$(command -v kubeadm)
    else
        echo "kubeadm $package was not downloaded" >&2
        return 2
    fi
    set --
    repository=$(image_repository)
    [ -z "$repository" ] || set -- "--image-repository=$repository"
    images=$("$kubeadm" config images list --kubernetes-version "$version" "$@") || return 1
    rm -rf "${unpacked:-}"
    etcd_fits "$images" || return
    failed=0
    # The repository's name comes from the cluster: nothing of it is an option, or matches files.
    set -f
    for image in $images; do
        case $image in
            -*) echo "not an image: $image" >&2; return 1 ;;
        esac
        name=${image##*/}
        case $which:$name in
            all-but-etcd:etcd:*) continue ;;
            worker:kube-proxy:* | worker:pause:* | worker:coredns:*) ;;
            worker:*) continue ;;
            all:etcd:*) [ "$brought" = - ] || image=${image%:*}:$brought ;;
        esac
        if crictl inspecti -q "$image" >/dev/null 2>&1; then
            echo "$image is there"
        elif crictl pull "$image"; then
            echo "$image pulled"
        else
            echo "could not pull $image" >&2
            failed=1
        fi
    done
    return "$failed"
}
main "$@" </dev/null
