//! A snapshot of etcd before anything is touched.

use serde::{Deserialize, Serialize};

use crate::decide::action::{Act, Effect, Moment, Site};
use crate::decide::actions::packages::trusted;
use crate::decide::look::{Look, Sight};

/// A verified snapshot, before anything is touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Whether it is restored and started for a moment, beside a member, before anything leans on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proven: bool,
}

impl Act for Snapshot {
    fn describe(&self) -> String {
        let taken = "take a verified snapshot of etcd to this machine, and a copy to a control plane";
        if self.proven {
            format!(
                "{taken}; prove it: restored and started for a moment on a member's machine, not the leader's if possible"
            )
        } else {
            taken.to_owned()
        }
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "no snapshot stands before this rung")
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        Effect::Snapshot { proven: self.proven }
    }

    fn undo(&self) -> String {
        "nothing to undo: snapshots are kept".to_owned()
    }

    fn estimate(&self) -> u64 {
        if self.proven { 12 } else { 5 }
    }
}
