//! The engine against a cluster in memory: whole plans, resumption from every position, failures, other operators, drift,
//! interruptions, snapshots. Time is virtual, so that nothing waits.

mod bench;
mod clock;
mod cluster;

mod copying;
mod drifting;
mod failing;
mod interrupting;
mod journaling;
mod operators;
mod resuming;
mod snapshots;
mod taking_over;
mod together;
mod whole;
