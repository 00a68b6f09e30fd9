# Part of the jobs that ask etcd. Statuses are read as JSON: the columns of the plain output differ between releases (3.6
# put four before "is leader").

# status_of URLS: the status of each, as JSON; fails when one of them does not tell it.
status_of() { etcdctl --endpoints="$1" --command-timeout=5s -w json endpoint status; }

# values_of FIELD: its values in the JSON on stdin, one a line. etcd leaves out what is 0 or false.
values_of() { grep -o -E "\"$1\":\"?[a-z0-9]+" | sed 's/^"[^"]*":"*//'; }
