//! Law 2: a snapshot that is verified before anything leans on it. Trailing hash and page structure were checked by the
//! seam while it was read; here the cluster's own members, a revision not older than the one read before it began, keys
//! below `/registry`, and the members' hashes equal at one revision.

use camino::{Utf8Path, Utf8PathBuf};

use super::Engine;
use super::event::Event;
use crate::backup::choose::source;
use crate::decide::call::{Call, Script};
use crate::error::{Exit, Failure, chain};
use crate::facts::{EtcdFacts, Seen};
use crate::inventory::{NodeName, Role};
use crate::remote::{SnapshotContents, SnapshotWanted};
use crate::{journal, observe, text};

pub(super) use crate::backup::choose::Members;

/// Why there is no good snapshot.
struct Bad {
    exit: Exit,
    why: String,
    causes: Vec<String>,
}

impl Engine<'_> {
    /// Takes a snapshot to the operator's machine, verifies it, and leaves a copy on a control plane.
    pub(super) async fn snapshot(&self, step: &str, members: Members) -> Result<(), Failure> {
        let _busy = self.meter.waiting(self.clock);
        self.take_snapshot(step, members).await.map_err(|Bad { exit, why, mut causes }| {
            let event = journal::Event::Failed { step: step.to_owned(), why: why.clone(), in_doubt: false };
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

    async fn take_snapshot(&self, step: &str, members: Members) -> Result<(), Bad> {
        let plain = |why: String| Bad { exit: Exit::StepFailed, why, causes: Vec::new() };
        let remote = |error: crate::remote::RemoteError| {
            let mut causes = chain(&error);
            Bad { exit: Exit::StepFailed, why: causes.remove(0), causes }
        };
        let etcd = match observe::etcd(self.remote, self.inventory).await {
            Seen::Known(etcd) => etcd,
            Seen::Unknown(why) => return Err(plain(why)),
        };
        let node = source(&etcd, members).map_err(plain)?;
        self.same_hashes(&etcd).await.map_err(plain)?;
        let mut ids: Vec<u64> = etcd.members.iter().map(|member| member.id).collect();
        ids.sort_unstable();
        let revision = self.remote.etcd_status(&node).await.map_err(remote)?.revision;
        let wanted = SnapshotWanted { members: ids, revision };
        let file = self.snapshot_file();
        let contents = self.remote.etcd_snapshot(&node, &file, &wanted).await.map_err(remote)?;
        let copy = self.copy_to_control_plane(&file, &contents).await?;
        self.write(taken(&file, &contents, &node, Some(&copy))).map_err(|failure| plain(failure.to_string()))?;
        let verified = format!(
            "{} from {node}, revision {}, {} keys below /registry; hash, pages and members checked; copy on {copy}",
            text::bytes(contents.bytes),
            contents.revision,
            contents.registry_keys
        );
        self.tell(&Event::Line { step: step.to_owned(), line: format!("{file}: {verified}") });
        self.tell(&Event::Snapshot { file: file.to_string(), verified });
        Ok(())
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
    async fn copy_to_control_plane(&self, file: &Utf8PathBuf, contents: &SnapshotContents) -> Result<NodeName, Bad> {
        let name = format!("snapshots/{}", super::long_way::copy_name(file.as_str()));
        let args = vec![self.token(), name, contents.file_sha256.clone(), contents.bytes.to_string()];
        let call = Call { script: Script::PutFile, args };
        let mut why = "there is no control plane".to_owned();
        for node in self.inventory.with_role(Role::ControlPlane) {
            match self.remote.send(&node.name, &call, file).await {
                Ok(output) if output.status == 0 => return Ok(node.name.clone()),
                Ok(output) if output.status == super::unit::LOWER_TOKEN => {
                    let Failure { exit, mut causes, .. } = self.replaced("", &node.name, &output.stdout).await;
                    return Err(Bad { exit, why: causes.remove(0), causes });
                }
                Ok(output) => why = format!("{}: status {}: {}", node.name, output.status, output.stderr.trim()),
                Err(error) => why = format!("{}: {}", node.name, chain(&error).join(": ")),
            }
        }
        let why = format!("no control plane took a copy of the snapshot: {why}");
        Err(Bad { exit: Exit::StepFailed, why, causes: Vec::new() })
    }
}

/// The record of a snapshot that stands.
pub(super) fn taken(
    file: &Utf8Path,
    contents: &SnapshotContents,
    from: &NodeName,
    copy: Option<&NodeName>,
) -> journal::Event {
    journal::Event::Snapshot {
        file: file.to_string(),
        bytes: contents.bytes,
        sha256: contents.sha256.clone(),
        revision: contents.revision,
        registry_keys: contents.registry_keys,
        from: from.clone(),
        copy: copy.cloned(),
    }
}
