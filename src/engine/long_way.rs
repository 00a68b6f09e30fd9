//! What the long way back needs: listed in the journal as it is made, and looked at, on the nodes, before the first step
//! that leaves no other way.

use futures_util::future::join_all;

use super::Engine;
use crate::decide::long_way;
use crate::decide::plan::Placed;
use crate::error::{Exit, Failure};
use crate::facts::ask::Section;
use crate::facts::{Kept, Seen};
use crate::inventory::NodeName;
use crate::{journal, observe};

/// The folder on nodes that holds what is kept.
const FOLDER: &str = "/var/lib/windlass";

impl Engine<'_> {
    /// Journals the archive of the step's node, as it is seen there.
    pub(super) async fn list_archive(&self, placed: Placed<'_>) -> Result<(), Failure> {
        let Some(node) = placed.node else { return Ok(()) };
        let run = &self.plan.id.0;
        let found = match self.kept_on(node).await {
            Seen::Known(kept) => kept.archives.get(run).cloned().ok_or_else(|| "it is gone".to_owned()),
            Seen::Unknown(why) => Err(why),
        };
        let archive = match found {
            Ok(archive) => archive,
            Err(why) => {
                let what = format!("the archive on {node} could not be listed");
                let again = format!("to go on, run `{}`", self.again);
                return Err(Failure::new(Exit::StepFailed, what).because(why).hint(again));
            }
        };
        let known = self.history().archives.get(node) == Some(&(archive.bytes, archive.sha256.clone()));
        if known {
            return Ok(());
        }
        let file = format!("{FOLDER}/archives/{run}/node.tar.gz");
        let node = node.clone();
        self.write(journal::Event::Archived { node, file, bytes: archive.bytes, sha256: archive.sha256 })
    }

    /// Before a step after which there is only the long way: what that needs has to be seen.
    pub(super) async fn check_long_way(&self, placed: Placed<'_>) -> Result<(), Failure> {
        if !long_way::is_final(self.plan, &placed) {
            return Ok(());
        }
        let missing = self.missing_for_long_way().await;
        if missing.is_empty() {
            return Ok(());
        }
        let what = format!("step {} has not begun: what going back from it needs is not all there", placed.id());
        let mut failure = Failure::new(Exit::StepFailed, what);
        failure.causes = missing;
        Err(failure.hint(format!(
            "put it back and run `{}`, or give this plan up with `windlass upgrade abort` and make a new one",
            self.again
        )))
    }

    async fn missing_for_long_way(&self) -> Vec<String> {
        let _busy = self.meter.remote(self.clock);
        let history = self.history();
        let copy = history.snapshot.as_ref().and_then(|(file, bytes, copy)| Some((file, *bytes, copy.as_ref()?)));
        let archived = long_way::nodes(self.plan);
        let mut nodes = archived.clone();
        nodes.extend(copy.map(|(_, _, node)| node).filter(|node| !archived.contains(node)));
        let seen = join_all(nodes.iter().map(|node| self.kept_on(node))).await;
        let mut missing = Vec::new();
        for (node, kept) in nodes.iter().zip(&seen) {
            match kept {
                Seen::Unknown(why) => missing.push(format!("what {node} keeps could not be seen: {why}")),
                Seen::Known(kept) if archived.contains(node) => {
                    missing.extend(long_way::missing(self.plan, node, history.archives.get(*node), kept));
                }
                Seen::Known(_) => {}
            }
            if let (Some((file, bytes, on)), Seen::Known(kept)) = (copy, kept)
                && on == *node
                && kept.snapshots.get(&copy_name(file)) != Some(&bytes)
            {
                missing.push(format!("{node} does not keep its copy of snapshot {file} any more"));
            }
        }
        if copy.is_none() {
            missing.push("no snapshot of this run has a copy on a control plane".to_owned());
        }
        missing
    }

    async fn kept_on(&self, node: &NodeName) -> Seen<Kept> {
        let Some(node) = self.inventory.node(node) else {
            return Seen::Unknown("it is not in the inventory".to_owned());
        };
        let look = observe::Look { sections: vec![Section::Kept], packages: Vec::new() };
        match observe::machine(self.remote, self.clock, self.inventory, node, &look).await {
            Seen::Known(machine) => machine.kept,
            Seen::Unknown(why) => Seen::Unknown(why),
        }
    }
}

/// The file name of a snapshot's copy on a node.
pub(super) fn copy_name(file: &str) -> String {
    file.rsplit('/').next().unwrap_or(file).to_lowercase()
}
