//! A clock that costs no time: it stands still while anything has something to do, and jumps when all only wait.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use windlass::remote::Clock;

/// Virtual time, which begins when the facts were taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VirtualClock {
    base: Timestamp,
    began: Instant,
}

impl VirtualClock {
    pub(crate) fn start(base: Timestamp) -> Self {
        Self { base, began: Instant::now() }
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.base + SignedDuration::try_from(self.elapsed()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    async fn sleep(&self, how_long: Duration) {
        tokio::time::sleep(how_long).await;
    }
}
