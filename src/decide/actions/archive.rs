//! The archive of a node, before anything on it is changed.

use serde::{Deserialize, Serialize};

use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::call::Script;
use crate::decide::look::{Look, MachineQuestion, Question, Sight, seen};
use crate::facts::ask::Section;

/// Archives the node's configuration on the node: `/etc/kubernetes`, the kubelet's, etcd's, package versions and holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveNode {
    /// etcd's systemd unit, when the node runs a member.
    pub service: Option<String>,
    /// Further files, as etcd's environment file.
    pub paths: Vec<String>,
}

impl Act for ArchiveNode {
    fn describe(&self) -> String {
        let etcd = if self.service.is_some() { "etcd's and " } else { "" };
        format!("archive {etcd}Kubernetes' configuration, package versions and holds on the node")
    }

    fn question(&self, _: Site<'_>) -> Question {
        let machine = MachineQuestion { sections: &[Section::Kept], packages: Vec::new() };
        Question { machine: Some(machine), ..Question::default() }
    }

    fn look(&self, site: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "the archive");
        let kept = seen!(machine.kept, "the archive");
        match kept.archives.get(&site.run.0) {
            Some(_) => Look::Done,
            None => Look::Ready("it is not archived yet".to_owned()),
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let nothing = || "-".to_owned();
        let paths = if self.paths.is_empty() { nothing() } else { self.paths.join(",") };
        job(On::Lane, Script::Archive, [site.run.to_string(), self.service.clone().unwrap_or_else(nothing), paths])
    }

    fn undo(&self) -> String {
        "nothing to undo: the archive is kept until `windlass upgrade finish`".to_owned()
    }

    fn estimate(&self) -> u64 {
        1
    }
}
