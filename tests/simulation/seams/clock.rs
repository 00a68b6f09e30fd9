//! A clock that costs no time: it stands still while anything has something to do, and jumps when all only wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use windlass::remote::Clock;

/// Virtual time, which begins when the facts were taken.
#[derive(Clone, Debug)]
pub(crate) struct VirtualClock {
    base: Timestamp,
    began: Instant,
    /// By how much somebody has set the operator's clock, in seconds.
    set: Arc<AtomicI64>,
}

impl VirtualClock {
    pub(crate) fn start(base: Timestamp) -> Self {
        Self { base, began: Instant::now(), set: Arc::default() }
    }

    /// Somebody sets the operator's clock.
    pub(crate) fn jump(&self, seconds: i64) {
        self.set.fetch_add(seconds, Ordering::SeqCst);
    }

    /// It was set right again.
    pub(crate) fn put_right(&self) {
        self.set.store(0, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let set = SignedDuration::from_secs(self.set.load(Ordering::SeqCst));
        self.base + SignedDuration::try_from(self.elapsed()).expect("a span of time") + set
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    async fn sleep(&self, how_long: Duration) {
        tokio::time::sleep(how_long).await;
    }
}
