# Job: kubeadm join, as whom a control plane has introduced. What an earlier try of this run has left is reset first.
# Arguments: CONFIGURATION(text, with @TOKEN@ and @HASH@)  INTRODUCTION(a file below Windlass's folder: `token T`, `hash H`, then
#   parts that begin with a line `--- FILE`, of /etc/kubernetes/pki)  IGNORED-PREFLIGHT-ERRORS(comma list, -)  RUN
# Exit: 0 it has joined, since now or since an earlier try; 75 refused: there is something of a cluster here that this run did not
# begin, or nobody has introduced it; else kubeadm's.
# Only tests set WINDLASS_FROM.
KUBERNETES=${WINDLASS_FROM:-}/etc/kubernetes
PKI=$KUBERNETES/pki
SHARED="ca.crt ca.key sa.key sa.pub front-proxy-ca.crt front-proxy-ca.key etcd/ca.crt etcd/ca.key"

refuse() {
    echo "refused: $*" >&2
    return 75
}

word() { sed -n "s/^$1 //p" "$introduction" | head -n 1; }

part() { awk -v wanted="$1" '/^--- / { name = $2; next } name == wanted' "$introduction"; }

# The keys of the cluster: root's alone. Only files that are known, whatever was sent.
place_keys() {
    for file in $SHARED; do
        grep -q -x -F -e "--- $file" "$introduction" || continue
        mkdir -p "$PKI/etcd" || return 1
        { part "$file" >"$PKI/$file.windlass" && sync "$PKI/$file.windlass" && mv "$PKI/$file.windlass" "$PKI/$file"; } || return 1
        case $file in
            *.crt | *.pub) chmod 0644 "$PKI/$file" || return 1 ;;
        esac
    done
}

# Whether an earlier try has come to where it changes more than the keys that are placed anew anyway.
got_far() {
    for file in bootstrap-kubelet.conf kubelet.conf manifests/kube-apiserver.yaml manifests/etcd.yaml; do
        [ ! -e "$KUBERNETES/$file" ] || return 0
    done
    return 1
}

# Certificates for an external etcd are not kubeadm's, and it would delete them with its own.
start_over() {
    kept=$folder/pki
    if [ ! -e "$kept" ] && [ -e "$PKI/apiserver-etcd-client.key" ] && [ ! -e "$PKI/etcd/ca.key" ]; then
        mkdir -p "$kept.new/etcd" || return 1
        for file in apiserver-etcd-client.crt apiserver-etcd-client.key etcd/ca.crt; do
            [ ! -e "$PKI/$file" ] || cp -p "$PKI/$file" "$kept.new/$file" || return 1
        done
        sync "$kept.new" && mv "$kept.new" "$kept" || return 1
    fi
    kubeadm reset --force || return 1
    [ ! -e "$kept" ] || { mkdir -p "$PKI" && cp -R -p "$kept/." "$PKI/"; } || return 1
    # Until then its Node object may look as if a living kubelet had it, and kubeadm refuses a second of that name.
    echo "waiting a minute, until nobody takes the node for a living one"
    sleep 60
}

main() {
    set -uf
    text=$1 introduction=$WINDLASS_DIR/$2 ignore=$3 folder=$WINDLASS_DIR/bootstrap/$4
    umask 077
    mkdir -p "$folder" || return 1
    if [ -e "$folder/joined" ]; then
        rm -f "$introduction"
        echo "it has joined in an earlier try" && return
    fi
    [ -s "$introduction" ] || refuse "no control plane has introduced this machine" || return
    token=$(word token) hash=$(word hash)
    if [ -e "$folder/began" ]; then
        ! got_far || start_over || return 1
    elif [ -e "$KUBERNETES/kubelet.conf" ]; then
        refuse "this machine belongs to a cluster already" || return
    else
        : >"$folder/began" && sync "$folder/began" "$folder" || return 1
    fi
    place_keys || return 1
    trap 'rm -f "$folder/kubeadm.yaml"' EXIT
    printf '%s\n' "$text" | sed "s/@TOKEN@/$token/; s/@HASH@/$hash/" >"$folder/kubeadm.yaml" || return 1
    set --
    [ "$ignore" = - ] || set -- "--ignore-preflight-errors=$ignore"
    (umask 022 && kubeadm join --config "$folder/kubeadm.yaml" "$@")
    status=$?
    [ "$status" -eq 0 ] || return "$status"
    { : >"$folder/joined" && sync "$folder/joined" && rm -rf "$folder/pki" && rm -f "$introduction"; } || return 1
}
main "$@" </dev/null
