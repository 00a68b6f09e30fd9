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
    kubelet: Option<Option<String>>,
    static_pods: Option<BTreeMap<String, String>>,
    api_server: Option<Option<String>>,
    /// Server and cluster version of the process.
    etcd: Option<Option<(Option<String>, Option<String>)>>,
    token: u64,
    lock: Option<String>,
}

/// The API, as far as it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Api {
    /// Kubelet, Ready, cordoned, by whom.
    nodes: BTreeMap<String, (Option<String>, bool, bool, Option<String>)>,
    kubeadm: Option<String>,
    kubelet_configs: Option<Vec<String>>,
    kube_proxy: Option<Option<String>>,
}

fn known<T: Clone>(seen: &Seen<T>) -> Option<T> {
    seen.known().cloned()
}

fn version<T: ToString>(version: &Option<T>) -> Option<String> {
    version.as_ref().map(ToString::to_string)
}

impl Machine {
    fn of(facts: &MachineFacts) -> Self {
        let package = |(name, facts): (&String, &windlass::facts::PackageFacts)| {
            (name.clone(), (facts.installed.clone(), facts.held))
        };
        let etcd = known(&facts.etcd).map(|process| {
            process.map(|process| (version(&known(&process.server_version)), version(&known(&process.cluster_version))))
        });
        Self {
            packages: facts.packages.iter().map(package).collect(),
            kubelet: known(&facts.kubelet_running).map(|kubelet| version(&kubelet)),
            static_pods: known(&facts.static_pods),
            api_server: known(&facts.api_server).map(|server| version(&server)),
            etcd,
            token: facts.token,
            lock: facts.lock.clone(),
        }
    }
}

impl Api {
    fn of(facts: &ApiFacts) -> Self {
        let node = |node: &windlass::facts::KubeNode| {
            let kubelet = version(&known(&node.kubelet));
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
            kube_proxy: known(&facts.kube_proxy),
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
            Asked::RunHere(program) => return Err(format!("{program} is not the simulation's")),
        };
        Self::of(asked, &answer)
    }

    /// A unit that has ended in the simulation and still runs in the lab: its end is compared when the lab has come to it.
    pub(super) fn is_ahead_of(&self, lab: &Self) -> bool {
        matches!((self, lab), (Self::Unit(UnitState::Exited(_)), Self::Unit(UnitState::Running)))
    }
}

/// Who leads etcd after an election is chance: the simulation follows the lab.
pub(super) fn steer(world: &mut World, answer: &Answer) {
    if let Answer::Status(status) = answer
        && world.etcd.leader.is_some()
        && let Some(leader) = world.etcd.members.iter().position(|member| member.told.id == status.leader)
        && world.etcd.members[leader].runs.is_some()
    {
        world.etcd.leader = Some(leader);
    }
}
