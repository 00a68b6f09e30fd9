//! Interrupts: the first finishes the step at hand, the second leaves it in doubt, the third exits at once.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// How often the operator asked to stop.
#[derive(Debug, Default)]
pub struct Interrupts {
    count: AtomicU8,
    again: Notify,
}

impl Interrupts {
    /// Counts one more; returns how many there are.
    pub fn count_one(&self) -> u8 {
        let count = self.count.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        self.again.notify_waiters();
        count
    }

    /// Stop at the next step.
    pub fn stop_soon(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// Returns once the operator has asked twice.
    pub async fn stop_now(&self) {
        loop {
            let next = self.again.notified();
            if self.count.load(Ordering::SeqCst) > 1 {
                return;
            }
            next.await;
        }
    }
}
