//! One backup of a cluster at a time, wherever it is started from: a lease of etcd's own, which the members agree on. A second
//! run waits for its turn.
//!
//! Where etcd does not say whose turn it is (no quorum, no room), nobody's is taken: whether there can be a backup is not to be
//! decided here.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::error::{Exit, Failure};
use crate::inventory::{Inventory, NodeName};
use crate::remote::{Clock, Streams};

/// For how long it is taken: another run waits for as long when this one was killed.
const TURN: Duration = Duration::from_secs(30);

/// How often it is kept.
const KEPT_EVERY: Duration = Duration::from_secs(10);

/// How often who waits asks again.
const ASKED_EVERY: Duration = Duration::from_secs(2);

/// Longest wait: 8 GiB, etcd's largest, take 14 minutes at 80 Mbit/s.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);

/// Does `work` when it is this run's turn, which it keeps until then. `told` is called when there is a wait.
pub async fn in_turn<T>(
    remote: &dyn Streams,
    clock: &dyn Clock,
    inventory: &Inventory,
    told: impl FnOnce(),
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let Some(node) = take(remote, clock, inventory, told).await? else { return Ok(work.await) };
    let keeping = async {
        loop {
            clock.sleep(KEPT_EVERY).await;
            // Who does not answer may be dying: then another keeps it.
            for node in std::iter::once(&node).chain(inventory.etcd_nodes().map(|node| &node.name)) {
                if remote.etcd_keep_turn(node).await.is_ok() {
                    break;
                }
            }
        }
    };
    let done = tokio::select! {
        done = work => done,
        never = keeping => never,
    };
    // It ends by itself, too.
    let _ = remote.etcd_end_turn(&node).await;
    Ok(done)
}

/// Waits for the turn, and takes it; the member that gave it, where one did.
async fn take(
    remote: &dyn Streams,
    clock: &dyn Clock,
    inventory: &Inventory,
    told: impl FnOnce(),
) -> Result<Option<NodeName>, Failure> {
    let asking = inventory.etcd_nodes().map(|node| async {
        let answered = remote.etcd_cluster_id(&node.name).await;
        answered.ok().map(|_| node.name.clone())
    });
    let answers = asking.collect::<FuturesUnordered<_>>().filter_map(std::future::ready);
    let Some(node) = pin!(answers).next().await else { return Ok(None) };
    let (since, mut told) = (clock.elapsed(), Some(told));
    loop {
        match remote.etcd_take_turn(&node, TURN).await {
            Ok(true) => return Ok(Some(node)),
            Ok(false) => {}
            Err(_) => return Ok(None),
        }
        if let Some(told) = told.take() {
            told();
        }
        if clock.elapsed().saturating_sub(since) > LONGEST_WAIT {
            let why = format!(
                "another backup of this cluster, from another place, runs for {} minutes now",
                LONGEST_WAIT.as_secs() / 60
            );
            return Err(Failure::new(Exit::Refused, why).hint("find out what it waits for; nothing was done"));
        }
        clock.sleep(ASKED_EVERY).await;
    }
}
