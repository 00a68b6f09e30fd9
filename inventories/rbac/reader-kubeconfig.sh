#!/bin/sh
# Makes /etc/kubernetes/windlass-reader.conf: the kubeconfig of a user who may do what windlass-reader.yaml says, signed by the
# cluster's own CA. Run it as root on each control plane; it wants openssl. Run again, it makes a new one.
#
#   reader-kubeconfig.sh [DAYS]        its certificate ends after so many days, 365 when nothing is said
set -eu

main() {
  days=${1:-365}
  folder=/etc/kubernetes
  umask 077
  work=$(mktemp -d "$folder/.windlass-reader.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 129' HUP INT TERM

  openssl ecparam -name prime256v1 -genkey -noout -out "$work/key"
  printf 'keyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n' >"$work/extensions"
  openssl req -new -key "$work/key" -subj /CN=windlass-reader |
    openssl x509 -req -CA "$folder/pki/ca.crt" -CAkey "$folder/pki/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
      -days "$days" -extfile "$work/extensions" -out "$work/crt" 2>"$work/said" || { cat "$work/said" >&2; exit 1; }
  kubeconfig >"$work/conf"
  mv "$work/conf" "$folder/windlass-reader.conf"
  echo "$folder/windlass-reader.conf is made, for $days days"
}

on_one_line() { base64 <"$1" | tr -d '\n'; }

kubeconfig() {
  cat <<CONF
apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster:
    certificate-authority-data: $(on_one_line "$folder/pki/ca.crt")
    $(sed -n 's/^ *\(server: .*\)/\1/p' "$folder/admin.conf" | head -n 1)
users:
- name: windlass-reader
  user:
    client-certificate-data: $(on_one_line "$work/crt")
    client-key-data: $(on_one_line "$work/key")
contexts:
- name: windlass-reader
  context: {cluster: kubernetes, user: windlass-reader}
current-context: windlass-reader
CONF
}

main "$@" </dev/null
