//! What acts may do, judged when it happens.

use std::sync::PoisonError;
use std::time::Duration;

use super::{Invariant, Watch};
use crate::world::{Begun, Happened, Who, World};

const HOUR: Duration = Duration::from_secs(3600);

/// What a job works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// Nothing yet: it prepares.
    Nothing,
    /// Nothing but who clients are led to.
    Clients,
    Etcd,
    Kubernetes,
    /// Both: it restores.
    Restore,
    /// Nothing: it starts a throw-away etcd on a snapshot.
    Proof,
}

fn field(world: &World, job: &Begun) -> Field {
    match job.job.as_str() {
        // A stacked member goes with its control plane.
        "move-leader" if world.machines[job.on].plane.is_some() => Field::Kubernetes,
        "drain-server" | "return-server" => Field::Clients,
        "archive" | "fetch-packages" | "fetch-archive" | "fetch-tool" | "pull-images" => Field::Nothing,
        "prove-snapshot" => Field::Proof,
        // Certificates of etcd, wherever they are; nothing of Kubernetes changes but who it is towards etcd.
        "renew-certificates" | "restore-certificates" => Field::Etcd,
        _ if starts_server(job) => Field::Etcd,
        "stop-static-pods" | "start-static-pods" | "stop-etcd" | "restore-member" | "start-etcd"
        | "restart-containers" => Field::Restore,
        "move-leader" | "defrag" | "place-certificates" | "install-programs" | "restore-programs" => Field::Etcd,
        job if job.starts_with("member-") => Field::Etcd,
        "restore-packages" if job.args[4..].iter().any(|spec| spec.starts_with("etcd")) => Field::Etcd,
        "install-packages" if job.args[2..].iter().any(|spec| spec.starts_with("etcd")) => Field::Etcd,
        _ => Field::Kubernetes,
    }
}

/// Starts an API server on a renewed certificate.
fn starts_server(job: &Begun) -> bool {
    job.job == "restart-containers" && job.args == ["kube-apiserver"]
}

/// Stops a member for a restore: its service, or its static pod.
pub(super) fn stops_member(job: &Begun) -> bool {
    job.job == "stop-etcd" || (job.job == "stop-static-pods" && job.args[1] == "etcd")
}

/// May not have ended well twice: a drain finds other pods each time, a proof another snapshot, and cordons and leadership may
/// be taken back by others.
fn once(job: &str) -> bool {
    let again = [
        "drain",
        "cordon",
        "uncordon",
        "drain-server",
        "return-server",
        "move-leader",
        "fetch-packages",
        "fetch-archive",
        "pull-images",
        "prove-snapshot",
    ];
    !again.contains(&job)
}

/// The step of a unit: its name without the attempt.
fn step(job: &Begun) -> String {
    format!("{}/{}", job.run, job.unit.rsplit_once('.').map_or(job.unit.as_str(), |(step, _)| step))
}

/// Changes a control plane's static pods or its kubelet.
fn changes_plane(world: &World, job: &Begun) -> bool {
    let plane = world.machines[job.on].plane.is_some();
    let installs = matches!(job.job.as_str(), "install-packages" | "restore-packages");
    let kubelet = installs && job.args.iter().any(|spec| spec.starts_with("kubelet="));
    let back = job.job == "restore-packages" && job.args[4..].iter().any(|spec| spec.starts_with("kubelet="));
    plane
        && (kubelet
            || back
            || starts_server(job)
            || matches!(job.job.as_str(), "kubeadm-apply" | "kubeadm-node" | "kubelet-restart"))
}

impl Watch {
    pub(super) fn judge(&mut self, world: &World, what: &Happened) {
        match what {
            Happened::Began { job } => self.began(world, &world.begun[*job], *job),
            Happened::MemberStopped { member, led, by: Some(job) } => {
                self.member_stopped(world, *member, *led, &world.begun[*job]);
            }
            Happened::KubeletRuns { at, from, to } => self.kubelet_runs(world, *at, from, to),
            Happened::Removed { workload, left, by: Some(job) } => {
                let workload = &world.kube.workloads[*workload];
                if workload.budget.is_some_and(|away| *left < workload.wanted - away) {
                    let job = &world.begun[*job].job;
                    let what = format!("{job} leaves {left} pods of {} ready, below its budget", workload.name);
                    self.broke(world, Invariant::Law(7), what);
                }
            }
            Happened::Uncordoned { node, of, by: Some(job) } => {
                self.uncordoned(world, *node, of.as_ref(), &world.begun[*job]);
            }
            Happened::OutOfService { balancer, server, by: Some(_) } if world.in_service(*balancer).is_empty() => {
                let what =
                    format!("{} leads to nobody now that {server} is out of service", world.machines[*balancer].name);
                self.broke(world, Invariant::Law(5), what);
            }
            Happened::Under { at, token, stored } if token < stored => {
                let what = format!("{} did something under token {token}, after {stored}", world.machines[*at].name);
                self.broke(world, Invariant::Law(8), what);
            }
            _ => {}
        }
    }

    fn began(&mut self, world: &World, job: &Begun, at: usize) {
        let name = format!("{} on {}", job.job, job.subject);
        let announced = format!("\"unit\":\"{}\"", job.unit);
        let journaled = self.journals.iter().any(|disk| {
            let disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
            disk.whole().lines().rev().any(|line| line.contains(&announced))
        });
        if !journaled {
            self.broke(world, Invariant::Law(8), format!("{name} began before it was journaled"));
        }
        let planes = world.planes().count();
        let mine = format!("\"token\":{}}}", job.token);
        let held = |lock: &Option<(String, String)>| lock.as_ref().is_some_and(|(json, _)| json.ends_with(&mine));
        let locks = world.planes().filter(|(at, _)| held(&world.machines[*at].own.lock)).count();
        if locks <= planes / 2 {
            self.broke(world, Invariant::Law(8), format!("{name} began without the lock on a majority"));
        }
        let step = step(job);
        if once(&job.job) {
            let earlier =
                |other: &&Begun| other.ended.is_some_and(|(_, status)| status == 0) && self::step(other) == step;
            let same = |other: &&Begun| other.unit == job.unit && other.run == job.run && other.on == job.on;
            if world.begun[..at].iter().any(|other| same(&other)) {
                self.broke(world, Invariant::OnlyOnce, format!("{name}: unit {} was started twice", job.unit));
            }
            // What was taken back has to be done again.
            let taken_back = |since: Duration| {
                let mut later = world.begun[..at].iter().filter(|other| other.at >= since && other.on == job.on);
                later.any(|other| {
                    ["restore-packages", "restore-programs", "restore-certificates"].contains(&other.job.as_str())
                })
            };
            if let Some(other) = world.begun[..at].iter().find(earlier)
                && !self.fault_since(other.at)
                && !taken_back(other.at)
            {
                self.broke(world, Invariant::OnlyOnce, format!("{name} had been done, and is done again"));
            }
        }
        self.in_its_place(world, job, &name);
    }

    /// Laws 2, 4 and 5: what stands before it, and what must not be at work beside it.
    fn in_its_place(&mut self, world: &World, job: &Begun, name: &str) {
        let own = field(world, job);
        if own == Field::Proof {
            return self.proves(world, job, name);
        }
        if matches!(own, Field::Nothing | Field::Clients) {
            return;
        }
        // What it renews leans on nothing that was saved.
        if world.begun.iter().any(|other| other.run == job.run && field(world, other) == Field::Restore) {
            return self.restores(world, job, name);
        }
        let of = |wanted: Field| world.begun.iter().filter(move |other| field(world, other) == wanted);
        let prepared = of(Field::Nothing).filter_map(|other| other.ended).map(|(at, _)| at).max();
        let etcd = of(Field::Etcd).filter_map(|other| other.ended).map(|(at, _)| at).max();
        let before = if own == Field::Kubernetes { prepared.max(etcd) } else { prepared };
        match self.snapshot {
            None => self.broke(world, Invariant::Law(2), format!("{name} began before any snapshot")),
            Some(snapshot) if before.is_some_and(|before| snapshot < before) => {
                self.broke(world, Invariant::Law(2), format!("{name} began on a snapshot older than what came before"));
            }
            Some(snapshot) => {
                if let Some((process, true)) = self.process
                    && snapshot < process
                    && process.saturating_sub(snapshot) > HOUR
                {
                    self.broke(
                        world,
                        Invariant::Law(2),
                        format!("{name} was resumed on a snapshot of over an hour ago"),
                    );
                }
            }
        }
        let other = if own == Field::Etcd { Field::Kubernetes } else { Field::Etcd };
        if of(other).any(|other| other.ended.is_none()) {
            self.broke(world, Invariant::Law(4), format!("{name} began while {other:?} was worked on"));
        }
        let at_work = |other: &&Begun| other.ended.is_none() && (other.on, &other.unit) != (job.on, &job.unit);
        if changes_plane(world, job)
            && let Some(other) = world.begun.iter().filter(at_work).find(|other| changes_plane(world, other))
        {
            let what = format!("{name} began while {} was at work on {}", other.job, other.subject);
            self.broke(world, Invariant::Law(5), what);
        }
    }

    /// A proof is of a snapshot that stands, beside a member that is well, and not the leader where there is a choice.
    fn proves(&mut self, world: &World, job: &Begun, name: &str) {
        if self.snapshot.is_none() {
            self.broke(world, Invariant::Law(2), format!("{name} began before any snapshot"));
        }
        let member = world.member_of(job.on);
        if member.is_none() {
            self.broke(world, Invariant::Law(3), format!("{name} began where no member is"));
        }
        let others = (0..world.etcd.members.len())
            .filter(|other| Some(*other) != member)
            .any(|other| world.member_healthy(other));
        if member == world.etcd.leader && others && !self.fault_since(std::time::Duration::ZERO) {
            self.broke(world, Invariant::Law(3), format!("{name} began beside the leader"));
        }
    }

    fn member_stopped(&mut self, world: &World, member: usize, led: bool, job: &Begun) {
        // A restore stops them all, once the API servers are away.
        if world.etcd.members.len() < 3 || self.fault_since(job.at) || stops_member(job) {
            return;
        }
        let name = &world.etcd.members[member].told.name;
        if led {
            self.broke(world, Invariant::Law(3), format!("{name} was stopped by {} while it led", job.job));
        }
        let listed = |other: &usize| *other != member && world.etcd.members[*other].listed;
        let sick = (0..world.etcd.members.len()).filter(listed).find(|other| !world.member_answers(*other));
        if let Some(sick) = sick {
            let sick = &world.etcd.members[sick].told.name;
            self.broke(world, Invariant::Law(3), format!("{name} was stopped by {} while {sick} was away", job.job));
        }
    }

    fn kubelet_runs(&mut self, world: &World, at: usize, from: &semver::Version, to: &semver::Version) {
        let name = &world.machines[at].name;
        for (plane, known) in world.planes() {
            if known.server() < to {
                let what =
                    format!("kubelet {to} on {name}, API server {} on {}", known.server(), world.machines[plane].name);
                self.broke(world, Invariant::Law(5), what);
            }
            let reported = &world.kube.nodes[world.node_of(plane)].kubelet;
            let runs = world.machines[plane].kubelet.as_ref().unwrap_or(reported);
            if world.machines[at].plane.is_none() && runs < to {
                let what = format!("kubelet {to} on worker {name} before {}'s", world.machines[plane].name);
                self.broke(world, Invariant::Law(5), what);
            }
        }
        let node = world.node_of(at);
        if from.minor != to.minor {
            if !world.kube.nodes[node].unschedulable {
                self.broke(
                    world,
                    Invariant::Law(6),
                    format!("{name}'s kubelet changed minor while it was schedulable"),
                );
            }
            if !world.movable(node).is_empty() {
                self.broke(world, Invariant::Law(6), format!("{name}'s kubelet changed minor under pods"));
            }
        }
        if to.minor > from.minor + 3 {
            self.broke(world, Invariant::Law(1), format!("{name}'s kubelet went from {from} to {to}"));
        }
    }

    fn uncordoned(&mut self, world: &World, node: usize, of: Option<&Who>, job: &Begun) {
        let known = &world.kube.nodes[node];
        let name = &known.told.name;
        let ours = matches!(of, Some(Who::Run(run)) if *run == job.run);
        if !ours {
            self.broke(world, Invariant::CordonsKept, format!("{name} was uncordoned, and was cordoned by {of:?}"));
        }
        let at = known.at.expect("a machine");
        let installed = world.machines[at].upstream("kubelet");
        let as_it_should = known.ready && known.kubelet == installed;
        if !as_it_should && !self.fault_since(job.at.saturating_sub(Duration::from_secs(60))) {
            self.broke(world, Invariant::Law(6), format!("{name} was given back before it was Ready at {installed}"));
        }
    }
}
