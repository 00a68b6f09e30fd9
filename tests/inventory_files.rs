//! Inventories as files: those that come with Windlass, every refusal as a person sees it, and whatever else a file may hold.

mod complaints;

use std::time::Duration;

use proptest::prelude::*;
use windlass::document::{Complaints, Parsed};
use windlass::inventory::{self, Api, Bootstrap, Inventory, Role, Topology};

const GOOD: &str = include_str!("complaints/inventory.toml");

fn said(result: Result<Parsed<Inventory>, Complaints>) -> Complaints {
    let refused = result.is_err();
    let complaints = result.map_or_else(|complaints| complaints, |parsed| parsed.warnings);
    assert_eq!(refused, complaints.refuse(), "refused for an error, and only for one");
    complaints
}

#[test]
fn every_inventory_that_comes_along_is_good() {
    let paths = std::fs::read_dir("inventories").expect("the folder is there");
    let paths = paths.map(|entry| entry.expect("it can be listed").path());
    for path in paths.filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let complaints = said(inventory::parse(&text));
        assert!(complaints.is_empty(), "{}", complaints.render(&path.display().to_string(), &text, false));
    }
}

#[test]
fn complaints_read_like_this() {
    let cases = include_str!("complaints/inventory.txt");
    complaints::check("tests/complaints/inventory.txt", cases, GOOD, |text| said(inventory::parse(text)));
}

#[test]
fn words_of_roles_are_those_of_files() {
    for (word, role) in Role::WORDS {
        assert_eq!(role.word(), word);
    }
}

#[test]
fn what_is_not_said_is_as_usual() {
    let inventory = inventory::parse(GOOD).expect("it is good").value;
    let Inventory { name, ssh, api, load_balancer, etcd, kubeadm, bootstrap, nodes } = &inventory;
    assert_eq!((name.as_str(), api), ("lab", &Api::default()));
    assert_eq!((ssh.port, ssh.connect_timeout, ssh.keepalive), (22, Duration::from_secs(10), Duration::from_secs(5)));
    assert!(ssh.sudo && ssh.strict_host_keys && ssh.jump.is_none());
    assert_eq!((etcd.topology, etcd.client_port), (Topology::Stacked, 2379));
    assert_eq!(etcd.ca, "/etc/kubernetes/pki/etcd/ca.crt");
    assert_eq!(etcd.client_package, None);
    assert_eq!(load_balancer.router_id, 51);
    assert!(kubeadm.ignore_preflight_errors.is_empty());
    assert_eq!(bootstrap, &Bootstrap::default());
    assert_eq!((bootstrap.heartbeat_ms, bootstrap.election_ms), (100, 1000), "as etcd's own");
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["cp1", "cp2", "cp3", "worker1"], "the order of the file is the order of work");
    assert_eq!(inventory.etcd_nodes().count(), 3);
}

#[test]
fn the_example_says_all_of_it() {
    let inventory = inventory::parse(include_str!("../inventories/example-ha.toml")).expect("it is good").value;
    assert_eq!(inventory.ssh.jump.as_deref(), Some("ops@bastion.example.org:22"));
    assert_eq!(inventory.etcd.client_package.as_deref(), Some("etcd-client"));
    assert_eq!(inventory.kubeadm.ignore_preflight_errors, ["Swap"]);
    assert_eq!(inventory.with_role(Role::Worker).count(), 3);
    let resolved = inventory.resolved_against("/inv".into(), Some("/home/ops".into()));
    assert_eq!(resolved.ssh.identity.as_deref(), Some("/home/ops/.ssh/id_ed25519".into()));
    assert_eq!(resolved.ssh.known_hosts.as_deref(), Some("/inv/production.known_hosts".into()));
    assert_eq!(resolved.etcd, inventory.etcd);
}

proptest! {
    #[test]
    fn any_text_is_an_inventory_or_complained_of(text in "\\PC*|[\\[\\]a-z={}\"'\\n#,.0-9]*") {
        complaints::well_placed(&text, &said(inventory::parse(&text)))?;
    }

    #[test]
    fn a_spoilt_inventory_is_still_read_to_its_end(text in complaints::spoilt(GOOD)) {
        complaints::well_placed(&text, &said(inventory::parse(&text)))?;
    }

    #[test]
    fn a_spoilt_example_too(text in complaints::spoilt(include_str!("../inventories/example-ha.toml"))) {
        complaints::well_placed(&text, &said(inventory::parse(&text)))?;
    }
}
