//! One test a behaviour: whole plans, resumption from every position, failures, other operators, drift, interruptions,
//! snapshots, programs from an archive, going back, giving up.

mod aborting;
mod copying;
mod defragmenting;
mod drifting;
mod failing;
mod interrupting;
mod journaling;
mod members;
mod operators;
mod programs;
mod renewing;
mod resuming;
mod snapshots;
mod stacked;
mod taking_over;
mod together;
mod undoing;
mod whole;

use windlass::facts::{Facts, Seen};

use crate::bench::lab_facts;

/// The facts with what a look at another moment sees otherwise made equal: times, tokens, boots; who leads etcd, in which
/// term, and what others write to it.
pub(crate) fn timeless(mut facts: Facts) -> Facts {
    facts.taken_at = lab_facts().taken_at;
    facts.operator_disk = lab_facts().operator_disk;
    for node in &mut facts.nodes {
        if let Seen::Known(machine) = &mut node.machine {
            machine.clock_skew_ms = Seen::Known(0);
            machine.boot_id = Seen::Known(String::new());
            machine.token = 0;
        }
    }
    if let Seen::Known(api) = &mut facts.api {
        for condition in api.nodes.iter_mut().flat_map(|node| &mut node.conditions) {
            condition.heartbeat = None;
        }
    }
    if let Seen::Known(etcd) = &mut facts.etcd {
        for member in &mut etcd.members {
            if let Seen::Known(status) = &mut member.status {
                (status.leader, status.raft_term) = (0, 0);
                (status.raft_index, status.raft_applied, status.revision) = (0, 0, 0);
            }
        }
    }
    facts
}
