//! A restore of etcd: the snapshot sent to each member, what still lives saved, the members stopped, their data
//! replaced, all of them started together, and the wait until they are whole. A stacked member is stopped and started as a static
//! pod (`renew.rs`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::packages::trusted;
use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::call::Script;
use crate::decide::look::{Look, MachineQuestion, Question, Sight, seen};
use crate::facts::ask::Section;

/// The folder on nodes, below Windlass's own, that snapshots are put into.
const FOLDER: &str = "snapshots";

/// Sends the snapshot to a member's machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendSnapshot {
    /// Its file on the operator's machine, absolute.
    pub file: String,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What the file with this SHA-256 is called on nodes. The hash in it: a name is never used for two files.
pub fn sent_name(sha256: &str) -> String {
    format!("restore-{}.db", sha256.get(..16).unwrap_or(sha256))
}

impl Act for SendSnapshot {
    fn describe(&self) -> String {
        format!("send the snapshot to the node: {}, SHA-256 {}", crate::text::bytes(self.bytes), self.sha256)
    }

    fn question(&self, _: Site<'_>) -> Question {
        machine(&[Section::Kept])
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "what the node keeps");
        let kept = seen!(machine.kept, "what the node keeps");
        match kept.snapshots.get(&sent_name(&self.sha256)) {
            Some(bytes) if *bytes == self.bytes => Look::Done,
            _ => Look::Ready("it is not there yet".to_owned()),
        }
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        Effect::Send {
            file: self.file.clone(),
            name: format!("{FOLDER}/{}", sent_name(&self.sha256)),
            sha256: self.sha256.clone(),
            bytes: self.bytes,
        }
    }

    fn estimate(&self) -> u64 {
        2
    }
}

/// Takes a snapshot of every member that still answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaveWhatLives {}

impl Act for SaveWhatLives {
    fn describe(&self) -> String {
        "take a snapshot of every member that still answers to this machine".to_owned()
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "what still lives is not saved yet")
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        Effect::Salvage
    }

    fn undo(&self) -> String {
        "nothing to undo: snapshots are kept".to_owned()
    }

    fn estimate(&self) -> u64 {
        5
    }
}

/// Stops a member and keeps it from being started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopEtcd {
    /// The systemd unit.
    pub service: String,
}

impl Act for StopEtcd {
    fn describe(&self) -> String {
        "stop etcd, and keep it from being started".to_owned()
    }

    fn question(&self, _: Site<'_>) -> Question {
        machine(&[Section::Etcd])
    }

    /// One that does not run may still be started by something: it is always acted.
    fn look(&self, _: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "etcd");
        let etcd = seen!(machine.etcd, "etcd");
        match (moment, etcd) {
            (Moment::After, None) => Look::Done,
            (Moment::After, Some(etcd)) if !etcd.running => Look::Done,
            _ => Look::Ready("it may run, or be started".to_owned()),
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        job(On::Lane, Script::StopEtcd, [site.run.to_string(), self.service.clone()])
    }

    fn undo(&self) -> String {
        "the step that starts it again lets it be started".to_owned()
    }

    fn estimate(&self) -> u64 {
        2
    }
}

/// Replaces a member's data by the snapshot's; the former ones are kept beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreMember {
    /// The systemd unit; nothing for a stacked member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its data directory.
    pub data_dir: String,
    /// The directory of its write-ahead log, where it has one of its own.
    pub wal_dir: Option<String>,
    /// SHA-256 of the snapshot's file, hex.
    pub sha256: String,
    /// The program that restores, a path on the node.
    pub tool: String,
    /// By how much revisions are raised, and what was before marked compacted; nothing where etcd cannot.
    pub bump: Option<u64>,
    /// The member's name.
    pub name: String,
    /// Its peer URLs.
    pub peer_urls: Vec<String>,
    /// Names and peer URLs of all members: the same for each.
    pub members: Vec<(String, String)>,
}

impl RestoreMember {
    /// As etcd's `--initial-cluster` has them.
    pub fn cluster(&self) -> String {
        let named = self.members.iter().map(|(name, url)| format!("{name}={url}"));
        named.collect::<Vec<_>>().join(",")
    }
}

impl Act for RestoreMember {
    fn describe(&self) -> String {
        let bump = match self.bump {
            Some(bump) => format!("revisions raised by {bump}, all before marked compacted"),
            None => "revisions as they were".to_owned(),
        };
        format!("set {}/member aside and restore the snapshot in its place ({bump})", self.data_dir)
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "the former data are in their place")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let word = |word: Option<String>| word.unwrap_or_else(|| "-".to_owned());
        let args = [
            site.run.to_string(),
            word(self.service.clone()),
            self.data_dir.clone(),
            word(self.wal_dir.clone()),
            sent_name(&self.sha256),
            self.sha256.clone(),
            self.tool.clone(),
            word(self.bump.map(|bump| bump.to_string())),
            self.name.clone(),
            self.peer_urls.join(","),
            self.cluster(),
        ];
        job(On::Lane, Script::RestoreMember, args)
    }

    fn undo(&self) -> String {
        "the former data are kept beside the new ones, as member.before-RUN, until `windlass etcd restore finish --forget-old-data`".to_owned()
    }

    fn estimate(&self) -> u64 {
        5
    }
}

/// Lets a member run again, on its new data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartEtcd {
    /// The systemd unit.
    pub service: String,
}

impl Act for StartEtcd {
    fn describe(&self) -> String {
        "start etcd".to_owned()
    }

    fn question(&self, _: Site<'_>) -> Question {
        machine(&[Section::Etcd])
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "etcd");
        match seen!(machine.etcd, "etcd") {
            Some(etcd) if etcd.running => Look::Done,
            _ => Look::Ready("it does not run".to_owned()),
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        job(On::Lane, Script::StartEtcd, [site.run.to_string(), self.service.clone()])
    }

    fn estimate(&self) -> u64 {
        2
    }
}

/// Waits until the restored members are one healthy cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitRestored {
    /// Names of the members: these and no others.
    pub members: Vec<String>,
    /// The cluster that was before, which it must not be; nothing where none answered.
    pub not_cluster: Option<u64>,
    /// The revision that they start from.
    pub revision: u64,
}

/// A leader that has just been elected is not yet one that stays.
const STEADY: Duration = Duration::from_secs(2);

impl Act for AwaitRestored {
    fn describe(&self) -> String {
        format!(
            "wait: {} healthy, one leader, a cluster of their own, at revision {} or later",
            crate::text::list(&self.members, "and"),
            self.revision
        )
    }

    fn question(&self, _: Site<'_>) -> Question {
        Question { etcd: true, ..Question::default() }
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let etcd = match &sight.etcd {
            crate::facts::Seen::Known(etcd) => etcd,
            crate::facts::Seen::Unknown(why) => return Look::NotYet(why.clone()),
        };
        if self.not_cluster == Some(etcd.cluster_id) {
            return Look::Drifted("the former cluster answers: its data were not replaced".to_owned());
        }
        // A member names itself once it has joined.
        let mut names: Vec<&str> = etcd.members.iter().map(|member| member.name.as_str()).collect();
        names.sort_unstable();
        let mut wanted: Vec<&str> = self.members.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        if names.len() != wanted.len() {
            return Look::Drifted(format!("it has other members than were restored: {}", names.join(", ")));
        }
        if names != wanted {
            return Look::NotYet(format!("it has the members {}", names.join(", ")));
        }
        if let Some(why) = etcd.members.iter().find_map(crate::facts::EtcdMember::unhealthy) {
            return Look::NotYet(why);
        }
        if let Err(why) = super::etcd::agreed_leader(etcd, None) {
            return Look::NotYet(why);
        }
        let behind =
            etcd.members.iter().filter_map(|member| member.status.known()).find(|it| it.revision < self.revision);
        match behind {
            Some(status) => {
                Look::Drifted(format!("a member is at revision {}, before the snapshot's", status.revision))
            }
            None => Look::Done,
        }
    }

    fn estimate(&self) -> u64 {
        6
    }

    fn steady(&self) -> Duration {
        STEADY
    }

    fn fingerprint(&self, sight: &Sight) -> String {
        super::etcd::leadership(sight)
    }
}

/// A probe of the lane's node.
pub(super) fn machine(sections: &'static [Section]) -> Question {
    Question { machine: Some(MachineQuestion { sections, packages: Vec::new() }), ..Question::default() }
}
