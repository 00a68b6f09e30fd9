//! The engine against a simulated cluster that knows the truth: whole plans, faults in the middle of every step, random
//! schedules of many faults, and deliberate breaks that the laws' watch has to catch. Time is virtual, so that nothing waits.
//!
//! - [`world`]: the truth, a pure state machine that time drives.
//! - [`seams`]: the machines, the clock, the journal's disk and the faults, as an engine meets them.
//! - [`laws`]: the invariants, judged from the truth alone.
//! - [`lab`]: what was seen of the lab, and plans for it.
//! - [`bench`]: a cluster, a plan, a journal, an engine that can be killed.
//! - [`focused`]: one test a behaviour.
//! - [`matrix`]: every step interrupted in every way.
//! - [`schedule`]: random faults at random moments, as seeds decide.
//! - [`mutants`]: deliberate breaks, and who catches them.

mod bench;
mod focused;
mod lab;
mod laws;
mod matrix;
mod mutants;
mod replay;
mod schedule;
mod seams;
mod world;
