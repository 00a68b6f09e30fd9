//! What is compared of two answers: what the readers make of them, without what differs between any two moments or two
//! clusters (times, revisions, who leads, sizes) and without the words for why something could not be seen.

use std::collections::BTreeMap;

use windlass::decide::call::{Call, Script};
use windlass::facts::unit::{UnitState, report};
use windlass::facts::{ApiFacts, MachineFacts, Seen, api, probe};
use windlass::inventory::NodeName;
use windlass::remote::recorded::{Answer, Asked};

use crate::world::{At, World};

/// What was seen, comparable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Machine(Box<Machine>),
    Api(Option<Box<Api>>),
    Unit(UnitState),
    /// Ids of the members, and whether some alarm is raised.
    Members(Vec<u64>, bool),
    /// Version, and whether it commits.
    Member(String, bool),
    /// The members can be compared.
    Hash,
    /// A snapshot can be taken, with these members.
    Snapshot(Vec<u64>),
}

/// A machine, as far as it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// Version and hold by name.
    packages: BTreeMap<String, (Option<String>, bool)>,
    kubelet: String,
    static_pods: Option<BTreeMap<String, String>>,
    api_server: String,
    /// Server and cluster version of the process, where there is one.
    etcd: Option<[String; 2]>,
    token: u64,
    lock: Option<String>,
}

/// The API, as far as it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Api {
    /// Kubelet, Ready, cordoned, by whom.
    nodes: BTreeMap<String, (String, bool, bool, Option<String>)>,
    kubeadm: Option<String>,
    kubelet_configs: Option<Vec<String>>,
    kube_proxy: String,
}

fn known<T: Clone>(seen: &Seen<T>) -> Option<T> {
    seen.known().cloned()
}

fn word<T: ToString>(seen: &Seen<T>) -> String {
    seen.known().map_or_else(|| "unseen".to_owned(), ToString::to_string)
}

fn word_of_any<T: ToString>(seen: &Seen<Option<T>>) -> String {
    match seen {
        Seen::Known(value) => value.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string),
        Seen::Unknown(_) => "unseen".to_owned(),
    }
}

impl Machine {
    fn of(facts: &MachineFacts) -> Self {
        let package = |(name, facts): (&String, &windlass::facts::PackageFacts)| {
            (name.clone(), (facts.installed.clone(), facts.held))
        };
        let process = facts.etcd.known().and_then(Option::as_ref);
        Self {
            packages: facts.packages.iter().map(package).collect(),
            kubelet: word_of_any(&facts.kubelet_running),
            static_pods: known(&facts.static_pods),
            api_server: word_of_any(&facts.api_server),
            etcd: process.map(|process| [word(&process.server_version), word(&process.cluster_version)]),
            token: facts.token,
            lock: facts.lock.clone(),
        }
    }
}

impl Api {
    fn of(facts: &ApiFacts) -> Self {
        let node = |node: &windlass::facts::KubeNode| {
            let kubelet = word(&node.kubelet);
            (node.name.clone(), (kubelet, node.ready(), node.unschedulable, node.cordoned_by.clone()))
        };
        let mut configs = known(&facts.kubelet_configs);
        if let Some(configs) = &mut configs {
            configs.sort();
        }
        Self {
            nodes: facts.nodes.iter().map(node).collect(),
            kubeadm: known(&facts.kubeadm).map(|config| config.version.to_string()),
            kubelet_configs: configs,
            kube_proxy: word_of_any(&facts.kube_proxy),
        }
    }
}

impl Sight {
    /// What the lab's answer says.
    pub(super) fn of(asked: &Asked, answer: &Answer) -> Result<Self, String> {
        Ok(match (asked, answer) {
            (Asked::Call(call), Answer::Output(output)) => Self::of_script(call, &output.stdout)?,
            (_, Answer::Members(list)) => {
                let mut ids: Vec<u64> = list.members.iter().map(|member| member.id).collect();
                ids.sort_unstable();
                Self::Members(ids, !list.alarms.is_empty())
            }
            (_, Answer::Status(status)) => Self::Member(status.version.to_string(), status.healthy.known().is_some()),
            (_, Answer::Hash(_)) => Self::Hash,
            (_, Answer::Snapshot(contents)) => Self::Snapshot(contents.members.clone()),
            (asked, answer) => return Err(format!("{answer:?} is no answer to {asked:?}")),
        })
    }

    fn of_script(call: &Call, printed: &str) -> Result<Self, String> {
        match call.script {
            Script::Probe => {
                let facts = probe::parse(printed).map_err(|error| error.to_string())?;
                Ok(Self::Machine(Box::new(Machine::of(&facts))))
            }
            Script::Api => {
                let facts = api::parse(printed, NodeName::new("any").map_err(|error| error.to_string())?);
                Ok(Self::Api(facts.ok().map(|facts| Box::new(Api::of(&facts)))))
            }
            Script::UnitStatus | Script::UnitWait => {
                Ok(Self::Unit(report(printed).map_err(|error| error.to_string())?.state))
            }
            other => Err(format!("{other:?} is no look")),
        }
    }

    /// What the simulation says at this moment.
    pub(super) fn now(world: &mut World, at: At, asked: &Asked) -> Result<Self, String> {
        let answer = match asked {
            // Where the log goes on differs: the logs are not simulated.
            Asked::Call(call) if call.script == Script::UnitWait => {
                let mut call = call.clone();
                "0".clone_into(&mut call.args[3]);
                Answer::Output(world.answer(at, &call))
            }
            Asked::Call(call) | Asked::Send(call) => Answer::Output(world.answer(at, call)),
            Asked::EtcdMembers => Answer::Members(world.etcd_members(at)?),
            Asked::EtcdStatus => match world.etcd_status(at) {
                Ok(status) => Answer::Status(status),
                Err(_) => return Ok(Self::Member(String::new(), false)),
            },
            Asked::EtcdHash(revision) => Answer::Hash(world.etcd_hash(at, *revision)?),
            Asked::EtcdSnapshot(wanted) => Answer::Snapshot(world.etcd_snapshot(at, wanted)?),
            Asked::Carry(host, _) => return Err(format!("nobody joins the simulation's cluster through {host}")),
            Asked::RunHere(program) => return Err(format!("{program} is not the simulation's")),
        };
        Self::of(asked, &answer)
    }

    /// A unit that has ended in the simulation and still runs in the lab: its end is compared when the lab has come to it.
    pub(super) fn is_ahead_of(&self, lab: &Self) -> bool {
        matches!((self, lab), (Self::Unit(UnitState::Exited(_)), Self::Unit(UnitState::Running)))
    }
}

/// Who leads etcd after an election is chance, and so is how long a kubelet takes to tell its new version: the simulation
/// follows the lab.
pub(super) fn steer(world: &mut World, lab: &Sight, answer: &Answer) {
    if let Sight::Api(Some(api)) = lab {
        for (name, (version, ..)) in &api.nodes {
            let at = world.at(name);
            if world.machines[at].kubelet.as_ref().is_some_and(|runs| runs.to_string() == *version) {
                world.silenced.remove(&at);
            }
        }
    }
    if let Answer::Status(status) = answer
        && world.etcd.leader.is_some()
        && let Some(leader) = world.etcd.members.iter().position(|member| member.told.id == status.leader)
        && world.etcd.members[leader].runs.is_some()
    {
        world.etcd.leader = Some(leader);
    }
}
