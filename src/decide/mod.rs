//! Decisions, all pure: rules (facts → findings), actions (one file a kind), the planners, the plan, and the checker that is
//! written apart from them.

pub mod call;
