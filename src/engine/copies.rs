//! The journal and the plan, copied to the control planes as they grow, so that another operator can go on.
//!
//! What is guaranteed: before anything is started, every record up to the one that announces it is on disk on at least one
//! control plane, beside the plan. What comes after it (how it ended) is copied with the next start, and at the end of a
//! stage and of a run. So another operator who finds that copy finds at most the end of the last steps missing, and settles
//! them by looking, as after a crash: units are found by their names. A copy that lags further because its machine was away
//! is as safe, since no unit of a name is started twice and whatever is otherwise than that copy tells is drift; but it may
//! end there.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::Engine;
use super::event::Event;
use super::unit::LOWER_TOKEN;
use crate::decide::call::{Call, Script};
use crate::error::{Exit, Failure, chain};
use crate::inventory::{NodeName, Role};

/// How long one piece may take. A machine that is up answers within a fraction of a second, also under load; one that is
/// not has its next try at the next stage.
const PIECE_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of one piece. It travels as an argument, of which Linux allows 128 KiB, every letter perhaps quoted with four.
const PIECE_BYTES: usize = 24 * 1024;

/// Answers of `copy-append`, as its text documents them.
mod appended {
    pub(super) const YES: i32 = 0;
    pub(super) const GAP: i32 = 9;
}

/// How far the copies are.
#[derive(Debug, Default)]
pub(super) struct Copies {
    on: BTreeMap<NodeName, State>,
    /// Bytes of the journal that at least one control plane has.
    safe: usize,
}

/// How far one control plane's copy is, as far as this process knows.
#[derive(Clone, Debug, Default)]
struct State {
    /// It has the plan.
    plan: bool,
    /// Bytes of the journal that it has.
    bytes: usize,
    /// Why it is left alone until the next stage.
    silent: Option<String>,
}

/// How one control plane took it.
enum Took {
    All,
    Fenced(String),
    Not(String),
}

impl Engine<'_> {
    /// Copies what was journaled so far. Fails when a control plane has seen a higher token, and when none takes it.
    pub(super) async fn copied(&self) -> Result<(), Failure> {
        let end = self.journal().text().len();
        let mut copies = self.others.copies.lock().await;
        // Another lane took our records along while we waited for it.
        if copies.safe >= end {
            return Ok(());
        }
        let _busy = self.meter.remote(self.clock);
        let text = self.journal().text().to_owned();
        let mut whole = self.copy_to(&mut copies, &text, false).await?;
        if !whole {
            whole = self.copy_to(&mut copies, &text, true).await?;
        }
        if whole {
            copies.safe = text.len();
            return Ok(());
        }
        let mut failure = Failure::new(Exit::StepFailed, "no control plane takes a copy of the journal");
        let silent = copies.on.iter().filter_map(|(node, state)| Some(format!("{node}: {}", state.silent.as_ref()?)));
        failure.causes = silent.collect();
        Err(failure.hint(format!(
            "nothing is begun that another operator could not go on with; to go on, run `{}`",
            self.again
        )))
    }

    /// The same at the end of a run, where nothing depends on it. A run that has neither announced an act nor taken the lock
    /// over has nothing to say to others; its journal may even be older than the copies.
    pub(super) async fn copied_at_last(&self) {
        let speaks = self.others.took_over() || !self.others.copies.lock().await.on.is_empty();
        if speaks && let Err(failure) = self.copied().await {
            let cause = failure.causes.first().map_or_else(String::new, |cause| format!(": {cause}"));
            self.tell(&Event::Note(format!("{}{cause}", failure.what)));
        }
    }

    /// Control planes that were left alone are tried again from now on.
    pub(super) async fn copy_everywhere_again(&self) {
        let copies = &mut *self.others.copies.lock().await;
        for state in copies.on.values_mut() {
            if state.silent.take().is_some() {
                copies.safe = 0;
            }
        }
    }

    /// Copies to the control planes that take copies, or to the `silent` ones; whether at least one has everything.
    async fn copy_to(&self, copies: &mut Copies, text: &str, silent: bool) -> Result<bool, Failure> {
        let planes = self.inventory.with_role(Role::ControlPlane).map(|node| &node.name);
        let chosen: Vec<(&NodeName, State)> = planes
            .map(|node| (node, copies.on.get(node).cloned().unwrap_or_default()))
            .filter(|(_, state)| state.silent.is_some() == silent)
            .collect();
        let tried = join_all(chosen.into_iter().map(|(node, mut state)| async move {
            let took = self.copy_on(node, &mut state, text).await;
            (node, state, took)
        }));
        let (mut whole, mut fenced) = (false, None);
        for (node, mut state, took) in tried.await {
            match took {
                Took::All => {
                    state.silent = None;
                    whole = true;
                }
                Took::Fenced(stored) => fenced = Some((node, stored)),
                Took::Not(why) => {
                    if !silent {
                        self.tell(&Event::Note(format!("the journal is not copied to {node} for now: {why}")));
                    }
                    state.silent = Some(why);
                }
            }
            copies.on.insert(node.clone(), state);
        }
        match fenced {
            Some((node, stored)) => Err(self.replaced("this run was replaced", node, &stored).await),
            None => Ok(whole),
        }
    }

    /// Brings one control plane's copy up to the end of `text`, beginning where it is known to be.
    async fn copy_on(&self, node: &NodeName, state: &mut State, text: &str) -> Took {
        if !state.plan {
            let mut at = 0;
            match self.copy_file(node, "plan.json", &self.plan.to_json(), &mut at).await {
                Took::All => state.plan = true,
                other => return other,
            }
        }
        self.copy_file(node, "journal", text, &mut state.bytes).await
    }

    async fn copy_file(&self, node: &NodeName, name: &str, text: &str, at: &mut usize) -> Took {
        let mut anew = false;
        while *at < text.len() {
            let end = piece_end(text, *at);
            let args =
                [self.token(), self.plan.id.to_string(), name.to_owned(), at.to_string(), text[*at..end].to_owned()];
            let call = Call { script: Script::CopyAppend, args: args.to_vec() };
            let answer = tokio::select! {
                biased;
                answer = self.remote.call(node, &call) => answer,
                () = self.clock.sleep(PIECE_LIMIT) => return Took::Not("it did not answer in time".to_owned()),
            };
            match answer {
                Ok(output) => match output.status {
                    appended::YES => *at = end,
                    LOWER_TOKEN => return Took::Fenced(output.stdout),
                    // Somebody took the copy away: once more from its beginning.
                    appended::GAP if !anew => (anew, *at) = (true, 0),
                    status => return Took::Not(format!("status {status} {}", output.stderr.trim())),
                },
                Err(error) => return Took::Not(chain(&error).join(": ")),
            }
        }
        Took::All
    }
}

/// Where the piece that begins at `at` ends: between two letters.
fn piece_end(text: &str, at: usize) -> usize {
    let most = text.len().min(at + PIECE_BYTES);
    (at + 1..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_between_letters_and_make_up_the_whole() {
        let text = "é".repeat(PIECE_BYTES) + "x";
        let (mut at, mut pieces) = (0, Vec::new());
        while at < text.len() {
            let end = piece_end(&text, at);
            pieces.push(&text[at..end]);
            at = end;
        }
        assert_eq!(pieces.concat(), text);
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
    }
}
