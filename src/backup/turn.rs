//! One backup of a cluster at a time, wherever it is started from: a lease of etcd's own, which the members agree on. A second
//! run waits for its turn.
//!
//! Where etcd does not say whose turn it is (no quorum, no room), nobody's is taken: whether there can be a backup is not to be
//! decided here.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::SignedDuration;

use crate::error::{Exit, Failure};
use crate::inventory::{Inventory, NodeName};
use crate::remote::{Clock, RemoteError, Turns};

/// For how long it is taken: another run waits for as long when this one was killed.
const TURN: Duration = Duration::from_secs(30);

/// When it counts as over, with room for what was on its way.
const TURN_IS_OVER: SignedDuration = SignedDuration::from_secs(25);

/// How often it is kept.
const KEPT_EVERY: Duration = Duration::from_secs(10);

/// How often who waits asks again.
const ASKED_EVERY: Duration = Duration::from_secs(2);

/// Longest wait: 8 GiB, etcd's largest, take 14 minutes at 80 Mbit/s.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);

/// Does `work` when it is this run's turn, which it keeps until then. `told` is called when there is a wait.
pub async fn in_turn<T>(
    remote: &dyn Turns,
    clock: &dyn Clock,
    inventory: &Inventory,
    told: impl FnOnce(),
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    if !take(remote, clock, inventory, told).await? {
        return Ok(work.await);
    }
    let mut ours = true;
    let keeping = async {
        let mut kept = clock.now();
        while ours {
            clock.sleep(KEPT_EVERY).await;
            let asked = clock.now();
            let answer = first(inventory, |node| remote.etcd_keep_turn(node)).await;
            if answer == Some(true) {
                kept = asked;
            }
            // Whoever has it now is another: it is neither kept for them nor given back. The time is the day's, which a machine
            // that was asleep does not miss.
            ours = answer != Some(false) && clock.now().duration_since(kept) < TURN_IS_OVER;
        }
        tracing::warn!("the turn is lost: another backup of this cluster may begin");
        std::future::pending().await
    };
    let done = tokio::select! {
        done = work => done,
        never = keeping => never,
    };
    if ours {
        // It ends by itself, too.
        let _ = first(inventory, |node| remote.etcd_end_turn(node)).await;
    }
    Ok(done)
}

/// What the first of the members says that says anything.
async fn first<'a, T, F>(inventory: &'a Inventory, ask: impl Fn(&'a NodeName) -> F) -> Option<T>
where
    F: Future<Output = Result<T, RemoteError>>,
{
    let answers = inventory.etcd_nodes().map(|node| ask(&node.name)).collect::<FuturesUnordered<_>>();
    pin!(answers.filter_map(|answer| std::future::ready(answer.ok()))).next().await
}

/// Waits for the turn, and takes it; false where no member says whose it is.
async fn take(
    remote: &dyn Turns,
    clock: &dyn Clock,
    inventory: &Inventory,
    told: impl FnOnce(),
) -> Result<bool, Failure> {
    let (since, mut told, mut silent) = (clock.elapsed(), Some(told), None);
    loop {
        let now = clock.elapsed();
        match asked(remote, inventory, told.is_none()).await {
            Some(true) => return Ok(true),
            Some(false) => silent = None,
            // While it waits, a member may be restarted.
            None if told.is_some() || now.saturating_sub(*silent.get_or_insert(now)) > TURN => return Ok(false),
            None => {}
        }
        if let Some(told) = told.take() {
            told();
        }
        if now.saturating_sub(since) > LONGEST_WAIT {
            let minutes = LONGEST_WAIT.as_secs() / 60;
            let why = format!("another backup of this cluster, from another place, runs for {minutes} minutes now");
            return Err(Failure::new(Exit::Refused, why).hint("find out what it waits for; nothing was done"));
        }
        clock.sleep(ASKED_EVERY).await;
    }
}

/// Asks for the turn: who answers at all first, and the others too for who `waits`. Never two at once: one would be told that
/// the other has it.
async fn asked(remote: &dyn Turns, inventory: &Inventory, waits: bool) -> Option<bool> {
    let quick = first(inventory, |node| async move { remote.etcd_cluster_id(node).await.map(|_| node) }).await?;
    let others = inventory.etcd_nodes().map(|node| &node.name).filter(|node| waits && *node != quick);
    for node in std::iter::once(quick).chain(others) {
        if let Ok(taken) = remote.etcd_take_turn(node, TURN).await {
            return Some(taken);
        }
    }
    None
}

#[cfg(test)]
mod tests;
