//! An inventory as a file, for people to go on with. [`super::parse`] reads the same from it.

use std::fmt::Write as _;

use super::{Api, Bootstrap, CLIENT_PORT, Etcd, FORMAT, Inventory, Kubeadm, LoadBalancer, Node, Ssh, Topology};

pub(super) fn inventory(inventory: &Inventory) -> String {
    let Inventory { name, ssh, api, load_balancer, etcd, kubeadm, bootstrap, nodes } = inventory;
    let mut text = format!("format = {FORMAT}\nname = {}\n", quoted(name));
    table(&mut text, "[ssh]", ssh_keys(ssh));
    table(&mut text, "[api]", api_keys(api));
    table(&mut text, "[load_balancer]", load_balancer_keys(*load_balancer));
    table(&mut text, "[etcd]", etcd_keys(etcd));
    table(&mut text, "[kubeadm]", kubeadm_keys(kubeadm));
    table(&mut text, "[bootstrap]", bootstrap_keys(bootstrap));
    for node in nodes {
        table(&mut text, "[[node]]", node_keys(node));
    }
    text
}

/// A key and its value, as TOML writes it.
type Key = (&'static str, String);

fn table(text: &mut String, head: &str, keys: Vec<Key>) {
    if keys.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{head}");
    for (key, value) in keys {
        let _ = writeln!(text, "{key} = {value}");
    }
}

fn quoted(word: impl std::fmt::Display) -> String {
    toml::Value::String(word.to_string()).to_string()
}

fn list<T: std::fmt::Display>(words: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    format!("[{}]", words.join(", "))
}

/// What is not as usual.
fn unusual<T: PartialEq>(key: &'static str, value: &T, usual: &T, write: impl Fn(&T) -> String) -> Option<Key> {
    (value != usual).then(|| (key, write(value)))
}

fn ssh_keys(ssh: &Ssh) -> Vec<Key> {
    let usual = Ssh::default();
    let seconds = |time: &std::time::Duration| quoted(format!("{}s", time.as_secs()));
    let keys = [
        ssh.user.as_ref().map(|user| ("user", quoted(user))),
        unusual("port", &ssh.port, &usual.port, u16::to_string),
        ssh.identity.as_ref().map(|path| ("identity", quoted(path))),
        ssh.config.as_ref().map(|path| ("config", quoted(path))),
        ssh.known_hosts.as_ref().map(|path| ("known_hosts", quoted(path))),
        ssh.jump.as_ref().map(|jump| ("jump", quoted(jump))),
        unusual("connect_timeout", &ssh.connect_timeout, &usual.connect_timeout, seconds),
        unusual("keepalive", &ssh.keepalive, &usual.keepalive, seconds),
        unusual("sudo", &ssh.sudo, &usual.sudo, bool::to_string),
        unusual("strict_host_keys", &ssh.strict_host_keys, &usual.strict_host_keys, bool::to_string),
    ];
    keys.into_iter().flatten().collect()
}

fn api_keys(api: &Api) -> Vec<Key> {
    let keys = [
        api.endpoint.as_ref().map(|endpoint| ("endpoint", quoted(endpoint))),
        unusual("kubeconfig", &api.kubeconfig, &Api::default().kubeconfig, |path| quoted(path)),
    ];
    keys.into_iter().flatten().collect()
}

fn load_balancer_keys(load_balancer: LoadBalancer) -> Vec<Key> {
    let usual = LoadBalancer::default().router_id;
    unusual("router_id", &load_balancer.router_id, &usual, u8::to_string).into_iter().collect()
}

fn etcd_keys(etcd: &Etcd) -> Vec<Key> {
    let mut keys = vec![("topology", quoted(if etcd.topology == Topology::External { "external" } else { "stacked" }))];
    let paths = [("ca", &etcd.ca), ("cert", &etcd.cert), ("key", &etcd.key)];
    keys.extend(paths.map(|(key, path)| (key, quoted(path))));
    if etcd.topology == Topology::External {
        keys.extend([("service", quoted(&etcd.service)), ("package", quoted(&etcd.package))]);
        keys.extend(etcd.client_package.as_ref().map(|package| ("client_package", quoted(package))));
        keys.push(("env_file", quoted(&etcd.env_file)));
    }
    keys.extend(unusual("client_port", &etcd.client_port, &CLIENT_PORT, u16::to_string));
    keys
}

fn kubeadm_keys(kubeadm: &Kubeadm) -> Vec<Key> {
    let ignored = &kubeadm.ignore_preflight_errors;
    if ignored.is_empty() { Vec::new() } else { vec![("ignore_preflight_errors", list(ignored))] }
}

fn bootstrap_keys(bootstrap: &Bootstrap) -> Vec<Key> {
    let usual = Bootstrap::default();
    let keys = [
        bootstrap.kubeadm.as_ref().map(|path| ("kubeadm", quoted(path))),
        bootstrap.containerd.as_ref().map(|path| ("containerd", quoted(path))),
        unusual("manifests", &bootstrap.manifests, &usual.manifests, |paths| list(paths)),
        unusual("heartbeat_ms", &bootstrap.heartbeat_ms, &usual.heartbeat_ms, u64::to_string),
        unusual("election_ms", &bootstrap.election_ms, &usual.election_ms, u64::to_string),
    ];
    keys.into_iter().flatten().collect()
}

fn node_keys(node: &Node) -> Vec<Key> {
    let mut keys = vec![
        ("name", quoted(&node.name)),
        ("address", quoted(&node.address)),
        ("roles", list(node.roles.iter().map(|role| role.word()))),
    ];
    if !node.labels.is_empty() {
        let labels: Vec<String> =
            node.labels.iter().map(|(key, value)| format!("{} = {}", quoted(key), quoted(value))).collect();
        keys.push(("labels", format!("{{ {} }}", labels.join(", "))));
    }
    keys
}

#[cfg(test)]
mod tests {
    use crate::inventory::{parse, write};

    #[test]
    fn what_is_written_reads_the_same() {
        let files = [
            include_str!("../../inventories/example-ha.toml"),
            include_str!("../../inventories/lab.toml"),
            include_str!("../../inventories/lab-stacked.toml"),
            include_str!("../../tests/scenarios/inventory.toml"),
        ];
        for text in files {
            let read = parse(text).expect("it is good").value;
            let again = write(&read);
            assert_eq!(parse(&again).expect("it is good").value, read, "{again}");
        }
        let odd = "format = 1\nname = \"a\"\n[ssh]\nport = 2222\nsudo = false\nstrict_host_keys = false\nkeepalive = \"7s\"\n\
                   config = '/a b c'\n[api]\nkubeconfig = \"/k\"\n[etcd]\ntopology = \"external\"\nca = \"/c\"\ncert = \"/d\"\n\
                   key = \"/e\"\npackage = \"/opt/etcd\"\nclient_port = 4001\n[bootstrap]\nkubeadm = \"k.yaml\"\ncontainerd = \"/c d\"\n\
                   manifests = [\"a.yaml\", \"b.yaml\"]\nheartbeat_ms = 250\nelection_ms = 2500\n\
                   [[node]]\nname = \"n\"\naddress = \"::1\"\nroles = [\"etcd\", \"control-plane\"]\n";
        let read = parse(odd).expect("it is good").value;
        assert_eq!(parse(&write(&read)).expect("it is good").value, read);
    }
}
