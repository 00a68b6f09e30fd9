//! A cluster to decide about: the base, and ways to change what is seen of it. Versions are set as an upgrade would set them,
//! component by component.

use std::collections::BTreeMap;

use semver::Version;
use windlass::decide::finding::Finding;
use windlass::decide::plan::{Plan, Sources};
use windlass::decide::planner::{self, Wanted};
use windlass::decide::rules::Case;
use windlass::decide::target::Target;
use windlass::facts::version::parse_version;
use windlass::facts::{self, Facts, KubeNode, MachineFacts, Seen};
use windlass::inventory::{self, Inventory, NodeName, Role};
use windlass::playbook::{self, Playbook};

/// An inventory and what was seen of its cluster.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) inventory: Inventory,
    pub(crate) facts: Facts,
}

pub(crate) const BASE_FACTS: &str = include_str!("../scenarios/facts.json");

pub(crate) fn version(text: &str) -> Version {
    Version::parse(text).expect("a version")
}

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::new(text).expect("a name")
}

/// A target of Kubernetes and etcd; an empty word for none.
pub(crate) fn target(kubernetes: &str, etcd: &str) -> Target {
    let some = |text: &str| (!text.is_empty()).then(|| version(text));
    Target { kubernetes: some(kubernetes), etcd: some(etcd), ..Target::default() }
}

/// The base cluster, raised by a minor each.
pub(crate) fn golden() -> Plan {
    Cluster::base().plan(&target("1.21.14", "3.5.16")).expect("the base can be raised")
}

pub(crate) fn sources() -> Sources {
    Sources {
        inventory: "/etc/windlass/lab.toml".to_owned(),
        inventory_digest: "1".repeat(64),
        playbook_digests: BTreeMap::new(),
        facts_digest: "2".repeat(64),
    }
}

impl Cluster {
    /// Three etcd members at 3.4.23, three control planes and two workers at 1.20.2, all well.
    pub(crate) fn base() -> Self {
        let inventory = inventory::parse(include_str!("../scenarios/inventory.toml")).expect("a good inventory").value;
        Self { inventory, facts: facts::from_json(BASE_FACTS).expect("good facts") }
    }

    /// The same cluster with its members on the control planes, as kubeadm sets them up.
    pub(crate) fn stacked() -> Self {
        let mut cluster = Self::base();
        let Seen::Known(mut etcd) = cluster.facts.etcd.clone() else { panic!("etcd was seen") };
        for (number, member) in (1..).zip(&mut etcd.members) {
            let node = name(&format!("cp{number}"));
            let mut process = cluster.machine(&name(&member.name)).etcd.clone();
            let url = |port: u16| format!("https://172.30.0.2{number}:{port}");
            (member.name, member.node) = (node.to_string(), Some(node.clone()));
            (member.peer_urls, member.client_urls) = (vec![url(2380)], vec![url(2379)]);
            let Seen::Known(Some(known)) = &mut process else { panic!("it runs etcd") };
            (known.name, known.data_dir) = (Seen::Known(node.to_string()), Seen::Known("/var/lib/etcd".to_owned()));
            known.settings = BTreeMap::from([("initial-advertise-peer-urls".to_owned(), url(2380))]);
            known.configured_members = None;
            let machine = cluster.machine(&node);
            machine.etcd = process;
            let Seen::Known(pods) = &mut machine.static_pods else { panic!("static pods were seen") };
            pods.insert("etcd".to_owned(), "k8s.gcr.io/etcd:3.4.13-0".to_owned());
        }
        for node in ["etcd1", "etcd2", "etcd3"] {
            cluster.remove(node);
        }
        cluster.facts.etcd = Seen::Known(etcd);
        let Seen::Known(api) = &mut cluster.facts.api else { panic!("the API was seen") };
        let Seen::Known(config) = &mut api.kubeadm else { panic!("kubeadm-config was seen") };
        config.external_etcd = false;
        cluster.inventory.etcd.topology = inventory::Topology::Stacked;
        cluster
    }

    /// The playbooks that come along for this target.
    pub(crate) fn playbooks(&self, target: &Target) -> Vec<Playbook> {
        let case = Case { inventory: &self.inventory, facts: &self.facts, target };
        let parse = |raises| playbook::parse(playbook::builtin(raises)).expect("a good playbook");
        planner::raises(case).into_iter().map(parse).collect()
    }

    pub(crate) fn plan(&self, target: &Target) -> Result<Plan, Vec<Finding>> {
        self.plan_with(target, &self.playbooks(target))
    }

    pub(crate) fn plan_with(&self, target: &Target, playbooks: &[Playbook]) -> Result<Plan, Vec<Finding>> {
        let sources = sources();
        planner::plan(Wanted { inventory: &self.inventory, playbooks, facts: &self.facts, target, sources: &sources })
    }

    /// The names of the nodes with `role`.
    pub(crate) fn names(&self, role: Role) -> Vec<NodeName> {
        self.inventory.with_role(role).map(|node| node.name.clone()).collect()
    }

    /// Takes a node away: from the inventory, from the cluster and from etcd.
    pub(crate) fn remove(&mut self, node: &str) {
        self.inventory.nodes.retain(|known| known.name.as_str() != node);
        self.facts.nodes.retain(|known| known.name.as_str() != node);
        if let Seen::Known(api) = &mut self.facts.api {
            api.nodes.retain(|known| known.name != node);
        }
        if let Seen::Known(etcd) = &mut self.facts.etcd {
            etcd.members.retain(|known| known.name != node);
        }
    }

    /// Adds a twin of `node` behind all others, under another name.
    pub(crate) fn add_like(&mut self, node: &str, twin: &str) {
        let mut new = self.inventory.node(&name(node)).expect("it is there").clone();
        new.name = name(twin);
        self.inventory.nodes.push(new);
        let mut new = self.facts.nodes.iter().find(|known| known.name.as_str() == node).expect("it is there").clone();
        new.name = name(twin);
        self.facts.nodes.push(new);
        if let Seen::Known(api) = &mut self.facts.api
            && let Some(mut new) = api.nodes.iter().find(|known| known.name == node).cloned()
        {
            twin.clone_into(&mut new.name);
            api.nodes.push(new);
        }
        if let Seen::Known(etcd) = &mut self.facts.etcd
            && let Some(mut new) = etcd.members.iter().find(|known| known.name == node).cloned()
        {
            twin.clone_into(&mut new.name);
            new.node = Some(name(twin));
            new.id += etcd.members.len() as u64;
            etcd.members.push(new);
        }
    }

    pub(crate) fn machine(&mut self, node: &NodeName) -> &mut MachineFacts {
        let known = self.facts.nodes.iter_mut().find(|known| &known.name == node).expect("it is there");
        let Seen::Known(machine) = &mut known.machine else { panic!("{node} was not reached") };
        machine
    }

    pub(crate) fn kube_node(&mut self, node: &NodeName) -> &mut KubeNode {
        let Seen::Known(api) = &mut self.facts.api else { panic!("the API was not seen") };
        api.nodes.iter_mut().find(|known| known.name == node.as_str()).expect("it is there")
    }

    /// Sets the installed version of packages, as the machine's repository writes it.
    pub(crate) fn set_packages(&mut self, node: &NodeName, packages: &[&str], to: &Version) {
        for package in packages {
            let facts = self.machine(node).packages.get_mut(*package).expect("it was looked up");
            let candidates = facts.candidates.known().expect("candidates are known");
            let carries = |candidate: &&String| parse_version(candidate).as_ref() == Some(to);
            facts.installed = Some(candidates.iter().find(carries).cloned().unwrap_or_else(|| format!("{to}-1")));
        }
    }

    /// Sets the version of an API server and its fellows.
    pub(crate) fn set_api_server(&mut self, node: &NodeName, to: &Version) {
        let machine = self.machine(node);
        machine.api_server = Seen::Known(Some(to.clone()));
        let Seen::Known(pods) = &mut machine.static_pods else { panic!("static pods were not seen") };
        for (component, image) in pods.iter_mut().filter(|(component, _)| *component != "etcd") {
            *image = format!("k8s.gcr.io/{component}:v{to}");
        }
    }

    /// Sets what `kubeadm upgrade apply` leaves behind in the cluster itself.
    pub(crate) fn set_cluster(&mut self, to: &Version) {
        let Seen::Known(api) = &mut self.facts.api else { panic!("the API was not seen") };
        if let Seen::Known(config) = &mut api.kubeadm {
            config.version = to.clone();
        }
        api.kube_proxy = Seen::Known(Some(format!("k8s.gcr.io/kube-proxy:v{to}")));
        let config = format!("kubelet-config-{}.{}", to.major, to.minor);
        if let Seen::Known(configs) = &mut api.kubelet_configs
            && !configs.contains(&config)
        {
            configs.push(config);
        }
    }

    /// Sets the version of the kubelet that runs.
    pub(crate) fn set_kubelet(&mut self, node: &NodeName, to: &Version) {
        self.machine(node).kubelet_running = Seen::Known(Some(to.clone()));
        self.kube_node(node).kubelet = Seen::Known(to.clone());
    }

    /// Sets a member's version; the cluster version follows the oldest member.
    pub(crate) fn set_etcd(&mut self, node: &NodeName, to: &Version) {
        let packages: Vec<String> = self.machine(node).packages.keys().cloned().collect();
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        self.set_packages(node, &packages, to);
        let Seen::Known(Some(process)) = &mut self.machine(node).etcd else { panic!("{node} runs no etcd") };
        process.server_version = Seen::Known(to.clone());
        let Seen::Known(etcd) = &mut self.facts.etcd else { panic!("etcd was not seen") };
        for member in etcd.members.iter_mut().filter(|member| member.node.as_ref() == Some(node)) {
            let Seen::Known(status) = &mut member.status else { panic!("{node} does not answer") };
            status.version = to.clone();
        }
        let versions = etcd.members.iter().filter_map(|member| member.status.known()).map(|status| &status.version);
        let oldest = versions.min().expect("there are members").clone();
        for facts in &mut self.facts.nodes {
            if let Seen::Known(MachineFacts { etcd: Seen::Known(Some(process)), .. }) = &mut facts.machine {
                process.cluster_version = Seen::Known(Version::new(oldest.major, oldest.minor, 0));
            }
        }
    }

    /// Sets everything of a node to a version.
    pub(crate) fn raise(&mut self, node: &NodeName, to: &Version) {
        let roles = self.inventory.node(node).expect("it is there").roles.clone();
        if roles.contains(&Role::Etcd) {
            self.set_etcd(node, to);
            return;
        }
        if roles.contains(&Role::ControlPlane) {
            self.set_api_server(node, to);
        }
        self.set_packages(node, &["kubeadm", "kubelet", "kubectl"], to);
        self.set_kubelet(node, to);
    }
}
