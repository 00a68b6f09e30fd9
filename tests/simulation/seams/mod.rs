//! The seams around an engine: the machines, the clock, the journal's disk, and the faults that strike at them.

pub(crate) mod clock;
pub(crate) mod disk;
pub(crate) mod fault;
pub(crate) mod remote;
