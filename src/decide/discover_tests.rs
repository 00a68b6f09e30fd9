use super::*;
use crate::facts::found::FoundNode;
use crate::inventory;

fn cluster() -> FoundCluster {
    let node = |name: &str, address: &str, control_plane| FoundNode {
        name: name.to_owned(),
        address: address.to_owned(),
        control_plane,
    };
    FoundCluster {
        name: "prod".to_owned(),
        endpoint: "lb.example".to_owned(),
        etcd: Some(vec!["https://10.0.0.4:2379".to_owned(), "https://[fd00::5]:2379/".to_owned()]),
        nodes: vec![node("a-worker", "10.0.0.9", false), node("cp1", "10.0.0.1", true)],
    }
}

fn member(host: &str) -> FoundEtcd {
    FoundEtcd {
        host: host.to_owned(),
        service: Some("etcd".to_owned()),
        program: "/usr/bin/etcd".to_owned(),
        package: Some("etcd-server".to_owned()),
        client_package: Some("etcd-client".to_owned()),
        env_file: Some("/etc/default/etcd".to_owned()),
        ca: Some("/p/ca.crt".to_owned()),
        client_port: None,
        clients: vec![
            (format!("/p/{host}.crt"), format!("/p/{host}.key")),
            ("/p/c.crt".to_owned(), "/p/c.key".to_owned()),
        ],
        config_file: None,
    }
}

fn made(cluster: &FoundCluster, members: &[(&str, FoundEtcd)]) -> Result<Inventory, Vec<String>> {
    let etcd: Vec<_> =
        members.iter().map(|(address, etcd)| (Address::new(*address).expect("an address"), etcd.clone())).collect();
    inventory(Found { cluster, etcd: &etcd, ssh: &Ssh::default(), name: None })
}

#[test]
fn an_inventory_is_made_of_what_all_machines_say() {
    let cluster = cluster();
    let hosts: Vec<String> = etcd_hosts(&cluster).expect("hosts").iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["10.0.0.4", "fd00::5"]);
    let made = made(&cluster, &[("10.0.0.4", member("e1")), ("10.0.0.1", member("cp1"))]).expect("it can be made");
    let text = inventory::write(&made);
    let wanted = "format = 1\nname = \"prod\"\n\n[api]\nendpoint = \"lb.example:6443\"\n\n[etcd]\ntopology = \"external\"\nca = \
                  \"/p/ca.crt\"\ncert = \"/p/c.crt\"\nkey = \"/p/c.key\"\nservice = \"etcd\"\npackage = \
                  \"etcd-server\"\nclient_package = \"etcd-client\"\nenv_file = \"/etc/default/etcd\"\n\n[[node]]\nname = \
                  \"e1\"\naddress = \"10.0.0.4\"\nroles = [\"etcd\"]\n\n[[node]]\nname = \"cp1\"\naddress = \"10.0.0.1\"\nroles = \
                  [\"etcd\", \"control-plane\"]\n\n[[node]]\nname = \"a-worker\"\naddress = \"10.0.0.9\"\nroles = [\"worker\"]\n";
    assert_eq!(text, wanted);
    assert_eq!(inventory::parse(&text).expect("it is good").value, made);
}

#[test]
fn a_stacked_cluster_needs_no_machine_of_etcd() {
    let made = made(&FoundCluster { etcd: None, ..cluster() }, &[]).expect("it can be made");
    let text = inventory::write(&made);
    assert!(text.contains("topology = \"stacked\""), "{text}");
    assert_eq!(inventory::parse(&text).expect("it is good").value, made);
}

#[test]
fn what_is_not_one_thing_is_told() {
    let two = |other: FoundEtcd| {
        made(&cluster(), &[("10.0.0.4", member("e1")), ("10.0.0.5", other)]).expect_err("no inventory")
    };
    let other = FoundEtcd { service: Some("etcd3".to_owned()), ..member("e2") };
    assert_eq!(two(other), ["machines of etcd differ in their systemd unit: etcd on e1, etcd3 on e2"]);
    let without = FoundEtcd { clients: Vec::new(), ..member("e2") };
    assert_eq!(two(without), ["no certificate of a client and its key are at the same paths on all machines of etcd"]);
    let by_file = FoundEtcd { config_file: Some("/etc/etcd.yml".to_owned()), ..member("e2") };
    assert_eq!(two(by_file), ["etcd is set by `/etc/etcd.yml`, which is not read: write its table `[etcd]` by hand"]);
    let none = made(&FoundCluster { name: "A B".to_owned(), nodes: Vec::new(), etcd: None, ..cluster() }, &[]);
    let why = none.expect_err("no inventory");
    assert_eq!(why.len(), 2, "{why:?}");
    assert!(why[0].starts_with("the cluster's name `A B` cannot be its name here"), "{why:?}");
    assert!(why[1].starts_with("no node is labelled as a control plane"), "{why:?}");
}
