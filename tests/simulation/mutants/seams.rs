//! An engine that behaves otherwise, and scripts that lack a check: breaks at the seams.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8Path;
use windlass::decide::call::{Call, Script};
use windlass::facts::MemberStatus;
use windlass::inventory::NodeName;
use windlass::journal::store::Store;
use windlass::remote::{HashKv, MemberList, Output, Remote, RemoteError, SnapshotContents, SnapshotWanted};

use super::{Mutant, broken};
use crate::bench::{Bench, ETCD, KUBERNETES, MINOR, Raise, survive};
use crate::laws::Invariant;
use crate::seams::disk::{Disk, MemoryStore};
use crate::seams::fault::{Then, Trap, When};
use crate::seams::remote::Simulation;
use crate::world::{Breaks, World};

/// How an engine's calls are bent on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bend {
    Nothing,
    /// The guard of an installation is left out.
    DropsGuard,
    /// A snapshot is said to stand that nobody took.
    FeignsSnapshot,
    /// A finished job is started once more under another name.
    StartsAgain,
    /// What is uncordoned is another node.
    Uncordons(&'static str),
    /// Lock files are given back before anything starts.
    DropsLock,
}

struct Bent<'a> {
    sim: &'a Simulation,
    bend: Bend,
}

impl Bent<'_> {
    fn bent(&self, call: &Call) -> Call {
        let mut call = call.clone();
        let job = call.args.get(3).cloned().unwrap_or_default();
        match self.bend {
            Bend::DropsGuard if job == "install-packages" => "-".clone_into(&mut call.args[4]),
            Bend::Uncordons(node) if job == "uncordon" => node.clone_into(&mut call.args[4]),
            _ => {}
        }
        call
    }
}

#[async_trait]
impl Remote for Bent<'_> {
    async fn call(&self, node: &NodeName, call: &Call) -> Result<Output, RemoteError> {
        let call = self.bent(call);
        let starts = call.script == Script::UnitStart;
        if starts && self.bend == Bend::DropsLock {
            for machine in &mut self.sim.now().machines {
                machine.own.lock = None;
            }
        }
        let answer = self.sim.call(node, &call).await;
        if starts && self.bend == Bend::StartsAgain && call.args[3] == "kubeadm-node" {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let mut again = call.clone();
            again.args[2] = call.args[2].replace(".1", ".2");
            let _ = self.sim.call(node, &again).await;
        }
        answer
    }

    async fn send(&self, node: &NodeName, call: &Call, from: &Utf8Path) -> Result<Output, RemoteError> {
        self.sim.send(node, call, from).await
    }

    async fn run_here(&self, argv: &[String], limit: Duration) -> Result<Output, RemoteError> {
        self.sim.run_here(argv, limit).await
    }

    async fn etcd_members(&self, node: &NodeName) -> Result<MemberList, RemoteError> {
        self.sim.etcd_members(node).await
    }

    async fn etcd_status(&self, node: &NodeName) -> Result<MemberStatus, RemoteError> {
        self.sim.etcd_status(node).await
    }

    async fn etcd_hash(&self, node: &NodeName, revision: u64) -> Result<HashKv, RemoteError> {
        self.sim.etcd_hash(node, revision).await
    }

    async fn etcd_snapshot(
        &self,
        node: &NodeName,
        into: &Utf8Path,
        wanted: &SnapshotWanted,
    ) -> Result<SnapshotContents, RemoteError> {
        if self.bend == Bend::FeignsSnapshot {
            return Ok(SnapshotContents {
                bytes: 4096,
                sha256: "aa".repeat(32),
                file_sha256: "bb".repeat(32),
                revision: wanted.revision,
                registry_keys: 200,
                keys: 450,
                compact_revision: 7,
                members: wanted.members.clone(),
            });
        }
        self.sim.etcd_snapshot(node, into, wanted).await
    }
}

/// A store that says a record is on disk when the next one comes.
struct Late {
    store: MemoryStore,
    kept: Option<String>,
}

impl Store for Late {
    fn held(&mut self) -> String {
        self.store.held()
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        match self.kept.replace(line.to_owned()) {
            Some(before) => self.store.append(&before),
            None => Ok(()),
        }
    }
}

fn store(bench: &Bench, disk: &Arc<Mutex<Disk>>) -> MemoryStore {
    MemoryStore { disk: Arc::clone(disk), fuse: Arc::clone(&bench.sim.fuse) }
}

async fn bent(invariant: Invariant, name: &'static str, raise: Raise, bend: Bend, set: fn(&Bench)) -> Mutant {
    let bench = Bench::new(raise);
    set(&bench);
    let remote = Bent { sim: &bench.sim, bend };
    let _ =
        survive(bench.run_through(&remote, &bench.operator, &bench.disk, Box::new(store(&bench, &bench.disk)))).await;
    Mutant { invariant, name, checker: None, seen: broken(&bench) }
}

fn breaks(bench: &Bench, breaks: Breaks) {
    bench.now().breaks = breaks;
}

/// The member of etcd2 goes away just before that of etcd3 is raised.
fn member_away_in_between(bench: &Bench) {
    let then = Then::MemberAwayFor(Duration::from_secs(60));
    let when = When::Unit("etcd/etcd3/package".to_owned());
    bench.now().inner().traps.push(Trap { when, then, elsewhere: Some(1) });
}

fn throw_away(world: &mut World) {
    for member in &mut world.etcd.members[..2] {
        member.log = 0;
    }
}

pub(super) async fn all() -> Vec<Mutant> {
    let law = Invariant::Law;
    vec![
        bent(law(2), "a snapshot is only said to stand", KUBERNETES, Bend::FeignsSnapshot, |_| {}).await,
        bent(law(3), "the guard is left out while a member is away", ETCD, Bend::DropsGuard, member_away_in_between)
            .await,
        bent(law(7), "a drain deletes instead of evicting", KUBERNETES, Bend::Nothing, |bench| {
            breaks(bench, Breaks { budgets: true, ..Breaks::default() });
        })
        .await,
        started_before_journaled().await,
        bent(law(8), "unit-start does not look at the token", MINOR, Bend::Nothing, |bench| {
            breaks(bench, Breaks { token: true, ..Breaks::default() });
            bench.when("kubeadm-node", "cp2", Then::Fence);
        })
        .await,
        bent(law(8), "acts without the lock", ETCD, Bend::DropsLock, |_| {}).await,
        bent(Invariant::OnlyOnce, "a job that ended well is started again", KUBERNETES, Bend::StartsAgain, |_| {})
            .await,
        bent(Invariant::CordonsKept, "somebody else's cordon is lifted", KUBERNETES, Bend::Uncordons("w2"), |bench| {
            breaks(bench, Breaks { owner: true, ..Breaks::default() });
            bench.now().somebody_cordons("w2");
        })
        .await,
        bent(Invariant::WritesKept, "the data of two members are thrown away", ETCD, Bend::Nothing, |bench| {
            let mut now = bench.now();
            now.etcd.acknowledged = 1;
            throw_away(&mut now);
        })
        .await,
    ]
}

async fn started_before_journaled() -> Mutant {
    let bench = Bench::new(ETCD);
    let late = Late { store: store(&bench, &bench.disk), kept: None };
    let _ = bench.run_through(&*bench.sim, &bench.operator, &bench.disk, Box::new(late)).await;
    let name = "an act begins before its record is on disk";
    Mutant { invariant: Invariant::Law(8), name, checker: None, seen: broken(&bench) }
}
