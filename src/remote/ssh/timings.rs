//! How long was waited for each node, so that a run can say where its time went. It only counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::inventory::NodeName;

/// A shared handle; clones count into the same place.
#[derive(Clone, Debug, Default)]
pub struct Timings(Arc<BTreeMap<NodeName, Counter>>);

#[derive(Debug, Default)]
struct Counter {
    calls: AtomicU64,
    micros: AtomicU64,
    connecting: AtomicU64,
}

/// What was counted for one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTime {
    /// The node.
    pub node: NodeName,
    /// Calls made, of scripts and of etcd.
    pub calls: u64,
    /// Time between asking and the answer, summed; calls at the same time each count in full.
    pub time: Duration,
    /// Of this, the time spent on opening connections, also in vain.
    pub connecting: Duration,
}

impl Timings {
    /// Counters for these nodes; others are not counted.
    pub fn new(nodes: impl IntoIterator<Item = NodeName>) -> Self {
        Self(Arc::new(nodes.into_iter().map(|node| (node, Counter::default())).collect()))
    }

    /// Counts one call.
    pub fn add(&self, node: &NodeName, took: Duration) {
        if let Some(counter) = self.0.get(node) {
            counter.calls.fetch_add(1, Ordering::Relaxed);
            counter.micros.fetch_add(micros(took), Ordering::Relaxed);
        }
    }

    /// Counts one opening of a connection.
    pub fn connected(&self, node: &NodeName, took: Duration) {
        if let Some(counter) = self.0.get(node) {
            counter.connecting.fetch_add(micros(took), Ordering::Relaxed);
        }
    }

    /// What was counted so far, by node name.
    pub fn so_far(&self) -> Vec<NodeTime> {
        let read = |(node, counter): (&NodeName, &Counter)| NodeTime {
            node: node.clone(),
            calls: counter.calls.load(Ordering::Relaxed),
            time: Duration::from_micros(counter.micros.load(Ordering::Relaxed)),
            connecting: Duration::from_micros(counter.connecting.load(Ordering::Relaxed)),
        };
        self.0.iter().map(read).collect()
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}
