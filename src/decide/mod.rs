//! Decisions, all pure: rules (facts → findings), actions (one file a kind), the planner, the plan, the drift from it, and
//! the checker, which is written apart from the planner and shares nothing with it but the plan's types.

pub mod action;
pub mod actions;
pub mod bootstrap;
pub mod call;
pub mod check;
pub mod checker;
pub mod defrag;
pub mod discover;
mod draft;
pub mod drift;
pub mod finding;
pub mod long_way;
pub mod look;
pub mod members;
pub mod nodes;
pub mod plan;
pub mod planner;
pub mod quorum;
pub mod renewal;
pub mod renewer;
pub mod restore;
pub mod rules;
pub(crate) mod stacked;
pub mod target;
pub mod words;
