//! Ports for the servers that tests start.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what Linux gives to connections that leave, so that none of those takes a port between this call and the server's start.
const FIRST: u16 = 20_000;
const MANY: u16 = 12_000;

/// A port that nobody listens at, on no address of this machine, and that this process was not given before.
pub(crate) fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() * 61 % u32::from(MANY)).expect("it is less");
    for _ in 0..MANY {
        let port = FIRST + (start + GIVEN.fetch_add(1, Ordering::Relaxed)) % MANY;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}
