# Part of what looks at etcd: its settings, as lines of `NAME VALUE` by the names of its flags, from what stands on stdin.

# Of variables, a line each.
of_variables() { sed -n -E 's/^ETCD_([A-Z0-9_]+)=(.*)/\1 \2/p' | awk '{ $1 = tolower($1); gsub(/_/, "-", $1); print }'; }

# Of arguments, a line each: `--flag value`, `--flag=value` and a bare switch, of which some may stand before what a shell fills in.
of_arguments() {
  awk '/^--?[a-z]/ { if (k) print k " true"; sub(/^--?/, ""); k = ""; if (sub(/=/, " ")) print; else k = $0; next }
    k ~ /^(enable-v2|strict-reconfig-check|pre-vote|(peer-)?client-cert-auth|experimental-initial-corrupt-check)$/ && /^[$]/ { print k " true"; k = ""; next }
    k { print k " " $0; k = "" } END { if (k) print k " true" }'
}

