//! Law 2 for a restore: what still lives of etcd is snapshotted before anything is touched, from every member that answers;
//! and the snapshot that is to be restored is sent. A member that was said to be cut off, and answers, stops the run.

use super::Engine;
use super::event::Event;
use super::snapshot::taken;
use crate::decide::plan::Placed;
use crate::error::{Exit, Failure, chain};
use crate::facts::Facts;
use crate::inventory::NodeName;
use crate::remote::{RemoteError, SnapshotWanted};
use crate::text;

impl Engine<'_> {
    /// A machine that was named as cut off must not answer: its member, or its API server, would go on with the old data.
    pub(super) fn still_fenced(&self, facts: &Facts) -> Result<(), Failure> {
        let Some(restore) = self.plan.task.restore() else { return Ok(()) };
        let Some(node) = restore.fenced.iter().find(|node| facts.machine(node).is_some()) else { return Ok(()) };
        let what = format!("{node} was said to be cut off, and answers");
        Err(Failure::new(Exit::Refused, what)
            .because("an etcd member and an API server of before on it would be a second living cluster")
            .hint(format!("cut it off and run `{}`, or {} that it takes part in", self.again, self.plan_anew())))
    }

    /// Snapshots every member that answers. Where one is healthy, or only this machine is at fault, at least one snapshot has to
    /// stand.
    pub(super) async fn salvage(&self, placed: Placed<'_>) -> Result<(), Failure> {
        let _busy = self.meter.waiting(self.clock);
        let step = placed.id();
        let say = |line: String| self.tell(&Event::Line { step: step.clone(), line });
        let (mut saved, mut savable, mut why) = (0_usize, false, Vec::new());
        let members = self.inventory.etcd_nodes().filter(|node| self.plan.baseline.machines.contains_key(&node.name));
        for node in members {
            let status = match self.remote.etcd_status(&node.name).await {
                Ok(status) => status,
                Err(error) => {
                    say(format!("{} does not answer: {}", node.name, chain(&error).join(": ")));
                    continue;
                }
            };
            let well = status.healthy.known().is_some();
            match self.save_member(&node.name, status.revision).await {
                Ok(line) => {
                    saved += 1;
                    say(line);
                }
                // It has been read, and what it has is worth nothing: the data themselves are kept anyway.
                Err(Unsaved::Worthless(cause)) => say(format!("nothing to save on {}: {cause}", node.name)),
                Err(unsaved) => {
                    // Where it is this machine that could not, it is worth putting right whatever the member is.
                    savable |= well || matches!(unsaved, Unsaved::Here(_));
                    let causes = unsaved.causes();
                    say(format!("{} answers and could not be saved: {}", node.name, causes.join(": ")));
                    why.push(format!("{}: {}", node.name, causes.join(": ")));
                }
            }
        }
        if saved > 0 || !savable {
            if saved == 0 {
                say("nothing lives that could be saved; the members' former data are kept all the same".to_owned());
            }
            return Ok(());
        }
        let log = why.clone();
        Err(self.failed(placed, "what still lives of etcd could not be saved", &why.join("; "), log)?)
    }

    async fn save_member(&self, node: &NodeName, revision: u64) -> Result<String, Unsaved> {
        let stamp = self.clock.now().strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
        let name = format!("{}-{}-before-restore-{node}-{stamp}.db", self.plan.cluster, self.plan.id);
        let file = self.snapshots.join(name);
        let wanted = SnapshotWanted { members: Vec::new(), revision };
        let contents = match self.remote.etcd_snapshot(node, &file, &wanted).await {
            Ok(contents) => contents,
            // Nothing was ever written to it.
            Err(RemoteError::BadSnapshot { why, .. }) if revision <= 1 => return Err(Unsaved::Worthless(why)),
            Err(error @ RemoteError::Local { .. }) => return Err(Unsaved::Here(chain(&error))),
            Err(error) => return Err(Unsaved::Trouble(chain(&error))),
        };
        self.write(taken(&file, &contents, node, None, None))
            .map_err(|failure| Unsaved::Here(vec![failure.to_string()]))?;
        let (bytes, revision, keys) = (text::bytes(contents.bytes), contents.revision, contents.registry_keys);
        Ok(format!("{node} is saved: {file}: {bytes}, revision {revision}, {keys} keys below /registry"))
    }
}

/// Why a member that answers was not saved.
enum Unsaved {
    /// What it has is no snapshot of a Kubernetes cluster.
    Worthless(String),
    /// It could not be read; with the causes.
    Trouble(Vec<String>),
    /// It could not be written down on this machine; with the causes.
    Here(Vec<String>),
}

impl Unsaved {
    fn causes(self) -> Vec<String> {
        match self {
            Self::Worthless(cause) => vec![cause],
            Self::Trouble(causes) | Self::Here(causes) => causes,
        }
    }
}
