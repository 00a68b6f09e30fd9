//! What operators add: gates on the cluster's state, and commands of their own.

use serde::{Deserialize, Serialize};

use super::packages::trusted;
use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::call::Script;
use crate::decide::look::{ApiQuestion, Look, Question, Sight, Via, seen};
use crate::facts::Seen;
use crate::facts::ask::ApiSection;

/// Waits for a condition of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The condition.
    pub gate: Condition,
}

/// A condition of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Every StatefulSet has all its replicas ready.
    StatefulSetsReady,
}

impl Act for Gate {
    fn describe(&self) -> String {
        match self.gate {
            Condition::StatefulSetsReady => "wait: every StatefulSet has all its replicas".to_owned(),
        }
    }

    fn question(&self, _: Site<'_>) -> Question {
        let api = ApiQuestion { via: Via::AnotherControlPlane, sections: &[ApiSection::StatefulSets], node: None };
        Question { api: Some(api), ..Question::default() }
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let api = seen!(sight.api, "the API");
        let sets = match &api.stateful_sets {
            Seen::Known(sets) => sets,
            Seen::Unknown(why) => return Look::NotYet(why.clone()),
        };
        match sets.iter().find(|set| set.ready < set.wanted) {
            None => Look::Done,
            Some(set) => Look::NotYet(format!("{} has {} of {} replicas", set.name, set.ready, set.wanted)),
        }
    }

    fn estimate(&self) -> u64 {
        10
    }
}

/// A command of the operator's. It may run again after an interruption: only its exit status tells that it was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunCommand {
    /// Program and arguments; `{node}` stands for the node's name. No shell.
    pub argv: Vec<String>,
    /// On the operator's machine, rather than as a unit on the lane's node.
    pub on_control: bool,
}

impl Act for RunCommand {
    fn describe(&self) -> String {
        let place = if self.on_control { "on this machine" } else { "on the node" };
        format!("run {} ({place})", self.argv.join(" "))
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "it has not run yet")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let argv: Vec<String> = self.argv.iter().map(|word| word.replace("{node}", site.subject())).collect();
        if self.on_control { Effect::Operator { argv } } else { job(On::Lane, Script::Run, argv) }
    }

    fn undo(&self) -> String {
        "Windlass does not know how to undo it".to_owned()
    }

    fn estimate(&self) -> u64 {
        5
    }
}
