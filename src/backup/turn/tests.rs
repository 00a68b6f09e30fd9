use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use super::*;

const INVENTORY: &str = include_str!("../../../tests/scenarios/inventory.toml");

/// When the lease ends, where it is granted; in virtual time.
type Lease = Arc<Mutex<Option<Instant>>>;

/// Etcd as one operator's machine reaches it, or does not.
#[derive(Default)]
struct Door {
    lease: Lease,
    silent: AtomicBool,
}

impl Door {
    fn to(lease: &Lease) -> Self {
        Self { lease: Arc::clone(lease), ..Self::default() }
    }

    fn answer(&self, node: &NodeName) -> Result<(), RemoteError> {
        let silent = self.silent.load(Ordering::SeqCst);
        if silent { Err(RemoteError::Etcd { node: node.clone(), what: "no answer".to_owned() }) } else { Ok(()) }
    }

    fn until(&self) -> Option<Instant> {
        self.lease.lock().expect("no panic").filter(|until| *until > Instant::now())
    }

    fn set(&self, until: Option<Instant>) {
        *self.lease.lock().expect("no panic") = until;
    }
}

#[async_trait]
impl Turns for Door {
    async fn etcd_cluster_id(&self, node: &NodeName) -> Result<u64, RemoteError> {
        self.answer(node).map(|()| 7)
    }
    async fn etcd_take_turn(&self, node: &NodeName, time: Duration) -> Result<bool, RemoteError> {
        self.answer(node)?;
        let free = self.until().is_none();
        if free {
            self.set(Some(Instant::now() + time));
        }
        Ok(free)
    }
    async fn etcd_keep_turn(&self, node: &NodeName) -> Result<bool, RemoteError> {
        self.answer(node)?;
        let there = self.until().is_some();
        if there {
            self.set(Some(Instant::now() + TURN));
        }
        Ok(there)
    }
    async fn etcd_end_turn(&self, node: &NodeName) -> Result<(), RemoteError> {
        self.answer(node)?;
        self.set(None);
        Ok(())
    }
}

/// Virtual time.
struct Virtual(Instant);

#[async_trait]
impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::try_from(self.0.elapsed()).expect("short")
    }
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
    async fn sleep(&self, how_long: Duration) {
        tokio::time::sleep(how_long).await;
    }
}

/// A backup that begins after so many seconds and works for so many: when it began to work, and whether it was told to wait.
async fn backup(door: &Door, after: u64, works: u64) -> (u64, usize) {
    let (clock, told) = (Virtual(Instant::now()), AtomicUsize::new(0));
    let inventory = crate::inventory::parse(INVENTORY).expect("it is good").value;
    tokio::time::sleep(Duration::from_secs(after)).await;
    let work = async {
        let began = clock.elapsed().as_secs();
        tokio::time::sleep(Duration::from_secs(works)).await;
        began
    };
    let tell = || {
        told.fetch_add(1, Ordering::SeqCst);
    };
    let began = in_turn(door, &clock, &inventory, tell, work).await.expect("its turn comes");
    (began, told.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_kept_for_as_long_as_the_work_lasts_and_given_back() {
    let lease = Lease::default();
    let (one, other) = (Door::to(&lease), Door::to(&lease));
    let ((first, untold), (second, told)) = tokio::join!(backup(&one, 0, 100), backup(&other, 10, 5));
    assert_eq!((first, untold, told), (0, 0, 1));
    assert!((100..=102).contains(&second), "{second}");
    assert_eq!(one.until(), None, "nothing is left");
}

#[tokio::test(start_paused = true)]
async fn who_was_killed_holds_nobody_up_for_long() {
    let lease = Lease::default();
    let (one, other) = (Door::to(&lease), Door::to(&lease));
    let killed = tokio::time::timeout(Duration::from_secs(25), backup(&one, 0, 100));
    let (killed, (second, told)) = tokio::join!(killed, backup(&other, 1, 5));
    assert!(killed.is_err() && told == 1);
    assert!((50..=52).contains(&second), "{second}: kept at 20 s, for 30 s");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_was_lost_is_neither_kept_for_another_nor_given_back() {
    let lease = Lease::default();
    let (one, other, third) = (Door::to(&lease), Door::to(&lease), Door::to(&lease));
    // Nothing comes through to the first from its fifth second on, until the second has the turn.
    let cut = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        one.silent.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(45)).await;
        one.silent.store(false, Ordering::SeqCst);
    };
    let all = async { tokio::join!(backup(&one, 0, 60), backup(&other, 1, 100), backup(&third, 55, 5)) };
    let (((first, _), (second, _), (last, _)), ()) = tokio::join!(all, cut);
    assert_eq!(first, 0);
    assert!((30..=32).contains(&second), "{second}");
    assert!(last >= second + 100, "the third began at {last}, beside the second of {second}");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_says_whose_turn_it_is_nobody_waits() {
    let door = Door::default();
    door.silent.store(true, Ordering::SeqCst);
    assert_eq!(backup(&door, 0, 5).await, (0, 0));
}
