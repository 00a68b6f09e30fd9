//! One test a behaviour: whole plans, resumption from every position, failures, other operators, drift, interruptions,
//! snapshots, going back, giving up.

mod aborting;
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
mod undoing;
mod whole;
