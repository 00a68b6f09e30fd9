//! The truth: a cluster as a state machine that time drives. It is pure and synchronous: what is to happen stands in a queue
//! by its moment, and [`World::advance`] lets it happen, one thing after another. What happened is told to whoever watches.
//!
//! It panics on every script, section, job and argument that it does not know.

mod balancing;
pub(crate) mod etcd;
mod fresh;
mod jobs;
mod kept;
mod kube;
mod machine;
mod others;
mod own;
mod planes;
mod pods;
mod programs;
mod restore;
mod stacked;
mod text;
pub(crate) mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use windlass::decide::call::{Call, Script};
use windlass::facts::Facts;
use windlass::remote::Output;

pub(crate) use etcd::{Etcd, Sick, Spoil};
pub(crate) use kube::{Kube, NodeObject, Who};
pub(crate) use machine::{Dpkg, Machine, Package};
pub(crate) use own::Own;
pub(crate) use planes::Plane;
pub(crate) use text::real_certificate;
pub(crate) use units::Begun;

/// A machine's position in the inventory.
pub(crate) type At = usize;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Everything there is.
#[derive(Clone)]
pub(crate) struct World {
    /// Time since the facts were taken.
    pub(crate) now: Duration,
    /// The machines, in the inventory's order.
    pub(crate) machines: Vec<Machine>,
    pub(crate) etcd: Etcd,
    pub(crate) kube: Kube,
    /// Jobs that began, in order.
    pub(crate) begun: Vec<Begun>,
    /// The job whose effect is happening right now, if it is one's.
    acting: Option<usize>,
    /// What happened since somebody last looked.
    pub(crate) happened: Vec<Happened>,
    /// Deliberate breaks of what runs on the nodes, for the tests of the laws' teeth.
    pub(crate) breaks: Breaks,
    /// The tag of the etcd that the kubeadm of each minor brings to stacked members.
    pub(crate) kubeadm_etcd: BTreeMap<u64, &'static str>,
    /// How long a kubelet takes to its first word is chance: with this, none says it before it is let.
    pub(crate) waits_for_word: bool,
    /// Machines whose kubelets were not let.
    pub(crate) silenced: BTreeSet<At>,
    base: Timestamp,
    later: BTreeMap<(Duration, u64), Later>,
    counter: u64,
}

/// Deliberate breaks of what runs on the nodes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Breaks {
    /// `unit-start` does not look at the token.
    pub(crate) token: bool,
    /// `drain` deletes pods instead of evicting them.
    pub(crate) budgets: bool,
    /// `uncordon` does not look at the owner.
    pub(crate) owner: bool,
}

/// What happened, as the truth has it. `by` is the job that did it, as a position in [`World::begun`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// A job began.
    Began { job: usize },
    /// A member of etcd stopped; whether it led.
    MemberStopped { member: usize, led: bool, by: Option<usize> },
    /// A kubelet runs at another version than before.
    KubeletRuns { at: At, from: semver::Version, to: semver::Version },
    /// A ready pod was taken from its node; so many ready ones of its workload are left.
    Removed { workload: usize, left: usize, by: Option<usize> },
    /// A load balancer leads no new client to an API server any more.
    OutOfService { balancer: At, server: String, by: Option<usize> },
    /// A node was given back to the scheduler; by whom it had been cordoned.
    Uncordoned { node: usize, of: Option<Who>, by: Option<usize> },
    /// A snapshot was handed out.
    Snapshot { good: bool },
    /// A file was put, or a lock taken, under this token.
    Under { at: At, token: u64, stored: u64 },
    /// Something broke without our doing.
    Fault,
}

/// Something that happens later.
#[derive(Clone, Debug)]
pub(crate) enum Later {
    /// The next effect of a unit; of this boot only.
    Unit(At, String, u32),
    /// The operator cannot reach the machine any more.
    CutOff(At),
    /// The operator reaches it again.
    Heal(At),
    /// No room is left on the machine's disk, or there is some again.
    DiskFull(At, bool),
    /// The machine's API server answers again.
    ApiBack(At),
    /// A member answers again.
    MemberBack(usize),
    /// The machine loses its power.
    PowerOff(At),
    /// It is up again; of this boot only.
    Boot(At, u32),
    /// Its services start.
    Services(At, u32),
    /// The kubelet tells the API of itself.
    KubeletReports(At, u32),
    /// The API has not heard of the node's kubelet for too long.
    LeaseEnds(At),
    /// A static pod of the machine stops: its position among the components.
    ComponentStops(At, usize, u32),
    /// It runs again.
    ComponentStarts(At, usize, u32),
    /// The stacked member of a control plane stops, and starts again.
    MemberPodStops(usize, u32),
    /// The machine's API server knows everything; of this boot only.
    ServerWarm(At, u32),
    /// The load balancer has noticed.
    Balance(At),
    /// A member's process starts.
    MemberStarts(usize, u32),
    /// The members choose a leader.
    Election(u64),
    /// The leader compares its members' versions.
    Versions,
    /// A member learns of the new cluster version.
    ClusterVersion(usize),
    /// Somebody writes to etcd.
    Write,
    /// The controllers and the scheduler look.
    Controllers,
    /// A pod that was asked to go is gone.
    PodGone(usize),
    /// A pod that was bound is ready.
    PodReady(usize),
}

impl World {
    /// The world as these facts tell it.
    pub(crate) fn new(facts: Facts) -> Self {
        let mut world = fresh::world(facts);
        world.after(SECOND, Later::Write);
        world
    }

    /// Lets everything happen that is due until `now`, telling `watch` after each.
    pub(crate) fn advance(&mut self, now: Duration, watch: &mut dyn FnMut(&mut Self)) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), later) = entry.remove_entry();
            self.now = at;
            self.happen(later);
            watch(self);
        }
        self.now = now;
    }

    fn happen(&mut self, later: Later) {
        match later {
            Later::Unit(at, unit, boot) => self.unit_goes_on(at, &unit, boot),
            Later::CutOff(at) => self.cut_off(at, true),
            Later::Heal(at) => self.cut_off(at, false),
            Later::DiskFull(at, full) => self.machines[at].full = full,
            Later::ApiBack(at) => self.api_away(at, false),
            Later::MemberBack(member) => self.member_away(member, false),
            Later::PowerOff(at) => self.power_off(at),
            Later::Boot(at, boot) => self.boot(at, boot),
            Later::Services(at, boot) => self.services_start(at, boot),
            Later::KubeletReports(at, boot) => self.kubelet_reports(at, boot),
            Later::LeaseEnds(at) => self.lease_ends(at),
            Later::ComponentStops(at, component, boot) => self.component_stops(at, component, boot),
            Later::ComponentStarts(at, component, boot) => self.component_starts(at, component, boot),
            Later::MemberPodStops(member, boot) => self.member_pod_stops(member, boot),
            Later::ServerWarm(at, boot) => self.api_warm(at, boot),
            Later::Balance(at) => self.balance(at),
            Later::MemberStarts(member, boot) => self.member_starts(member, boot),
            Later::Election(term) => self.election(term),
            Later::Versions => self.compare_versions(),
            Later::ClusterVersion(member) => self.cluster_version_rises(member),
            Later::Write => self.somebody_writes(),
            Later::Controllers => self.controllers_look(),
            Later::PodGone(pod) => self.pod_gone(pod),
            Later::PodReady(pod) => self.pod_ready(pod),
        }
        self.settle();
    }

    /// What follows at once from what changed.
    pub(crate) fn settle(&mut self) {
        self.etcd_settles();
        self.load_balancer_settles();
    }

    pub(crate) fn after(&mut self, delay: Duration, later: Later) {
        self.counter += 1;
        self.later.insert((self.now + delay, self.counter), later);
    }

    pub(crate) fn happened(&mut self, what: Happened) {
        self.happened.push(what);
    }

    /// The position of the machine of this name.
    pub(crate) fn at(&self, name: &str) -> At {
        self.machines.iter().position(|machine| machine.name == name).unwrap_or_else(|| panic!("no machine {name}"))
    }

    pub(crate) fn machine(&mut self, name: &str) -> &mut Machine {
        let at = self.at(name);
        &mut self.machines[at]
    }

    /// The real time; machines have clocks of their own.
    pub(crate) fn real_time(&self) -> Timestamp {
        self.base + SignedDuration::try_from(self.now).expect("a span of time")
    }

    /// What a script that answers at once answers.
    pub(crate) fn answer(&mut self, at: At, call: &Call) -> Output {
        let arg = |at: usize| call.args.get(at).map(String::as_str);
        match call.script {
            Script::Probe => {
                let [Some(sections), Some(packages), .., Some(_)] = [arg(0), arg(1), arg(7)] else {
                    panic!("the simulation does not know a probe with {:?}", call.args)
                };
                said(self.probe(at, sections, packages))
            }
            Script::Api => {
                assert_eq!(arg(1), Some("/etc/kubernetes/admin.conf"));
                said(self.api(at, arg(0).expect("sections"), arg(2)))
            }
            Script::UnitStatus | Script::UnitWait => self.unit_report(at, call),
            Script::LockTake => self.lock_take(at, call),
            Script::LockReplace => self.lock_replace(at, call),
            Script::CopyAppend => self.copy_append(at, call),
            Script::CopyRead => self.copy_read(at, call),
            Script::LockRelease => self.lock_release(at, call),
            Script::TokenRaise => self.token_raise(at, call),
            Script::PutFile => self.put_file(at, call),
            Script::ForgetRun => self.forget_run(at, call),
            _ => panic!("the simulation does not know the call {call:?}"),
        }
    }
}

/// Exit 0, with this on stdout.
pub(crate) fn said(text: String) -> Output {
    Output { status: 0, stdout: text, stderr: String::new() }
}

/// This exit status, with this on stdout.
pub(crate) fn refused(status: i32, text: impl std::fmt::Display) -> Output {
    Output { status, stdout: format!("{text}\n"), stderr: String::new() }
}

/// This exit status, with this on stderr.
pub(crate) fn complained(status: i32, text: &str) -> Output {
    Output { status, stdout: String::new(), stderr: format!("{text}\n") }
}
