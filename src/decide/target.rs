//! What the operator asked for: versions to reach, nodes to leave out, outages accepted.

use std::collections::BTreeSet;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::actions::programs::Archive;
use crate::inventory::NodeName;

/// What the operator asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Kubernetes version to reach.
    pub kubernetes: Option<Version>,
    /// External etcd version to reach.
    pub etcd: Option<Version>,
    /// The archive that etcd comes from, where it is no package.
    pub etcd_archive: Option<Archive>,
    /// Nodes to leave out, by name.
    pub leave_out: BTreeSet<NodeName>,
    /// Whether the outage of a cluster too small to be raised without one is accepted.
    pub accept_outage: bool,
}

/// How one version stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The same version.
    Same,
    /// A later patch of the same minor.
    Patch,
    /// The next minor.
    Minor,
    /// More than one minor, or another major.
    Skip,
    /// Back.
    Down,
}

impl Way {
    /// The way from one version to another. Pre-releases order as semver says.
    pub fn between(from: &Version, to: &Version) -> Self {
        if to == from {
            Self::Same
        } else if to < from {
            Self::Down
        } else if to.major != from.major || to.minor > from.minor.saturating_add(1) {
            Self::Skip
        } else if to.minor == from.minor {
            Self::Patch
        } else {
            Self::Minor
        }
    }

    /// Goes on by a patch or a minor.
    pub fn is_step(self) -> bool {
        matches!(self, Self::Patch | Self::Minor)
    }
}

/// `1.21` of `1.21.14`.
pub fn minor(version: &Version) -> String {
    format!("{}.{}", version.major, version.minor)
}

/// How many minors `newer` is ahead of `older`; `None` across majors. Negative when it is behind.
pub fn minors_apart(older: &Version, newer: &Version) -> Option<i64> {
    (older.major == newer.major)
        .then(|| i64::try_from(newer.minor).unwrap_or(i64::MAX) - i64::try_from(older.minor).unwrap_or(i64::MAX))
}
