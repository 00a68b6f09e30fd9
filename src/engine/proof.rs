//! The proof of a snapshot, on a machine of etcd: sent there, restored and started apart from the member for a moment, and
//! asked what it has. What it says is held against the snapshot and against the members' own hashes.

use super::Engine;
use super::event::Event;
use super::snapshot::{Bad, Stopped, Verified};
use super::unit::{Ended, FORGOTTEN, Unit, unit_name};
use crate::backup::choose::beside;
use crate::backup::prove::{compare, job};
use crate::decide::plan::Placed;
use crate::error::Failure;
use crate::facts::ask::Section;
use crate::facts::proof::{disk, parse, room};
use crate::facts::unit::UnitState;
use crate::facts::{EtcdFacts, MachineFacts, Seen};
use crate::inventory::NodeName;
use crate::journal::{Attempt, Proven, Standing};
use crate::{observe, text};

/// `proven on etcd2 in 2.1 s`, and what by.
pub(super) fn in_words(proven: &Proven) -> String {
    let Proven { on, millis, members } = proven;
    let members = text::count(*members, "member");
    format!(
        "proven on {on} in {}.{} s: revision, keys and compaction, and HashKV of {members}",
        millis / 1000,
        millis % 1000 / 100
    )
}

impl Engine<'_> {
    /// Waits for a proof that an earlier try left at work: two would only be in each other's way.
    pub(super) async fn proof_ended(&self, placed: Placed<'_>) -> Result<(), Failure> {
        let standing = self.history().steps.get(&placed.id()).cloned();
        let Some(Standing::InDoubt(Attempt { on: Some(on), unit: Some(name), .. })) = standing else { return Ok(()) };
        let unit = Unit { on, name };
        if self.unit_state(placed, &unit).await? == UnitState::Running {
            self.tell_unit(&placed.id(), &unit, true);
            self.hear_out(placed, &unit, &|_| {}).await?;
        }
        Ok(())
    }

    /// Proves a snapshot that was just taken.
    pub(super) async fn prove(&self, placed: Placed<'_>, attempt: u32, taken: &Verified) -> Result<Proven, Stopped> {
        let since = self.clock.elapsed();
        let on = self.prover(taken).await?;
        let name = format!("{}.{}.db", self.plan.id, unit_name(&placed.id(), attempt));
        self.tell(&Event::Line { step: placed.id(), line: format!("{}: to be proven on {on}", taken.file) });
        self.put(&on, &format!("proofs/{name}"), &taken.file, &taken.contents).await?;
        let version =
            version(&taken.etcd, &taken.node).ok_or_else(|| Bad::plain(format!("{} has no version", taken.node)))?;
        let job = job(&name, &taken.contents, &version);
        let unit = self.start_on(placed, attempt, on.clone(), &job).await.map_err(Stopped::Said)?;
        let Ended { status, log } = self.hear_out(placed, &unit, &|_| {}).await.map_err(Stopped::Said)?;
        let (why, log) = match status {
            Some(0) => {
                match parse(&log.join("\n")).and_then(|(_, said)| compare(&said, &taken.contents, &taken.hashes)) {
                    Ok(members) => {
                        let took = self.clock.elapsed().saturating_sub(since).as_millis();
                        return Ok(Proven { on, millis: u64::try_from(took).unwrap_or(u64::MAX), members });
                    }
                    Err(why) => (why, Vec::new()),
                }
            }
            Some(status) => (log.last().cloned().unwrap_or_else(|| format!("it ended with status {status}")), log),
            None => (FORGOTTEN.to_owned(), log),
        };
        Err(Stopped::Said(self.unproven(placed, taken, &on, &why, log).unwrap_or_else(|failure| failure)))
    }

    fn unproven(
        &self,
        placed: Placed<'_>,
        taken: &Verified,
        on: &NodeName,
        why: &str,
        log: Vec<String>,
    ) -> Result<Failure, Failure> {
        let file = &taken.file;
        let failure = self.failed(placed, &format!("the snapshot was not proven on {on}"), why, log)?;
        Ok(failure.hint(format!(
            "nothing goes on without a proven snapshot, and this step changed nothing; {file} is verified: look at it with \
             `windlass etcd verify {file} --prove`, and at memory, disk and etcd's programs on {on}; then run `{}`, which takes \
             another",
            self.again
        )))
    }

    /// The first machine with room for it: the one that it is from, then others of healthy members, the leader's last.
    async fn prover(&self, taken: &Verified) -> Result<NodeName, Bad> {
        let needed = room(taken.contents.bytes);
        let mut why = Vec::new();
        for name in beside(&taken.etcd, &taken.node) {
            match self.room_on(&name).await {
                Ok(free) if free >= needed => return Ok(name),
                Ok(free) => why.push(format!("{name} has {} free", text::bytes(free))),
                Err(reason) => why.push(format!("{name}: {reason}")),
            }
        }
        let needed = text::bytes(needed);
        Err(Bad::plain(format!(
            "it cannot be proven, which needs {needed} below /var/lib on a member's machine: {}",
            why.join(", ")
        )))
    }

    async fn room_on(&self, name: &NodeName) -> Result<u64, String> {
        let node = self.inventory.node(name).ok_or("it is not in the inventory")?;
        let look = observe::Look { sections: vec![Section::Disks], packages: Vec::new() };
        match observe::machine(self.remote, self.clock, self.inventory, node, &look).await {
            Seen::Known(machine) => free(&machine),
            Seen::Unknown(why) => Err(why),
        }
    }
}

fn free(machine: &MachineFacts) -> Result<u64, String> {
    disk(machine).map(|disk| disk.free_bytes).ok_or_else(|| "its room could not be seen".to_owned())
}

/// The version that the member on this machine runs.
fn version(etcd: &EtcdFacts, node: &NodeName) -> Option<semver::Version> {
    let member = etcd.members.iter().find(|member| member.node.as_ref() == Some(node))?;
    member.status.known().map(|status| status.version.clone())
}
