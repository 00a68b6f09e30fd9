//! As many seeds as fit into the time: `make soak`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Shown, try_seed};

/// A number from the environment, or this.
fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Two threads, a quarter of an hour. `SOAK_SECONDS` sets the time, `SOAK_FROM` the first seed.
#[test]
#[ignore = "takes a quarter of an hour: run by `make soak`, in a release build"]
fn soak() {
    let limit = Duration::from_secs(number("SOAK_SECONDS", 900));
    let (began, next, stop) = (Instant::now(), AtomicU64::new(number("SOAK_FROM", 1_000_000)), AtomicBool::new(false));
    let ridden = || {
        let (mut shown, mut wrong) = (Shown::default(), Vec::new());
        while began.elapsed() < limit && !stop.load(Ordering::SeqCst) {
            match try_seed(next.fetch_add(1, Ordering::SeqCst)) {
                Ok(ride) => shown.add(ride),
                Err(why) => {
                    println!("{why}");
                    wrong.push(why);
                    stop.store(wrong.len() >= 5, Ordering::SeqCst);
                }
            }
        }
        (shown, wrong)
    };
    let (mut shown, mut wrong) = (Shown::default(), Vec::new());
    std::thread::scope(|scope| {
        let threads = [scope.spawn(ridden), scope.spawn(ridden)];
        for thread in threads {
            let (also, went) = thread.join().expect("a thread");
            shown.join(also);
            wrong.extend(went);
        }
    });
    println!("{}", shown.words());
    println!("{} seeds went wrong; {:.0} s", wrong.len(), began.elapsed().as_secs_f64());
    assert!(wrong.is_empty());
}
