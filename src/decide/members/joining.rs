//! The member that joins: its name, its addresses and its settings, modelled on a member that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Scene;
use crate::decide::actions::certificates::{Authority, Certificate, Order, Usage};
use crate::decide::finding::{Finding, Rule};
use crate::decide::plan::Joining;
use crate::facts::ready::Ready;
use crate::facts::{DEFAULT_QUOTA, EtcdMember, EtcdProcess, MachineFacts};
use crate::inventory::{Etcd, Node, NodeName, Topology};

/// The member that joins.
pub(super) struct Joins<'a> {
    /// Its machine.
    pub(super) node: &'a Node,
    /// Its name.
    pub(super) name: String,
    /// The address that it listens at.
    pub(super) address: String,
    /// The member that it is modelled on.
    pub(super) model: &'a EtcdMember,
    /// That one's process.
    pub(super) process: &'a EtcdProcess,
    /// The model's own address.
    host: String,
    /// Whether it does not vote at first.
    learner: bool,
}

/// Files on the machine that joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// Certificates: CAs, and its own.
    pub certificates: Vec<String>,
    /// Certificate, key and CA of each pair.
    pub pairs: Vec<[String; 3]>,
}

/// The host of `https://host:port`.
pub(super) fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
    Some(host.trim_start_matches('[').trim_end_matches(']'))
}

/// The first release that has learners.
const LEARNERS: (u64, u64) = (3, 4);

impl<'a> Scene<'a> {
    /// The machine called `node` as a member.
    pub(super) fn joins(&self, node: &NodeName, address: Option<&str>) -> Result<Joins<'a>, Finding> {
        let refuse = |rule, detail: String| Err(Finding::refusal(rule, node, detail));
        let Some(known) =
            self.wanted.inventory.node(node).filter(|node| node.roles.contains(&self.wanted.inventory.etcd_role()))
        else {
            return refuse(Rule::NodeUnknown, "is no etcd machine of the inventory: enter it there first".to_owned());
        };
        let fits = |member: &&'a EtcdMember| member.unhealthy().is_none() && self.process_of(member).is_some();
        let Some(model) = self.stays().find(fits) else {
            let detail = "no member that stays tells its settings, which the new one takes over".to_owned();
            return refuse(Rule::Unseen, detail);
        };
        let (Some(process), Some(model_host)) =
            (self.process_of(model), model.peer_urls.first().and_then(|url| host(url)))
        else {
            return refuse(Rule::Unseen, format!("{} has no peer URL", model.called()));
        };
        let former = self.leaves.filter(|_| self.leaves_on.is_some_and(|on| &on.name == node));
        let former_host = former.and_then(|member| host(member.peer_urls.first()?));
        let address = address.or(former_host).unwrap_or(known.address.as_str()).to_owned();
        if address.parse::<IpAddr>().is_err() {
            let detail = format!("etcd listens at an address, and {address} is a name: say it with --address");
            return refuse(Rule::EtcdTopology, detail);
        }
        let name = former.map(|member| member.name.clone()).filter(|name| !name.is_empty());
        let version = model.status.known().map(|status| (status.version.major, status.version.minor));
        Ok(Joins {
            node: known,
            name: name.unwrap_or_else(|| node.to_string()),
            address,
            model,
            process,
            host: model_host.to_owned(),
            // kubeadm adds a voter; from 1.29 on a learner, which it promotes itself.
            learner: version >= Some(LEARNERS) && self.wanted.inventory.etcd.topology == Topology::External,
        })
    }

    /// The process of a member on a machine of the inventory, when it runs and tells its settings.
    fn process_of(&self, member: &EtcdMember) -> Option<&'a EtcdProcess> {
        let machine: &'a MachineFacts = self.wanted.facts.machine(member.node.as_ref()?)?;
        let process = machine.etcd.known()?.as_ref()?;
        process.settings.contains_key("initial-advertise-peer-urls").then_some(process)
    }
}

impl Joins<'_> {
    pub(super) fn named(&self) -> Joining {
        Joining {
            node: self.node.name.clone(),
            name: self.name.clone(),
            peer_url: self.peer_url(),
            learner: self.learner,
        }
    }

    /// Its peer URL: the model's, with its own address.
    pub(super) fn peer_url(&self) -> String {
        self.model.peer_urls.first().map(|url| self.moved(url)).unwrap_or_default()
    }

    /// A list of URLs of the model's, with the model's address replaced by this one's.
    fn moved(&self, urls: &str) -> String {
        let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let moved = |url: &str| match host(url) {
            Some(host) if host == self.host => url.replacen(&bracketed(host), &bracketed(&self.address), 1),
            _ => url.to_owned(),
        };
        urls.split(',').map(moved).collect::<Vec<_>>().join(",")
    }

    /// A path of the model's, with the model's name in its last part replaced by this one's.
    fn path(&self, path: &str) -> String {
        match path.rsplit_once('/') {
            Some((folder, file)) if !self.model.name.is_empty() => {
                format!("{folder}/{}", file.replace(&self.model.name, &self.name))
            }
            _ => path.to_owned(),
        }
    }

    /// Where its data go: where the model's are.
    pub(super) fn data_dir(&self) -> String {
        self.process.data_dir.known().map(|dir| self.path(dir)).unwrap_or_default()
    }

    /// The settings of its environment file; `members` as `NAME=PEER-URL,…`, with itself.
    pub(super) fn settings(&self, members: &str) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::new();
        let mut set = |flag: &str, value: String| {
            settings.insert(format!("ETCD_{}", flag.to_ascii_uppercase().replace('-', "_")), value);
        };
        for (flag, value) in self.process.settings.iter().filter(|(flag, _)| *flag != "config-file") {
            let value = if flag.ends_with("-urls") {
                self.moved(value)
            } else if flag.ends_with("-file") || flag == "wal-dir" {
                self.path(value)
            } else {
                value.clone()
            };
            set(flag, value);
        }
        let number = |seen: &crate::facts::Seen<u64>| seen.known().copied();
        if let Some(heartbeat) = number(&self.process.heartbeat_ms) {
            set("heartbeat-interval", heartbeat.to_string());
        }
        if let Some(election) = number(&self.process.election_ms) {
            set("election-timeout", election.to_string());
        }
        match number(&self.process.quota_bytes) {
            None | Some(DEFAULT_QUOTA) => {}
            Some(u64::MAX) => set("quota-backend-bytes", "-1".to_owned()),
            Some(quota) => set("quota-backend-bytes", quota.to_string()),
        }
        set("name", self.name.clone());
        set("data-dir", self.data_dir());
        set("initial-cluster", members.to_owned());
        set("initial-cluster-state", "existing".to_owned());
        settings
    }

    /// The certificates that it needs, with those for clients on its machine.
    pub(super) fn order(&self, authority: &Authority, clients: &Etcd, ready: Option<&Ready>) -> Order {
        let client = [&clients.cert, &clients.key, &clients.ca].map(ToString::to_string);
        let mut order = Order { authority: authority.clone(), authorities: Vec::new(), certificates: Vec::new() };
        let own = self.paths().pairs.into_iter().map(|pair| (Usage::Member, pair));
        for (usage, [certificate, key, ca]) in own.chain([(Usage::Client, client)]) {
            if !order.authorities.contains(&ca) {
                order.authorities.push(ca);
            }
            // One certificate may serve clients, peers, and as a client's.
            if order.certificates.iter().any(|made| made.certificate == certificate) {
                continue;
            }
            let (name, hosts) = match usage {
                Usage::Member | Usage::Server => {
                    // Members may ask their peers for a certain name.
                    let asked = self.process.settings.get("peer-cert-allowed-cn").filter(|_| {
                        self.process.settings.get("peer-cert-file").map(|path| self.path(path)).as_ref()
                            == Some(&certificate)
                    });
                    (asked.unwrap_or(&self.name).clone(), self.hosts(&certificate, ready))
                }
                Usage::Client => (format!("{}-client", self.name), Vec::new()),
            };
            order.certificates.push(Certificate { name, organization: None, hosts, usage, certificate, key });
        }
        order
    }

    /// Addresses and names that a certificate of its own is for: where it listens, and what the one in its place is for.
    fn hosts(&self, certificate: &str, ready: Option<&Ready>) -> Vec<String> {
        let mut hosts = vec![self.address.clone(), self.node.name.to_string(), self.node.address.as_str().to_owned()];
        let urls = self.process.settings.iter().filter(|(flag, _)| flag.ends_with("-urls"));
        let moved: Vec<String> = urls.map(|(_, urls)| self.moved(urls)).collect();
        let listened = moved.iter().flat_map(|urls| urls.split(',')).filter_map(host);
        hosts.extend(listened.filter(|host| !["0.0.0.0", "::"].contains(host)).map(str::to_owned));
        hosts.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        let former = ready.into_iter().flat_map(|ready| &ready.certificates).filter(|(path, _)| path == certificate);
        hosts.extend(former.filter_map(|(_, read)| read.as_ref().ok()).flat_map(|read| read.names.clone()));
        let mut seen = BTreeSet::new();
        hosts.retain(|host| seen.insert(host.clone()));
        hosts
    }

    /// The files that it needs.
    pub(super) fn paths(&self) -> Paths {
        let own = |flag: &str| self.process.settings.get(flag).map(|path| self.path(path));
        let mut paths = Paths::default();
        for [cert, key, ca] in
            [["cert-file", "key-file", "trusted-ca-file"], ["peer-cert-file", "peer-key-file", "peer-trusted-ca-file"]]
        {
            let (Some(cert), Some(key), Some(ca)) = (own(cert), own(key), own(ca)) else { continue };
            paths.certificates.extend([cert.clone(), ca.clone()]);
            paths.pairs.push([cert, key, ca]);
        }
        paths.certificates.sort();
        paths.certificates.dedup();
        paths
    }
}
