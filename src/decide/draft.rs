//! Stages and procedures of a plan that is being drawn: each procedure is stored once, and lanes are bindings of it.

use super::action::Action;
use super::plan::{Lane, Stage, Step, Wave};
use crate::inventory::{Node, NodeName};

/// What is drawn so far.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) procedures: Vec<Vec<Step>>,
    pub(super) stages: Vec<Stage>,
}

impl Draft {
    /// A lane of these steps; of the cluster as a whole without a node.
    pub(super) fn lane(&mut self, node: Option<&NodeName>, steps: Vec<Step>) -> Lane {
        let procedure = self.procedures.iter().position(|known| *known == steps).unwrap_or_else(|| {
            self.procedures.push(steps);
            self.procedures.len() - 1
        });
        Lane { node: node.cloned(), procedure }
    }

    /// A stage of these waves, unless all of them are empty.
    pub(super) fn stage(&mut self, name: &str, waves: Vec<Vec<Lane>>) {
        let waves: Vec<Wave> =
            waves.into_iter().filter(|lanes| !lanes.is_empty()).map(|lanes| Wave { lanes }).collect();
        if !waves.is_empty() {
            self.stages.push(Stage { name: name.to_owned(), waves });
        }
    }

    /// A stage of all of these nodes at the same time, each with its own steps; those without any are left out.
    pub(super) fn together<'a, Steps: IntoIterator<Item = Step>>(
        &mut self,
        name: &str,
        nodes: impl Iterator<Item = &'a Node>,
        steps: impl Fn(&'a Node) -> Steps,
    ) {
        let steps = |node: &'a Node| (node, steps(node).into_iter().collect::<Vec<Step>>());
        let lanes = nodes.map(steps).filter(|(_, steps)| !steps.is_empty());
        let lanes: Vec<Lane> = lanes.map(|(node, steps)| self.lane(Some(&node.name), steps)).collect();
        self.stage(name, vec![lanes]);
    }

    /// A stage of one lane: of a node, or of the cluster as a whole.
    pub(super) fn alone(&mut self, name: &str, node: Option<&NodeName>, steps: Vec<Step>) {
        let lane = self.lane(node, steps);
        self.stage(name, vec![vec![lane]]);
    }
}

/// A step.
pub(super) fn step(name: &str, timeout_seconds: u64, action: impl Into<Action>) -> Step {
    Step { name: name.to_owned(), timeout_seconds, action: action.into() }
}
