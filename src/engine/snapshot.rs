//! Law 2: a snapshot that is verified before anything leans on it. Trailing hash and page structure were checked by the
//! seam while it was read; here the cluster's own members, a revision not older than the one read before it began, keys
//! below `/registry`, and the members' hashes equal at one revision. [`super::proof`] proves it.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};

use super::Engine;
use super::event::Event;
use crate::backup::choose::source;
use crate::backup::hashes::{self, Member};
use crate::backup::manifest::MemberHash;
use crate::backup::prove::comparable;
use crate::decide::action::Action;
use crate::decide::actions::etcd::Snapshot;
use crate::decide::call::{Call, Script};
use crate::decide::plan::{Placed, Stage, Step};
use crate::error::{Exit, Failure, chain};
use crate::facts::{EtcdFacts, Seen};
use crate::inventory::{NodeName, Role};
use crate::journal::Proven;
use crate::remote::{RemoteError, SnapshotContents, SnapshotWanted};
use crate::{journal, observe, text};

pub(super) use crate::backup::choose::Members;

/// How long the snapshot of a run that is resumed may take, in seconds: as long as a playbook's.
const AGAIN_SECONDS: u64 = 1800;

/// How a snapshot is taken.
#[derive(Clone, Copy)]
pub(super) struct Taking {
    /// Which try of its step.
    pub attempt: u32,
    /// Which members have to be healthy.
    pub members: Members,
    /// Whether a throw-away etcd has to come to life on it.
    pub proven: bool,
}

/// Why there is no good snapshot.
pub(super) struct Bad {
    pub exit: Exit,
    pub why: String,
    pub causes: Vec<String>,
}

/// Why a snapshot ended badly.
pub(super) enum Stopped {
    /// Nobody has said so yet.
    Bad(Bad),
    /// It is in the journal, and in words.
    Said(Failure),
}

impl From<Bad> for Stopped {
    fn from(bad: Bad) -> Self {
        Self::Bad(bad)
    }
}

impl Bad {
    pub(super) fn plain(why: String) -> Self {
        Self { exit: Exit::StepFailed, why, causes: Vec::new() }
    }

    fn remote(error: &RemoteError) -> Self {
        let mut causes = chain(error);
        Self { exit: Exit::StepFailed, why: causes.remove(0), causes }
    }
}

/// A snapshot that is verified.
pub(super) struct Verified {
    pub file: Utf8PathBuf,
    pub contents: SnapshotContents,
    /// The member's machine that it is from.
    pub node: NodeName,
    /// The members when it was taken.
    pub etcd: EtcdFacts,
    /// Their hashes at its revision; nothing where no proof is held against them.
    pub hashes: Vec<MemberHash>,
}

/// Tries at a snapshot that no compaction passes before the members were asked for their hashes. Compactions are minutes
/// apart.
const HASH_TRIES: u32 = 3;

impl Engine<'_> {
    /// Takes a snapshot to the operator's machine, verifies it, leaves a copy on a control plane, and proves it where that is
    /// asked for.
    pub(super) async fn snapshot(&self, placed: Placed<'_>, taking: Taking) -> Result<(), Failure> {
        let _busy = self.meter.waiting(self.clock);
        let step = placed.id();
        self.take_snapshot(placed, taking).await.map_err(|stopped| {
            let Bad { exit, why, mut causes } = match stopped {
                Stopped::Said(failure) => return failure,
                Stopped::Bad(bad) => bad,
            };
            let event = journal::Event::Failed { step, why: why.clone(), in_doubt: false };
            if let Err(failure) = self.write(event) {
                return failure;
            }
            let mut failure = Failure::new(exit, "no verified snapshot of etcd could be taken");
            failure.causes.push(why);
            failure.causes.append(&mut causes);
            if exit == Exit::Refused {
                return failure.hint("this run does not act any more; ask the other operator");
            }
            failure.hint(format!("nothing goes on without one; put right what is wrong, then run `{}`", self.again))
        })
    }

    /// One more, when a run is resumed and the last one is old: proven where the plan's own are.
    pub(super) async fn snapshot_again(&self) -> Result<(), Failure> {
        let proves = |placed: Placed<'_>| matches!(&placed.step.action, Action::Snapshot(own) if own.proven);
        let proven = self.plan.placed().any(proves);
        let action = Action::from(Snapshot { proven });
        let stage = Stage { name: "resume".to_owned(), waves: Vec::new() };
        let step = Step { name: "snapshot".to_owned(), timeout_seconds: AGAIN_SECONDS, action };
        let placed = Placed { stage: &stage, node: None, step: &step };
        self.proof_ended(placed).await?;
        let attempt = self.next_attempt(placed);
        let since = self.clock.elapsed();
        self.snapshot(placed, Taking { attempt, members: Members::Quorum, proven }).await?;
        if !proven {
            return Ok(());
        }
        // Its unit is not in doubt any more.
        let millis = u64::try_from(self.clock.elapsed().saturating_sub(since).as_millis()).unwrap_or(u64::MAX);
        self.write(journal::Event::Finished { step: placed.id(), how: journal::How::Acted, millis })
    }

    async fn take_snapshot(&self, placed: Placed<'_>, taking: Taking) -> Result<(), Stopped> {
        let verified = self.verified(taking).await?;
        let Verified { file, contents, node, .. } = &verified;
        let copy = self.copy_to_control_plane(file, contents).await?;
        let mut words = format!(
            "{} from {node}, revision {}, {} keys below /registry; hash, pages and members checked; copy on {copy}",
            text::bytes(contents.bytes),
            contents.revision,
            contents.registry_keys
        );
        let proven = if taking.proven { Some(self.prove(placed, taking.attempt, &verified).await?) } else { None };
        if let Some(proven) = &proven {
            let _ = write!(words, "; {}", super::proof::in_words(proven));
        }
        self.write(taken(file, contents, node, Some(&copy), proven))
            .map_err(|failure| Bad::plain(failure.to_string()))?;
        self.tell(&Event::Line { step: placed.id(), line: format!("{file}: {words}") });
        self.tell(&Event::Snapshot { file: file.to_string(), verified: words });
        Ok(())
    }

    /// A snapshot of a healthy member; for a proof one that the members' hashes can be held against.
    async fn verified(&self, taking: Taking) -> Result<Verified, Bad> {
        let etcd = match observe::etcd(self.remote, self.inventory).await {
            Seen::Known(etcd) => etcd,
            Seen::Unknown(why) => return Err(Bad::plain(why)),
        };
        let node = source(&etcd, taking.members).map_err(Bad::plain)?;
        self.same_hashes(&etcd).await.map_err(Bad::plain)?;
        let mut ids: Vec<u64> = etcd.members.iter().map(|member| member.id).collect();
        ids.sort_unstable();
        let asked: Vec<Member> = etcd.members.iter().map(|member| Member::of(member, None)).collect();
        for _ in 0..HASH_TRIES {
            let revision = self.remote.etcd_status(&node).await.map_err(|error| Bad::remote(&error))?.revision;
            let wanted = SnapshotWanted { members: ids.clone(), revision };
            let file = self.snapshot_file();
            let got = self.remote.etcd_snapshot(&node, &file, &wanted).await;
            let contents = got.map_err(|error| Bad::remote(&error))?;
            if !taking.proven {
                return Ok(Verified { file, contents, node, etcd, hashes: Vec::new() });
            }
            let hashes = hashes::ask(self.remote, &asked, contents.revision).await;
            if comparable(&contents, &hashes) {
                return Ok(Verified { file, contents, node, etcd, hashes });
            }
        }
        Err(Bad::plain(format!(
            "no member told a hash to compare with, each of {HASH_TRIES} times: a compaction passed"
        )))
    }

    /// A new name for each: nothing is ever overwritten.
    fn snapshot_file(&self) -> Utf8PathBuf {
        let stamp = self.clock.now().strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
        self.snapshots.join(format!("{}-{}-{stamp}.db", self.plan.cluster, self.plan.id))
    }

    /// All members that answer hash the same at one revision.
    async fn same_hashes(&self, etcd: &EtcdFacts) -> Result<(), String> {
        match observe::hashes(self.remote, etcd).await {
            Seen::Known(hashes) if hashes.equal() => Ok(()),
            Seen::Known(hashes) => Err(hashes.differ()),
            Seen::Unknown(why) => Err(why),
        }
    }

    /// A copy on the first control plane that takes it.
    async fn copy_to_control_plane(&self, file: &Utf8Path, contents: &SnapshotContents) -> Result<NodeName, Bad> {
        let name = format!("snapshots/{}", super::long_way::copy_name(file.as_str()));
        let mut why = "there is no control plane".to_owned();
        for node in self.inventory.with_role(Role::ControlPlane) {
            match self.put(&node.name, &name, file, contents).await {
                Ok(()) => return Ok(node.name.clone()),
                Err(bad) if bad.exit == Exit::Refused => return Err(bad),
                Err(bad) => why = bad.why,
            }
        }
        Err(Bad::plain(format!("no control plane took a copy of the snapshot: {why}")))
    }

    /// Puts a snapshot on a node, by this name below Windlass's folder.
    pub(super) async fn put(
        &self,
        node: &NodeName,
        name: &str,
        file: &Utf8Path,
        contents: &SnapshotContents,
    ) -> Result<(), Bad> {
        let args = vec![self.token(), name.to_owned(), contents.file_sha256.clone(), contents.bytes.to_string()];
        let call = Call { script: Script::PutFile, args };
        match self.remote.send(node, &call, file).await {
            Ok(output) if output.status == 0 => Ok(()),
            Ok(output) if output.status == super::unit::LOWER_TOKEN => {
                let Failure { exit, mut causes, .. } = self.replaced("", node, &output.stdout).await;
                Err(Bad { exit, why: causes.remove(0), causes })
            }
            Ok(output) => Err(Bad::plain(format!("{node}: status {}: {}", output.status, output.stderr.trim()))),
            Err(error) => Err(Bad::plain(format!("{node}: {}", chain(&error).join(": ")))),
        }
    }
}

/// The record of a snapshot that stands.
pub(super) fn taken(
    file: &Utf8Path,
    contents: &SnapshotContents,
    from: &NodeName,
    copy: Option<&NodeName>,
    proven: Option<Proven>,
) -> journal::Event {
    journal::Event::Snapshot {
        file: file.to_string(),
        bytes: contents.bytes,
        sha256: contents.sha256.clone(),
        revision: contents.revision,
        registry_keys: contents.registry_keys,
        from: from.clone(),
        copy: copy.cloned(),
        proven,
    }
}
