//! Looking: what an action asks before and after it acts, what it gets to see, and what it concludes.

use crate::facts::ask::{ApiSection, Section};
use crate::facts::{ApiFacts, EtcdFacts, MachineFacts, Seen};
use crate::inventory::NodeName;

/// What an action wants to see. Each part is asked for only when it is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// A probe of the lane's node.
    pub machine: Option<MachineQuestion>,
    /// The Kubernetes API.
    pub api: Option<ApiQuestion>,
    /// Every etcd member's status.
    pub etcd: bool,
    /// A probe of every machine of a group.
    pub every: Option<Every>,
}

/// A probe of every machine of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    /// Which group.
    pub who: Who,
    /// Sections of the probe.
    pub sections: &'static [Section],
}

/// A group of machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The control planes.
    ControlPlanes,
    /// The machines that run an etcd member.
    EtcdNodes,
}

/// Which sections of the probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineQuestion {
    /// Sections of the probe.
    pub sections: &'static [Section],
    /// Packages to look up.
    pub packages: Vec<String>,
}

/// Which sections of the API, asked where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiQuestion {
    /// Through which control plane.
    pub via: Via,
    /// Sections of the API.
    pub sections: &'static [ApiSection],
    /// Only this Node object.
    pub node: Option<NodeName>,
}

/// Through which control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The lane's own node.
    Lane,
    /// A healthy control plane other than the lane's node.
    AnotherControlPlane,
}

/// What was seen in answer to a [`Question`]; parts not asked for are unknown.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The lane's node.
    pub machine: Seen<MachineFacts>,
    /// The API.
    pub api: Seen<ApiFacts>,
    /// etcd.
    pub etcd: Seen<EtcdFacts>,
    /// The group that was asked for, in inventory order.
    pub every: Vec<(NodeName, Seen<MachineFacts>)>,
}

/// What an action concludes from a [`Sight`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is as the action would make it.
    Done,
    /// The action is needed and may act; what is still missing, in words.
    Ready(String),
    /// The action may not act yet, and may soon: wait, up to the step's time.
    NotYet(String),
    /// The node is neither as expected before nor as expected after: stop.
    Drifted(String),
    /// It could not be seen: stop, and say why.
    Unseen(String),
}

impl Sight {
    /// A sight of nothing, to be filled with what was asked for.
    pub fn nothing() -> Self {
        let unasked = "not asked".to_owned();
        Self {
            machine: Seen::Unknown(unasked.clone()),
            api: Seen::Unknown(unasked.clone()),
            etcd: Seen::Unknown(unasked),
            every: Vec::new(),
        }
    }
}

/// The value that was seen, or an early [`Look::Unseen`] with the reason.
macro_rules! seen {
    ($seen:expr, $what:expr) => {
        match &$seen {
            $crate::facts::Seen::Known(value) => value,
            $crate::facts::Seen::Unknown(why) => return $crate::decide::look::Look::Unseen(format!("{}: {why}", $what)),
        }
    };
}
pub(crate) use seen;
