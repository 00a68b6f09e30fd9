//! Defragmenting one member: what its database does not use is given back to the file system. It answers nobody meanwhile.

use serde::{Deserialize, Serialize};

use super::etcd::EtcdAccess;
use super::packages::trusted;
use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::call::Script;
use crate::decide::look::{Look, Sight};

/// Defragments this node's member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefragMember {
    /// The member.
    pub member: u64,
    /// Its database's size when it was planned, in bytes.
    pub size: u64,
    /// What of that was in use, in bytes.
    pub in_use: u64,
    /// How to speak to etcd here.
    pub access: EtcdAccess,
}

/// What a defragmentation writes in a second, in bytes; a slow disk's share. Measured ones are several times as fast.
const BYTES_A_SECOND: u64 = 50 << 20;

impl DefragMember {
    /// How long it is expected to take, in seconds.
    pub fn seconds(&self) -> u64 {
        1 + self.in_use / BYTES_A_SECOND
    }
}

impl Act for DefragMember {
    fn describe(&self) -> String {
        let (size, used) = (crate::text::bytes(self.size), crate::text::bytes(self.in_use));
        format!("defragment this member: {size}, of which {used} are in use")
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        // Its size tells nothing for sure: writes go on. Twice does no harm.
        trusted(moment, "it is not defragmented yet")
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        let EtcdAccess { ca, cert, key, own, others } = self.access.clone();
        let others = if others.is_empty() { "-".to_owned() } else { others.join(",") };
        job(On::Lane, Script::Defrag, [ca, cert, key, own, others])
    }

    fn undo(&self) -> String {
        "nothing to undo: no key is touched".to_owned()
    }

    fn estimate(&self) -> u64 {
        self.seconds()
    }
}
