//! The end of a run that is over: what nodes kept of it for going back is taken away. Snapshots that were taken are never
//! touched; copies of the one that a restore was made from go: they may have been encrypted where they came from.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures_util::future::join_all;

use super::Engine;
use super::unit::LOWER_TOKEN;
use crate::decide::action::Action;
use crate::decide::actions::restore::sent_name;
use crate::decide::call::{Call, Script};
use crate::error::{Exit, Failure, chain};
use crate::inventory::NodeName;
use crate::journal::{self, GivenUp};
use crate::remote::{Output, RemoteError};

/// What was taken away from a node, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// The node.
    pub node: NodeName,
    /// Its archive.
    pub archive: u64,
    /// Packages, new and former.
    pub packages: u64,
    /// Folders of units: scripts, logs, exit statuses.
    pub units: u64,
    /// What a member of etcd had before a restore.
    pub data: u64,
}

impl Engine<'_> {
    /// Takes away what was kept on the nodes of a run that is completed or aborted; with `old_data`, what a restore has set
    /// aside as well.
    pub async fn finish(&self, old_data: bool) -> Result<Vec<Finish>, Failure> {
        let history = self.history();
        if !history.completed && history.given_up != Some(GivenUp::Through) {
            let on = |command: &str| self.again.replacen(" finish", &format!(" {command}"), 1);
            let mut ways = format!("first carry it out with `{}`", on("apply"));
            if self.plan.task.is_upgrade() {
                let _ = write!(ways, ", or give it up with `{}`", on("abort"));
            }
            return Err(Failure::new(Exit::Refused, format!("the run of plan {} is not over", self.plan.id))
                .hint(format!("nothing was taken away; {ways}")));
        }
        self.hold().await?;
        let result = match self.forget_data(old_data).await {
            Ok(forgotten) => self.free(&forgotten).await,
            Err(failure) => Err(failure),
        };
        self.release_lock().await;
        result
    }

    /// Deletes what each member had before the restore; returns how many bytes that were, by node.
    async fn forget_data(&self, wanted: bool) -> Result<BTreeMap<NodeName, u64>, Failure> {
        let mut forgotten = BTreeMap::new();
        for placed in self.plan.placed().filter(|_| wanted) {
            let (Action::RestoreMember(member), Some(node)) = (&placed.step.action, placed.node) else { continue };
            let wal = member.wal_dir.clone().unwrap_or_else(|| "-".to_owned());
            let args = vec![self.token(), self.plan.id.to_string(), member.data_dir.clone(), wal];
            let answer = self.remote.call(node, &Call { script: Script::ForgetData, args }).await;
            let why = match answer {
                Ok(output) if output.status == 0 => {
                    let bytes = output.stdout.trim().strip_prefix("data ").and_then(|bytes| bytes.parse().ok());
                    forgotten.insert(node.clone(), bytes.unwrap_or(0));
                    continue;
                }
                Ok(output) if output.status == LOWER_TOKEN => {
                    return Err(self.replaced("the former data stay", node, &output.stdout).await);
                }
                Ok(output) => format!("status {}: {}", output.status, output.stderr.trim()),
                Err(error) => chain(&error).join(": "),
            };
            let what = format!("the former data on {node} could not be deleted");
            let again = format!("to go on, run `{}` with --forget-old-data", self.again);
            return Err(Failure::new(Exit::StepFailed, what).because(why).hint(again));
        }
        Ok(forgotten)
    }

    async fn free(&self, forgotten: &BTreeMap<NodeName, u64>) -> Result<Vec<Finish>, Failure> {
        let _busy = self.meter.remote(self.clock);
        let nodes: Vec<&NodeName> = self.plan.baseline.machines.keys().collect();
        let mut args = vec![self.token(), self.plan.id.to_string()];
        args.extend(self.plan.task.restore().map(|restore| sent_name(&restore.sha256)));
        let call = Call { script: Script::ForgetRun, args };
        let answers = join_all(nodes.iter().map(|node| self.remote.call(node, &call))).await;
        let (mut freed, mut left, mut exit) = (Vec::new(), Vec::new(), Exit::StepFailed);
        for (node, answer) in nodes.into_iter().zip(answers) {
            match told(node, answer) {
                Ok(finish) => {
                    let finish = Finish { data: forgotten.get(node).copied().unwrap_or(0), ..finish };
                    let bytes = finish.archive + finish.packages + finish.units + finish.data;
                    if bytes > 0 {
                        self.write(journal::Event::Freed { node: node.clone(), bytes })?;
                    }
                    freed.push(finish);
                }
                Err((why, status)) => {
                    left.push(format!("{node}: {why}"));
                    if status == Some(LOWER_TOKEN) {
                        exit = Exit::Refused;
                    }
                }
            }
        }
        if left.is_empty() {
            return Ok(freed);
        }
        let mut failure = Failure::new(exit, "not everything that was kept could be taken away");
        failure.causes = left;
        Err(failure.hint(format!("the rest is gone; for what is left, run `{}`", self.again)))
    }
}

/// What a node answered, or why it is not known to have done it.
fn told(node: &NodeName, answer: Result<Output, RemoteError>) -> Result<Finish, (String, Option<i32>)> {
    let output = answer.map_err(|error| (chain(&error).join(": "), None))?;
    if output.status != 0 {
        let said = format!("status {}: {}{}", output.status, output.stdout.trim(), output.stderr.trim());
        return Err((said, Some(output.status)));
    }
    let bytes = |word: &str| {
        let mut lines = output.stdout.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(key, _)| *key == word).and_then(|(_, bytes)| bytes.trim().parse().ok())
    };
    match (bytes("archive"), bytes("packages"), bytes("units")) {
        (Some(archive), Some(packages), Some(units)) => {
            Ok(Finish { node: node.clone(), archive, packages, units, data: 0 })
        }
        _ => Err((format!("it answered `{}`", output.stdout.trim()), None)),
    }
}
