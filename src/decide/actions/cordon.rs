//! Cordons that carry their owner, drains that respect budgets, and the uncordon of what is ours only.

use serde::{Deserialize, Serialize};

use super::packages::trusted;
use crate::decide::action::{Act, Action, Effect, Moment, On, Site, job};
use crate::decide::call::Script;
use crate::decide::look::{ApiQuestion, Look, Question, Sight, Via, seen};
use crate::facts::KubeNode;
use crate::facts::ask::ApiSection;

/// Cordons the node as ours: `unschedulable` and the owner's annotation in one conditional patch. A node that somebody
/// else cordoned is left as it is, and stays cordoned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cordon {}

impl Act for Cordon {
    fn describe(&self) -> String {
        "cordon, with our name on it".to_owned()
    }

    fn question(&self, site: Site<'_>) -> Question {
        node_question(site)
    }

    fn look(&self, site: Site<'_>, _: Moment, sight: &Sight) -> Look {
        match node(site, sight) {
            Err(look) => look,
            Ok(node) if node.unschedulable => Look::Done,
            Ok(_) => Look::Ready("it is schedulable".to_owned()),
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        job(On::AnotherControlPlane, Script::Cordon, [site.subject().to_owned(), site.run.to_string()])
    }

    fn undo(&self) -> String {
        "uncordon".to_owned()
    }

    fn estimate(&self) -> u64 {
        1
    }

    fn serves(&self, later: &Action) -> bool {
        matches!(later, Action::Drain(_)) || raises_kubelet(later)
    }
}

/// Evicts what runs on the node. Disruption budgets and grace periods are kept: an eviction that a budget forbids is tried
/// again until the time is over, and then the drain has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// How long it may take, in seconds; the longest grace period on the node if that is longer.
    pub timeout_seconds: u64,
    /// Pods that keep data in an emptyDir lose it.
    pub delete_emptydir_data: bool,
    /// Pods that no controller brings back are deleted.
    pub force: bool,
}

impl Act for Drain {
    fn describe(&self) -> String {
        let mut how = vec![format!("at most {}", crate::text::seconds(self.timeout_seconds))];
        if self.delete_emptydir_data {
            how.push("deleting emptyDir data".to_owned());
        }
        if self.force {
            how.push("deleting pods without a controller".to_owned());
        }
        format!("drain ({})", how.join(", "))
    }

    fn question(&self, site: Site<'_>) -> Question {
        node_question(site)
    }

    fn look(&self, site: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        match node(site, sight) {
            Err(look) => look,
            Ok(node) if !node.unschedulable => Look::Drifted(format!("{} was uncordoned by somebody else", node.name)),
            Ok(_) => trusted(moment, "pods may still run on it"),
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let yes = |on: bool| if on { "yes" } else { "no" }.to_owned();
        job(
            On::AnotherControlPlane,
            Script::Drain,
            [
                site.subject().to_owned(),
                self.timeout_seconds.to_string(),
                yes(self.delete_emptydir_data),
                yes(self.force),
            ],
        )
    }

    fn undo(&self) -> String {
        "uncordon; the scheduler places new pods".to_owned()
    }

    fn estimate(&self) -> u64 {
        20
    }

    fn serves(&self, later: &Action) -> bool {
        raises_kubelet(later)
    }
}

/// Uncordons the node if the cordon is ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uncordon {}

impl Act for Uncordon {
    fn describe(&self) -> String {
        "uncordon, if we cordoned it".to_owned()
    }

    fn question(&self, site: Site<'_>) -> Question {
        node_question(site)
    }

    fn look(&self, site: Site<'_>, _: Moment, sight: &Sight) -> Look {
        match node(site, sight) {
            Err(look) => look,
            Ok(node) if node.cordoned_by.as_deref() == Some(site.run.0.as_str()) => {
                Look::Ready("it is cordoned by this run".to_owned())
            }
            Ok(_) => Look::Done,
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        job(On::AnotherControlPlane, Script::Uncordon, [site.subject().to_owned(), site.run.to_string()])
    }

    fn undo(&self) -> String {
        "cordon".to_owned()
    }

    fn estimate(&self) -> u64 {
        1
    }
}

/// Whether an action brings or starts a new kubelet.
fn raises_kubelet(action: &Action) -> bool {
    match action {
        Action::RestartKubelet(_) => true,
        Action::InstallPackages(install) => install.packages.iter().any(|package| package.name == "kubelet"),
        _ => false,
    }
}

/// The lane's Node object, through another control plane.
pub(super) fn node_question(site: Site<'_>) -> Question {
    let api = ApiQuestion { via: Via::AnotherControlPlane, sections: &[ApiSection::Nodes], node: site.node.cloned() };
    Question { api: Some(api), ..Question::default() }
}

/// The lane's Node object in what was seen.
pub(super) fn node<'a>(site: Site<'_>, sight: &'a Sight) -> Result<&'a KubeNode, Look> {
    let find = || -> Look {
        let _ = seen!(sight.api, "the API");
        Look::Drifted(format!("the API knows no node {}", site.subject()))
    };
    let nodes = sight.api.known().map(|api| &api.nodes);
    nodes.and_then(|nodes| nodes.iter().find(|node| node.name == site.subject())).ok_or_else(find)
}
