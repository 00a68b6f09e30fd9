//! Members of an external etcd form a cluster: all are started together, and told afterwards that it exists.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::actions::packages::trusted;
use crate::decide::call::Script;
use crate::decide::look::{Look, MachineQuestion, Question, Sight, seen};
use crate::facts::ask::Section;

/// Makes this machine's etcd a member of a cluster that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormMember {
    /// The systemd unit.
    pub service: String,
    /// The service's environment file, which is written anew.
    pub env_file: String,
    /// Where its data go.
    pub data_dir: String,
    /// The file's settings, by their names.
    pub settings: BTreeMap<String, String>,
}

impl Act for FormMember {
    fn describe(&self) -> String {
        format!(
            "write {} ({} settings), start {} with the others; data that its package has made are kept aside",
            self.env_file,
            self.settings.len(),
            self.service
        )
    }

    fn question(&self, _: Site<'_>) -> Question {
        let machine = MachineQuestion { sections: &[Section::Etcd], packages: Vec::new() };
        Question { machine: Some(machine), ..Question::default() }
    }

    /// Whether it is a member shows when most of them run: that is waited for afterwards, of all.
    fn look(&self, _: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        if moment == Moment::Before {
            return Look::Ready("it is no member yet".to_owned());
        }
        let machine = seen!(sight.machine, "the machine");
        match seen!(machine.etcd, "etcd's process") {
            Some(process) if process.running => Look::Done,
            _ => Look::NotYet(format!("{} does not run", self.service)),
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let args = [self.service.clone(), self.env_file.clone(), self.data_dir.clone(), site.run.to_string()];
        let settings = self.settings.iter().map(|(name, value)| format!("{name}={value}"));
        job(On::Lane, Script::MemberForm, args.into_iter().chain(settings))
    }

    fn undo(&self) -> String {
        format!("stop {} on each machine; data of before are kept as {}/member.before-…", self.service, self.data_dir)
    }

    fn estimate(&self) -> u64 {
        3
    }
}

/// Writes down that the cluster exists: a member whose data are lost then joins it, and begins none of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettleMember {
    /// The service's environment file.
    pub env_file: String,
}

impl Act for SettleMember {
    fn describe(&self) -> String {
        format!("write ETCD_INITIAL_CLUSTER_STATE=existing into {}, without a restart", self.env_file)
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "it says that the cluster begins")
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::MemberConfig, [self.env_file.as_str(), "INITIAL_CLUSTER_STATE", "existing"])
    }

    fn estimate(&self) -> u64 {
        1
    }
}
