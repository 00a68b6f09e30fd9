//! Archives: each node that is changed is archived once, before everything else. Stages that do nothing but archive become
//! one, whichever playbooks they come from.

use std::collections::BTreeSet;

use super::Draft;
use crate::decide::action::Action;
use crate::decide::plan::{Lane, Stage, Wave};
use crate::inventory::NodeName;

impl Draft {
    /// Takes all archives out, as one stage without the nodes that nothing happens to.
    pub(super) fn take_archives(&mut self) -> Option<Stage> {
        let stages = std::mem::take(&mut self.stages);
        let archives = |stage: &Stage| self.steps(stage).all(|step| matches!(step.action, Action::ArchiveNode(_)));
        let (archives, rest): (Vec<Stage>, Vec<Stage>) = stages.into_iter().partition(archives);
        let changed: BTreeSet<NodeName> = rest.iter().flat_map(|stage| self.changed(stage)).collect();
        let mut known: BTreeSet<NodeName> = BTreeSet::new();
        let name = archives.first().map(|stage| stage.name.clone());
        let lanes: Vec<Lane> = archives
            .into_iter()
            .flat_map(|stage| stage.waves)
            .flat_map(|wave| wave.lanes)
            .filter(|lane| lane.node.as_ref().is_some_and(|node| changed.contains(node) && known.insert(node.clone())))
            .collect();
        self.stages = rest;
        name.filter(|_| !lanes.is_empty()).map(|name| Stage { name, waves: vec![Wave { lanes }] })
    }

    /// The nodes that the stage changes.
    fn changed(&self, stage: &Stage) -> Vec<NodeName> {
        let lanes = stage.waves.iter().flat_map(|wave| &wave.lanes);
        let changes = |lane: &&Lane| self.procedures[lane.procedure].iter().any(|step| step.action.changes_cluster());
        lanes.filter(changes).filter_map(|lane| lane.node.clone()).collect()
    }
}
