//! The lab as it was seen, and the plans that are made for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use semver::Version;
use windlass::decide::actions::programs::{Archive, Origin};
use windlass::decide::plan::{Plan, Sources};
use windlass::decide::planner::{self, Wanted};
use windlass::decide::restore::{self, Snapshot};
use windlass::decide::rules::Case;
use windlass::decide::target::Target;
use windlass::facts::balancer::{Balancer, Server};
use windlass::facts::{self, EtcdTool, Facts, MachineFacts, NodeFacts, Seen};
use windlass::inventory::{self, Inventory, NodeName, Topology};
use windlass::playbook;

use crate::world::real_certificate;

/// What to raise: Kubernetes and etcd.
pub(crate) type Raise = (Option<&'static str>, Option<&'static str>);

/// Raises etcd and Kubernetes by a minor each.
pub(crate) const MINOR: Raise = (Some("1.21.14"), Some("3.5.16"));
/// Raises Kubernetes by a minor.
pub(crate) const KUBERNETES: Raise = (Some("1.21.14"), None);
/// Raises Kubernetes within its minor.
pub(crate) const PATCH: Raise = (Some("1.20.15"), None);
/// Raises etcd alone.
pub(crate) const ETCD: Raise = (None, Some("3.5.16"));
/// Raises nothing: restores etcd.
pub(crate) const RESTORE: Raise = (None, None);

/// etcd's program, where it is no package.
pub(crate) const PROGRAM: &str = "/usr/local/bin/etcd";
/// Where the archive of etcd's programs is to be had.
pub(crate) const ARCHIVE_URL: &str = "http://repo/etcd-v3.5.16-linux-amd64.tar.gz";
/// Its SHA-256.
pub(crate) const ARCHIVE_SHA256: &str = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";

/// What was seen of the lab, with one certificate for all.
pub(crate) fn lab_facts() -> Facts {
    static FACTS: OnceLock<Facts> = OnceLock::new();
    FACTS.get_or_init(read_lab_facts).clone()
}

fn read_lab_facts() -> Facts {
    let mut facts = facts::from_json(include_str!("../fixtures/engine/lab.json")).expect("facts");
    let ends = facts::probe::parse(&format!(
        "@@ certificates\n certificate {} /\n@@ end certificates ok\n@@ done\n",
        real_certificate()
    ));
    let ends = ends.expect("an answer").certificates.known().expect("certificates")[0].not_after;
    for node in &mut facts.nodes {
        if let Seen::Known(MachineFacts { certificates: Seen::Known(certificates), .. }) = &mut node.machine {
            for certificate in certificates {
                certificate.not_after = ends;
            }
        }
    }
    let balancers: Vec<NodeFacts> = ["lb1", "lb2"].map(|name| balancer(&facts, name)).into();
    facts.nodes.extend(balancers);
    facts
}

/// A load balancer of the lab's, which was set up after these facts were taken: a worker's machine, without what makes it one.
fn balancer(facts: &Facts, name: &str) -> NodeFacts {
    let worker = facts.nodes.iter().find(|node| node.name.as_str() == "w1").expect("a worker");
    let Seen::Known(worker) = &worker.machine else { panic!("it was reached") };
    let servers = ["cp1", "cp2", "cp3"].map(|name| (name.to_owned(), Server::Ready));
    let machine = MachineFacts {
        hostname: name.to_owned(),
        machine_id: Seen::Known(format!("{:0>32}", name.len() + usize::from(name.ends_with('2')))),
        packages: BTreeMap::new(),
        kubelet_running: Seen::Known(None),
        static_pods: Seen::Known(BTreeMap::new()),
        containers: Seen::Known(Vec::new()),
        api_server: Seen::Known(None),
        certificates: Seen::Known(Vec::new()),
        etcd: Seen::Known(None),
        balancer: Seen::Known(Some(Balancer { keepalived: true, servers: servers.into() })),
        ..worker.clone()
    };
    NodeFacts { name: NodeName::new(name).expect("a name"), machine: Seen::Known(machine) }
}

/// The same lab with its members on the control planes, as static pods. Their etcd is in an image, as its programs are.
pub(crate) fn stacked_facts() -> Facts {
    let mut facts = lab_facts();
    facts.cluster = stacked_inventory().name;
    let Seen::Known(etcd) = &mut facts.etcd else { panic!("etcd was seen") };
    let machine = |nodes: &mut Vec<facts::NodeFacts>, name: &str| {
        let node = nodes.iter_mut().find(|node| node.name.as_str() == name).expect("a machine");
        match &mut node.machine {
            Seen::Known(machine) => machine.clone(),
            Seen::Unknown(why) => panic!("{why}"),
        }
    };
    for (number, member) in (1..).zip(&mut etcd.members) {
        let mut process = machine(&mut facts.nodes, &member.name).etcd;
        let name = format!("cp{number}");
        let url = |port: u16| format!("https://172.30.0.2{number}:{port}");
        (member.peer_urls, member.client_urls) = (vec![url(2380)], vec![url(2379)]);
        let Seen::Known(Some(known)) = &mut process else { panic!("it runs etcd") };
        (known.name, known.data_dir) = (Seen::Known(name.clone()), Seen::Known("/var/lib/etcd".to_owned()));
        known.settings = BTreeMap::from([("initial-advertise-peer-urls".to_owned(), url(2380))]);
        known.configured_members = None;
        let node = facts.nodes.iter_mut().find(|node| node.name.as_str() == name).expect("a control plane");
        (member.name, member.node) = (name, Some(node.name.clone()));
        let Seen::Known(machine) = &mut node.machine else { panic!("it was reached") };
        machine.etcd = process;
        let image = STACKED_IMAGE.to_owned();
        if let Seen::Known(pods) = &mut machine.static_pods {
            pods.insert("etcd".to_owned(), image.clone());
        }
        if let Seen::Known(containers) = &mut machine.containers {
            containers.push(facts::Container { name: "etcd".to_owned(), image });
        }
    }
    facts.nodes.retain(|node| !node.name.as_str().starts_with("etcd"));
    let Seen::Known(api) = &mut facts.api else { panic!("the API was seen") };
    let Seen::Known(config) = &mut api.kubeadm else { panic!("kubeadm-config was seen") };
    config.external_etcd = false;
    facts
}

/// The same lab, whose etcd nobody packaged.
pub(crate) fn unpackaged() -> (Inventory, Facts) {
    let (mut inventory, mut facts) = (lab_inventory(), lab_facts());
    PROGRAM.clone_into(&mut inventory.etcd.package);
    inventory.etcd.client_package = None;
    for node in &mut facts.nodes {
        let Seen::Known(machine) = &mut node.machine else { continue };
        if machine.packages.remove("etcd-server").is_some() {
            machine.packages.clear();
            let candidates = Seen::Known(Vec::new());
            let program = facts::PackageFacts { installed: Some("3.4.23".to_owned()), held: false, candidates };
            machine.packages.insert(PROGRAM.to_owned(), program);
        }
    }
    (inventory, facts)
}

/// The archive of etcd's programs: at its address, or on the operator's machine.
pub(crate) fn archive(sent: bool) -> Archive {
    let file = || Origin::File { path: "/srv/etcd-v3.5.16-linux-amd64.tar.gz".to_owned(), bytes: 20 << 20 };
    let from = if sent { file() } else { Origin::Url(ARCHIVE_URL.to_owned()) };
    Archive { from, sha256: ARCHIVE_SHA256.to_owned() }
}

/// What a stacked member's manifest names.
pub(crate) const STACKED_IMAGE: &str = "k8s.gcr.io/etcd:3.4.23-0";

pub(crate) fn stacked_inventory() -> Inventory {
    inventory::parse(include_str!("../../inventories/lab-stacked.toml")).expect("an inventory").value
}

pub(crate) fn lab_inventory() -> Inventory {
    static INVENTORY: OnceLock<Inventory> = OnceLock::new();
    let read = || inventory::parse(include_str!("../../inventories/lab.toml")).expect("an inventory").value;
    INVENTORY.get_or_init(read).clone()
}

/// The plan that the planner makes of these facts.
pub(crate) fn plan(inventory: &Inventory, facts: &Facts, raise: Raise) -> Plan {
    if raise == RESTORE { restore_plan(inventory, facts) } else { upgrade_plan(inventory, facts, raise, None) }
}

/// The plan for an upgrade, of etcd from this archive where there is one.
pub(crate) fn upgrade_plan(inventory: &Inventory, facts: &Facts, raise: Raise, etcd_archive: Option<Archive>) -> Plan {
    let (kubernetes, etcd) = raise;
    let version = |text: &str| Version::parse(text).expect("a version");
    let target = Target {
        etcd_archive,
        kubernetes: kubernetes.map(version),
        etcd: etcd.map(version),
        leave_out: std::collections::BTreeSet::default(),
        accept_outage: false,
    };
    let raises = planner::raises(Case { inventory, facts, target: &target });
    let playbooks: Vec<_> =
        raises.into_iter().map(|raises| playbook::parse(playbook::builtin(raises)).expect("a playbook")).collect();
    let sources = Sources {
        inventory: "lab.toml".to_owned(),
        inventory_digest: String::new(),
        playbook_digests: BTreeMap::new(),
        facts_digest: String::new(),
    };
    planner::plan(Wanted { inventory, playbooks: &playbooks, facts, target: &target, sources: &sources })
        .unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// The plan that restores a snapshot of the moment of these facts. What a look for a restore sees besides is put into them:
/// they were saved by looks for upgrades.
fn restore_plan(inventory: &Inventory, facts: &Facts) -> Plan {
    let mut facts = facts.clone();
    let members = facts.etcd.known().expect("etcd").members.clone();
    for member in &members {
        let node = facts.nodes.iter_mut().find(|node| Some(&node.name) == member.node.as_ref()).expect("its machine");
        let Seen::Known(machine) = &mut node.machine else { continue };
        let version = member.status.known().expect("it answers").version.clone();
        let (path, image) = match inventory.etcd.topology {
            Topology::External => ("/usr/bin/etcdctl", None),
            Topology::Stacked => ("tools/restorer", Some(STACKED_IMAGE.to_owned())),
        };
        machine.etcd_tool = Seen::Known(EtcdTool { path: path.to_owned(), image, version, bumps: false });
        if let Seen::Known(Some(etcd)) = &mut machine.etcd {
            etcd.settings.insert("initial-advertise-peer-urls".to_owned(), member.peer_urls.join(","));
        }
    }
    let revision = members[0].status.known().expect("it answers").revision;
    let file = "/srv/lab.db".to_owned();
    let snapshot = Snapshot {
        file,
        sha256: "dd".repeat(32),
        bytes: 4096,
        revision,
        registry_keys: 200,
        members: Vec::new(),
        kube_system_uid: None,
    };
    let sources = Sources { inventory: "lab.toml".to_owned(), ..Sources::default() };
    let wanted = restore::Wanted { inventory, facts: &facts, snapshot: &snapshot, fenced: &[], sources: &sources };
    restore::plan(wanted).unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// The plan for the lab with its members on the control planes; made once.
pub(crate) fn stacked_plan(raise: Raise) -> Plan {
    static PLANS: Mutex<BTreeMap<Raise, Plan>> = Mutex::new(BTreeMap::new());
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    plans.entry(raise).or_insert_with(|| plan(&stacked_inventory(), &stacked_facts(), raise)).clone()
}

/// The plan for the lab as it was seen; made once.
pub(crate) fn lab_plan(raise: Raise) -> Plan {
    static PLANS: Mutex<BTreeMap<Raise, Plan>> = Mutex::new(BTreeMap::new());
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    plans.entry(raise).or_insert_with(|| plan(&lab_inventory(), &lab_facts(), raise)).clone()
}
