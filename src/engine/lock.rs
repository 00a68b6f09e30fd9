//! The lock: lock files on a majority of the control planes, taken in inventory order, with a token one above the highest
//! seen. Nodes refuse units under a lower token. It never expires by itself.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;

use super::Engine;
use super::event::Event;
use crate::decide::call::{Call, Script};
use crate::error::{Exit, Failure, chain};
use crate::facts::lock::{Holder, LockFacts};
use crate::inventory::{NodeName, Role};
use crate::remote::Output;
use crate::{journal, observe};

/// Who carries out a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// `user@host`.
    pub name: String,
    /// What tells this machine apart from others of the same name.
    pub machine: String,
}

/// Answers of `lock-take` and `lock-replace`, as their texts document them.
mod taken {
    pub(super) const YES: i32 = 0;
    pub(super) const HELD: i32 = 3;
    pub(super) const LOW: i32 = 4;
}

/// `lock-release` leaves a lock that was taken with another token.
const ANOTHERS: i32 = 3;

/// How one control plane answered.
pub(super) enum Answer {
    Taken,
    Held(String),
    /// With the token that it has stored.
    Low(u64),
    Silent(String),
}

impl Engine<'_> {
    /// Takes the lock, or says who holds it.
    pub(super) async fn take_lock(&self, seen: &LockFacts) -> Result<(), Failure> {
        let _busy = self.meter.remote(self.clock);
        let token = seen.highest_token().saturating_add(1);
        let planes: Vec<NodeName> =
            self.inventory.with_role(Role::ControlPlane).map(|node| node.name.clone()).collect();
        let (mut ours, mut silent) = (Vec::new(), Vec::new());
        for node in &planes {
            match self.take_on(node, token, None).await {
                Answer::Taken => ours.push(node),
                Answer::Silent(why) => silent.push(format!("{node}: {why}")),
                Answer::Held(holder) => {
                    self.release_on(&ours, token).await;
                    return Err(self.held(node, &holder));
                }
                Answer::Low(_) => {
                    self.release_on(&ours, token).await;
                    return Err(self.outrun());
                }
            }
        }
        if ours.len() <= planes.len() / 2 {
            self.release_on(&ours, token).await;
            let exit = if self.history().begun() { Exit::StepFailed } else { Exit::Unreachable };
            let what =
                format!("the lock needs a majority of the control planes; {} of {} answer", ours.len(), planes.len());
            let mut failure = Failure::new(exit, what);
            failure.causes = silent;
            return Err(failure.hint(format!("nothing was changed; when they answer again, run `{}`", self.again)));
        }
        self.token.store(token, Ordering::SeqCst);
        if let Err(failure) = self.write(journal::Event::Locked { token, holder: self.operator.name.clone() }) {
            self.release_on(&ours, token).await;
            return Err(failure);
        }
        for node in self.raise_elsewhere(token).await {
            self.tell(&Event::Note(format!("{node} does not know the lock's token yet")));
        }
        self.tell(&Event::Locked { token, on: (ours.len(), planes.len()) });
        Ok(())
    }

    /// Stores the token on the other machines too, so that whoever acted under a lower one is refused there as well; returns
    /// those that did not answer. Such a machine learns it with its first unit; nothing of this run happens there before.
    pub(super) async fn raise_elsewhere(&self, token: u64) -> Vec<NodeName> {
        let call = Call { script: Script::TokenRaise, args: vec![token.to_string()] };
        let others = self.inventory.nodes.iter().filter(|node| !node.roles.contains(&Role::ControlPlane));
        let others: Vec<&NodeName> =
            others.map(|node| &node.name).filter(|name| self.plan.baseline.machines.contains_key(*name)).collect();
        let answers = join_all(others.iter().map(|node| self.remote.call(node, &call))).await;
        let silent =
            others.into_iter().zip(answers).filter(|(_, answer)| !matches!(answer, Ok(Output { status: 0, .. })));
        silent.map(|(node, _)| node.clone()).collect()
    }

    /// What Windlass's own files on all machines say.
    pub(super) async fn own_state(&self) -> LockFacts {
        let _busy = self.meter.remote(self.clock);
        observe::own(self.remote, self.clock, self.inventory).await
    }

    /// Takes the lock file on one node; with `seen`, from whoever holds it, as long as the node's token is that one.
    pub(super) async fn take_on(&self, node: &NodeName, token: u64, seen: Option<u64>) -> Answer {
        let holder = Holder {
            run: self.plan.id.to_string(),
            operator: self.operator.name.clone(),
            machine: Some(self.operator.machine.clone()),
            since: self.clock.now().to_string(),
            token,
        };
        let json = serde_json::to_string(&holder).unwrap_or_default();
        // The journal's first moment tells this run apart from one of the same plan with a journal of its own.
        let journal = self.history().opened.map_or_else(String::new, |opened| opened.as_nanosecond().to_string());
        let owner = format!("{} {} {} {journal}", self.plan.id, self.operator.name, self.operator.machine);
        let script = if seen.is_some() { Script::LockReplace } else { Script::LockTake };
        let mut args = vec![token.to_string(), json, owner];
        args.extend(seen.map(|seen| seen.to_string()));
        let call = Call { script, args };
        match self.remote.call(node, &call).await {
            Ok(output) => match output.status {
                taken::YES => Answer::Taken,
                taken::HELD => Answer::Held(output.stdout),
                taken::LOW => Answer::Low(output.stdout.trim().parse().unwrap_or(u64::MAX)),
                status => Answer::Silent(format!("status {status}: {}", output.stderr.trim())),
            },
            Err(error) => Answer::Silent(chain(&error).join(": ")),
        }
    }

    /// Gives back what a finished run could not: it was killed just before, or a control plane did not answer. A lock that
    /// somebody else holds by now is theirs.
    pub(super) async fn clear_lock(&self) {
        if self.history().token.is_some() && self.hold().await.is_ok() {
            self.release_lock().await;
        }
    }

    /// Gives the lock back. A node that does not answer keeps a lock file of ours, which the next run of this plan takes
    /// again; until then the journal does not say that the lock was given back.
    pub(super) async fn release_lock(&self) {
        let _busy = self.meter.remote(self.clock);
        let token = self.token.load(Ordering::SeqCst);
        let planes: Vec<&NodeName> = self.inventory.with_role(Role::ControlPlane).map(|node| &node.name).collect();
        if !self.release_on(&planes, token).await {
            let later = format!("to give the lock back where it is left, run `{}` later", self.again);
            return self.tell(&Event::Note(later));
        }
        // Whoever reads the journal then sees a lock that was not given back: the safe side.
        if let Err(failure) = self.write(journal::Event::Released { token }) {
            self.tell(&Event::Note(failure.to_string()));
        }
    }

    /// Whether none of the nodes has a lock file of ours any more.
    pub(super) async fn release_on(&self, nodes: &[&NodeName], token: u64) -> bool {
        let mut all = true;
        let call = Call { script: Script::LockRelease, args: vec![token.to_string()] };
        let answers = join_all(nodes.iter().map(|node| self.remote.call(node, &call))).await;
        for (node, answer) in nodes.iter().zip(answers) {
            let why = match answer {
                Ok(output) if output.status == 0 => continue,
                Ok(output) if output.status == ANOTHERS => {
                    match self.release_older(node, token, &output.stdout).await {
                        Ok(()) => continue,
                        Err(why) => why,
                    }
                }
                Ok(output) => format!("status {} {}", output.status, output.stderr.trim()),
                Err(error) => chain(&error).join(": "),
            };
            self.tell(&Event::Note(format!("the lock on {node} could not be given back: {why}")));
            all = false;
        }
        all
    }

    /// A lock file under another token than ours: of an earlier try of this run, where the node did not take the lock since
    /// (it was away, or its disk was full), or by now another operator's.
    async fn release_older(&self, node: &NodeName, token: u64, stored: &str) -> Result<(), String> {
        if stored.trim().parse::<u64>().is_ok_and(|stored| stored < token) {
            match self.take_on(node, token, None).await {
                Answer::Taken => {
                    let call = Call { script: Script::LockRelease, args: vec![token.to_string()] };
                    let again = self.remote.call(node, &call).await;
                    return match again {
                        Ok(output) if output.status == 0 => Ok(()),
                        Ok(output) => Err(format!("status {} {}", output.status, output.stderr.trim())),
                        Err(error) => Err(chain(&error).join(": ")),
                    };
                }
                Answer::Silent(why) => return Err(why),
                Answer::Held(_) | Answer::Low(_) => {}
            }
        }
        self.tell(&Event::Note(format!("the lock on {node} is another operator's by now")));
        Ok(())
    }

    /// Somebody took the lock between our look and our try.
    pub(super) fn outrun(&self) -> Failure {
        Failure::new(Exit::Refused, "another operator is taking the lock at this moment")
            .hint(format!("nothing was changed; `{}` says who", self.others.show))
    }

    fn held(&self, node: &NodeName, json: &str) -> Failure {
        let failure = Failure::new(Exit::Refused, "another run holds this cluster");
        let away = format!(
            "`{}` says what runs; if that run will never go on, take the lock over with `{} --take-over`",
            self.others.show, self.again
        );
        match serde_json::from_str::<Holder>(json) {
            Ok(holder) => failure
                .because(format!("{} (seen on {node})", holds(&holder)))
                .hint(format!("nothing was changed; let {} finish that run first; {away}", holder.operator)),
            Err(_) => failure
                .because(format!("{node} has a lock file that cannot be read: {}", json.trim()))
                .hint(format!("nothing was changed; find out which run it is of; {away}")),
        }
    }
}

/// Who holds it, in words.
pub(super) fn holds(holder: &Holder) -> String {
    format!("{} holds the lock for run {} since {}", holder.operator, holder.run, holder.since)
}
