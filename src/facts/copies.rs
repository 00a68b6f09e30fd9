//! What the control planes keep of runs, as texts; which copy counts is decided by the `journal` room.

use crate::inventory::NodeName;

/// What the control planes keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Each copy of each run, by the inventory's order of machines.
    pub found: Vec<RunCopy>,
    /// Control planes that could not be asked, and why.
    pub silent: Vec<(NodeName, String)>,
}

/// What one control plane keeps of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCopy {
    /// The control plane.
    pub node: NodeName,
    /// The run, as its folder is called.
    pub run: String,
    /// The plan's text; empty when it has none.
    pub plan: String,
    /// The journal's text; empty when it has none.
    pub journal: String,
}
