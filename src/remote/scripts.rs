//! The scripts that run on nodes: a closed set of constant texts. What varies travels as arguments, never as text that a
//! shell would read.
//!
//! Each file has the shape `main() { …; }; main "$@" </dev/null`, so that a truncated script runs nothing and no child can
//! swallow the rest of it. `quick` scripts only look; `job` scripts change a node and run only as a unit that
//! `unit-start` began under the lock's token.

pub use crate::decide::call::{Call, Script};
