//! What keeps operators apart and lets one go on for another, in memory: the lock that is replaced, and copies of runs.

use std::time::Duration;

use windlass::decide::call::Call;
use windlass::inventory::NodeName;
use windlass::remote::Output;

use super::{Cluster, LATENCY, State, Then, refused, said};

impl Cluster {
    /// Killed here, the piece is on disk and the operator does not know.
    pub(super) fn copy_append(&self, node: &NodeName, call: &Call) -> Output {
        let output = self.state().append(node.as_str(), call);
        if node.as_str() == "cp1" {
            self.fuse.burn();
        }
        output
    }
}

impl State {
    /// One round trip's time; with a seed, up to eleven times as long (a linear congruential generator, Knuth's numbers).
    pub(super) fn latency(&mut self) -> Duration {
        let Some(state) = &mut self.jitter else { return LATENCY };
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        LATENCY + Duration::from_millis((*state >> 33) % 200)
    }

    /// Nothing is made to happen any more.
    pub(crate) fn forget_traps(&mut self) {
        self.traps.clear();
    }

    pub(super) fn lock_replace(&mut self, node: &str, call: &Call) -> Output {
        let number = |at: usize| call.args[at].parse::<u64>().unwrap();
        let (token, seen) = (number(0), number(3));
        let machine = self.machine(node);
        if token <= seen {
            return refused(2, "");
        }
        if machine.token != seen {
            return refused(4, machine.token);
        }
        machine.token = token;
        machine.lock = Some(call.args[1].clone());
        self.extra_mut(node).owner = Some(call.args[2].clone());
        said(String::new())
    }

    fn append(&mut self, node: &str, call: &Call) -> Output {
        let [token, run, name, offset, text] = &call.args[..] else { panic!("{call:?}") };
        assert!(["plan.json", "journal"].contains(&name.as_str()), "{name}");
        let (token, offset) = (token.parse::<u64>().unwrap(), offset.parse::<usize>().unwrap());
        let then = self.sprung("copy-append", node);
        let machine = self.machine(node);
        if then == Some(Then::Fence) {
            machine.token += 10;
        }
        if token < machine.token {
            return refused(3, machine.token);
        }
        machine.token = token;
        if let Some(Then::Fail(status)) = then {
            return refused(status, "");
        }
        let copy = self.extra_mut(node).copies.entry(format!("{run}/{name}")).or_default();
        let Some(tail) = copy.get(offset..) else { return refused(9, copy.len()) };
        if !tail.starts_with(text) {
            // The rest of a piece that is half there, or another history in place of the one that was set aside.
            copy.truncate(offset);
            copy.push_str(text);
        }
        said(String::new())
    }

    pub(super) fn copy_read(&self, node: &str, call: &Call) -> Output {
        let copies = &self.extra[node].copies;
        let plans = copies.keys().filter_map(|key| key.strip_suffix("/plan.json"));
        match &call.args[..] {
            [] => said(plans.flat_map(|run| [run, "\n"]).collect()),
            [run, name] => {
                copies.get(&format!("{run}/{name}")).map_or_else(|| refused(4, ""), |text| said(text.clone()))
            }
            words => panic!("{words:?}"),
        }
    }
}
