# Part of what looks at etcd: its settings, as lines of `NAME VALUE` by the names of its flags, from what stands on stdin.

# Of variables, a line each.
of_variables() { sed -n -E 's/^ETCD_([A-Z0-9_]+)=(.*)/\1 \2/p' | awk '{ $1 = tolower($1); gsub(/_/, "-", $1); print }'; }

# Of arguments, a line each: `--flag value`, `--flag=value` and a bare switch, of which some may stand before what a shell fills in.
of_arguments() {
  awk '/^--?[a-z]/ { if (k) print k " true"; sub(/^--?/, ""); k = ""; if (sub(/=/, " ")) print; else k = $0; next }
    k ~ /^(enable-v2|strict-reconfig-check|pre-vote|(peer-)?client-cert-auth|experimental-initial-corrupt-check)$/ && /^[$]/ { print k " true"; k = ""; next }
    k { print k " " $0; k = "" } END { if (k) print k " true" }'
}

# Of a file of settings in YAML. What is about TLS stands there below a heading, and is called as the flags are.
of_file() {
  awk '{ sub(/[ \t\r]+$/, "") }
    /^[a-z0-9-]+:$/ { below = ($0 == "peer-transport-security:") ? "peer-" : ($0 == "client-transport-security:") ? "client" : "other"; next }
    /^[a-z0-9-]/ { below = "" }
    /^ +[a-z0-9-]+:/ && (below == "peer-" || below == "client") { sub(/^ +/, ""); if (below == "peer-") $0 = below $0; told() ; next }
    /^[a-z0-9-]+: / { told() }
    function told() {
      name = $0; sub(/:.*/, "", name); value = $0; sub(/^[a-z0-9-]+: */, "", value)
      if (value ~ /^["\047]/) { quote = substr(value, 1, 1); value = substr(value, 2); sub(quote ".*", "", value) } else sub(/ *#.*/, "", value)
      print name, value
    }'
}

