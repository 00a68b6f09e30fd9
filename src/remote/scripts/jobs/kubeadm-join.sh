# Job: kubeadm join, as whom a control plane has introduced. What an earlier try of this run has left is reset first, where that
# costs no member of etcd.
# Arguments: CONFIGURATION(text, with @TOKEN@ and @HASH@)  INTRODUCTION(a file below Windlass's folder: `token T`, `hash H`, then
#   parts that begin with a line `--- FILE`, of /etc/kubernetes/pki)  IGNORED-PREFLIGHT-ERRORS(comma list, -)  RUN  NODE
# Exit: 0 it has joined, since now or since an earlier try; 75 refused: there is something of a cluster here that this run did not
# begin, a member of etcd was made and the join broke off, or nobody has introduced it; else kubeadm's.
# Only tests set WINDLASS_FROM.
KUBERNETES=${WINDLASS_FROM:-}/etc/kubernetes
PKI=$KUBERNETES/pki
SHARED="ca.crt ca.key sa.key sa.pub front-proxy-ca.crt front-proxy-ca.key etcd/ca.crt etcd/ca.key apiserver-etcd-client.crt apiserver-etcd-client.key"

refuse() {
    echo "refused: $*" >&2
    return 75
}

word() { sed -n "s/^$1 //p" "$introduction" | head -n 1; }

part() { awk -v wanted="$1" '/^--- / { name = $2; next } name == wanted' "$introduction"; }

# fill TEXT MARK VALUE: the text with each mark filled in; by the shell itself, so that no process list has the value.
fill() {
    filled='' rest=$1
    while :; do
        case $rest in
            *"$2"*) filled=$filled${rest%%"$2"*}$3 rest=${rest#*"$2"} ;;
            *) break ;;
        esac
    done
    printf '%s' "$filled$rest"
}

is_plane() { grep -q -x -F -e '--- ca.key' "$introduction"; }

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
    # Of a worker the cluster's certificate is the first that kubeadm writes.
    ! is_plane && [ -e "$PKI/ca.crt" ]
}

# The authority in a kubeconfig or certificate, as introductions name it.
authority_in() {
    case $1 in
        *.conf) sed -n 's/^ *certificate-authority-data: *//p' "$1" | head -n 1 | base64 -d ;;
        *) cat "$1" ;;
    esac | openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | sed 's/^/sha256:/; s/ .*//'
}

# Whether what is here is of another cluster than the one that this machine was introduced to.
is_anothers() {
    for file in "$KUBERNETES/kubelet.conf" "$KUBERNETES/bootstrap-kubelet.conf" "$PKI/ca.crt"; do
        [ -e "$file" ] || continue
        [ "$(authority_in "$file")" = "$hash" ] || return 0
    done
    return 1
}

# The last that a control plane's join does is to say what the node is: then it was only not told of.
is_said_to_be_one() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
        said=$(kubectl --kubeconfig="$KUBERNETES/admin.conf" --request-timeout=10s get node "$node" --show-labels --no-headers 2>/dev/null) && break
        sleep 10
    done
    case ${said:-} in
        *' Ready '*node-role.kubernetes.io/control-plane* | *' Ready '*node-role.kubernetes.io/master*) ;;
        *) return 1 ;;
    esac
}

# Certificates for an external etcd are not kubeadm's, and it would delete them with its own.
keep_pki() {
    [ ! -e "$kept" ] || return 0
    rm -rf "$kept.new"
    mkdir -p "$kept.new/etcd" || return 1
    if [ ! -e "$PKI/etcd/ca.key" ]; then
        [ ! -d "$PKI/etcd" ] || cp -R -p "$PKI/etcd/." "$kept.new/etcd/" || return 1
        for file in apiserver-etcd-client.crt apiserver-etcd-client.key; do
            [ ! -e "$PKI/$file" ] || cp -p "$PKI/$file" "$kept.new/$file" || return 1
        done
    fi
    sync && mv "$kept.new" "$kept" && sync "$folder"
}

give_pki_back() {
    [ ! -e "$kept" ] || { mkdir -p "$PKI" && cp -R -p "$kept/." "$PKI/" && sync; }
}

start_over() {
    keep_pki || return 1
    kubeadm reset --force || return 1
    give_pki_back || return 1
    # Until then its Node object may look as if a living kubelet had it, and kubeadm refuses a second of that name.
    echo "waiting a minute, until nobody takes the node for a living one"
    sleep 60
}

# An earlier try of this run: gone on with, as far as that is this run's to decide.
go_on() {
    give_pki_back || return 1
    ! is_anothers || refuse "this machine belongs to another cluster by now" || return
    got_far || return 0
    if [ -e "$KUBERNETES/manifests/etcd.yaml" ]; then
        # kubeadm resets a member's data whether or not it could take the member off the list.
        is_said_to_be_one || refuse "the join broke off once it had made a member of etcd here, and a reset could cost the quorum: \
when etcd is whole, take the member off (windlass etcd member remove plan), run kubeadm reset here, and go on" || return
        : >"$folder/joined" && sync "$folder/joined"
        return
    fi
    start_over
}

# A kubelet that has just started may not know its node's disk yet, and then refuses the pod of the member for good, because kubeadm
# before 1.22 has it ask for some of it: kubeadm would wait in vain, with the member on etcd's list. Started anew it takes it.
mind_kubelet() {
    since=$(date +%s)
    while sleep 2; do
        journalctl -u kubelet --since "@$since" --no-pager 2>/dev/null | grep -q 'Failed to admit pod etcd-' || continue
        echo "the kubelet refused the member's pod too early: starting it anew"
        systemctl restart kubelet
        since=$(date +%s)
    done
}

main() {
    set -uf
    text=$1 introduction=$WINDLASS_DIR/$2 ignore=$3 folder=$WINDLASS_DIR/bootstrap/$4 node=$5
    kept=$folder/pki
    umask 077
    mkdir -p "$folder" || return 1
    if [ ! -e "$folder/joined" ]; then
        [ -s "$introduction" ] || refuse "no control plane has introduced this machine" || return
        token=$(word token) hash=$(word hash)
        if [ -e "$folder/began" ]; then
            go_on || return
        elif [ -e "$KUBERNETES/kubelet.conf" ]; then
            refuse "this machine belongs to a cluster already" || return
        else
            : >"$folder/began" && sync "$folder/began" "$folder" || return 1
        fi
    fi
    if [ -e "$folder/joined" ]; then
        echo "it has joined in an earlier try"
        rm -f "$introduction"
        return
    fi
    place_keys || return 1
    trap 'rm -f "$folder/kubeadm.yaml"' EXIT
    fill "$(fill "$text" @TOKEN@ "$token")" @HASH@ "$hash" >"$folder/kubeadm.yaml" || return 1
    set --
    [ "$ignore" = - ] || set -- "--ignore-preflight-errors=$ignore"
    mind_kubelet &
    minder=$!
    (umask 022 && kubeadm join --config "$folder/kubeadm.yaml" "$@")
    status=$?
    kill "$minder"
    [ "$status" -eq 0 ] || return "$status"
    { : >"$folder/joined" && sync "$folder/joined" && rm -rf "$kept" && rm -f "$introduction"; } || return 1
}
main "$@" </dev/null
