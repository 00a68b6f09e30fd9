# Job: takes the tokens back that were made for this run. Only their ids are told, which are no secrets.
# Arguments: RUN
# Exit: 0 there are none any more; 1 they could not be listed, or not deleted.
main() {
    set -u
    tokens=$(kubeadm token list) || return 1
    for token in $(printf '%s\n' "$tokens" | awk -v run="windlass-$1" 'index($0, run) { print $1 }'); do
        kubeadm token delete "${token%%.*}" || return 1
    done
}
main "$@" </dev/null
