use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::inventory::{Address, Api, Bootstrap, Etcd, Kubeadm, LoadBalancer, NodeName, Role, Topology, UserName};

fn inventory() -> Inventory {
    let node = |name: &str, address: &str| Node {
        name: NodeName::new(name).expect("a name"),
        address: Address::new(address).expect("an address"),
        roles: BTreeSet::from([Role::Worker]),
        labels: BTreeMap::new(),
    };
    Inventory {
        name: "lab".to_owned(),
        ssh: Ssh {
            user: Some(UserName::new("ops").expect("a user")),
            port: 2222,
            identity: Some("keys/my key".into()),
            config: None,
            known_hosts: None,
            jump: Some("me@bastion:22".to_owned()),
            connect_timeout: Duration::from_millis(1500),
            keepalive: Duration::from_secs(5),
            sudo: true,
            strict_host_keys: true,
        },
        api: Api::default(),
        load_balancer: LoadBalancer::default(),
        etcd: Etcd {
            topology: Topology::External,
            service: "etcd".to_owned(),
            package: "etcd-server".to_owned(),
            client_package: None,
            ca: "/ca".into(),
            cert: "/cert".into(),
            key: "/key".into(),
            env_file: "/env".into(),
            client_port: 2379,
        },
        kubeadm: Kubeadm::default(),
        bootstrap: Bootstrap::default(),
        nodes: vec![node("cp-1", "10.0.0.1"), node("w-1", "fd00::7")],
    }
}

fn config(change: impl FnOnce(&mut Ssh)) -> Result<String, UnfitWord> {
    let mut inventory = inventory();
    change(&mut inventory.ssh);
    ssh_config(&inventory, Utf8Path::new("/base"))
}

#[test]
fn the_whole_of_it() {
    let wanted = r#"# Written by Windlass, and removed when it ends.
Host cp-1
  HostName "10.0.0.1"
  Port 2222
  User "ops"
  ProxyJump me@bastion:22
Host w-1
  HostName "fd00::7"
  Port 2222
  User "ops"
  ProxyJump me@bastion:22
Host *
  IdentityFile "/base/keys/my key"
  IdentitiesOnly yes
  StrictHostKeyChecking yes
  ConnectTimeout 2
  ServerAliveInterval 5
  ServerAliveCountMax 3
  BatchMode yes
  ForwardAgent no
  ForwardX11 no
  PermitLocalCommand no
  RequestTTY no
  StreamLocalBindUnlink yes
  StreamLocalBindMask 0177
  Ciphers ^aes128-gcm@openssh.com,aes256-gcm@openssh.com
"#;
    assert_eq!(config(|_| ()).expect("it fits"), wanted);
}

#[test]
fn the_operators_configuration_comes_last_but_for_what_it_may_decide() {
    let text = config(|ssh| ssh.config = Some("/etc/my ssh/config".into())).expect("it fits");
    let last = "  Include \"/etc/my ssh/config\"\n  Ciphers ^aes128-gcm@openssh.com,aes256-gcm@openssh.com\n";
    assert!(text.ends_with(last), "{text}");
}

#[test]
fn unchecked_keys_are_not_remembered() {
    let text = config(|ssh| ssh.strict_host_keys = false).expect("it fits");
    assert!(text.contains("UserKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n"), "{text}");
    let text = config(|ssh| {
        ssh.strict_host_keys = false;
        ssh.known_hosts = Some("hosts".into());
    });
    assert!(text.expect("it fits").contains("UserKnownHostsFile \"/base/hosts\"\n"));
}

#[test]
fn no_word_becomes_a_directive() {
    let refused = |change: fn(&mut Ssh)| config(change).expect_err("refused").character;
    assert_eq!(refused(|ssh| ssh.identity = Some("a\" \"b".into())), '"');
    assert_eq!(refused(|ssh| ssh.identity = Some("a\nProxyCommand x".into())), '\n');
    assert_eq!(refused(|ssh| ssh.known_hosts = Some("a\\".into())), '\\');
    assert_eq!(refused(|ssh| ssh.known_hosts = Some("${HOME}".into())), '$');
    assert_eq!(refused(|ssh| ssh.config = Some("conf.d/*".into())), '*');
    assert_eq!(refused(|ssh| ssh.jump = Some("a b".to_owned())), ' ');
    assert_eq!(refused(|ssh| ssh.jump = Some("a\nProxyCommand x".to_owned())), '\n');
}

#[test]
fn percent_signs_stay_percent_signs() {
    let text = config(|ssh| ssh.identity = Some("%h".into())).expect("it fits");
    assert!(text.contains("IdentityFile \"/base/%%h\""));
}

#[test]
fn zero_would_mean_never() {
    let text = config(|ssh| ssh.keepalive = Duration::ZERO).expect("it fits");
    assert!(text.contains("ServerAliveInterval 1\n"));
}
