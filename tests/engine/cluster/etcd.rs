//! etcd in memory: members, leadership, and snapshots that can be made bad.

use camino::Utf8Path;
use semver::Version;
use windlass::facts::{EtcdFacts, MemberStatus, Seen};
use windlass::inventory::NodeName;
use windlass::remote::{HashKv, ListedMember, MemberList, RemoteError, SnapshotContents, SnapshotWanted};

use super::State;

/// How a snapshot is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoil {
    OlderRevision,
    OtherMembers,
    NoRegistryKeys,
    UnequalHashes,
}

impl State {
    pub(crate) fn etcd(&mut self) -> &mut EtcdFacts {
        match &mut self.facts.etcd {
            Seen::Known(etcd) => etcd,
            Seen::Unknown(why) => panic!("{why}"),
        }
    }

    /// The position of the node's member.
    fn member_at(&mut self, node: &str) -> usize {
        let at = self.etcd().members.iter().position(|member| member.node.as_ref().is_some_and(|n| n.as_str() == node));
        at.unwrap_or_else(|| panic!("{node} has no member of etcd"))
    }

    pub(crate) fn status_of(&mut self, node: &str) -> &mut MemberStatus {
        let at = self.member_at(node);
        match &mut self.etcd().members[at].status {
            Seen::Known(status) => status,
            Seen::Unknown(why) => panic!("{why}"),
        }
    }

    pub(super) fn leads(&mut self, node: &str) -> bool {
        let status = self.status_of(node);
        status.leader == status.member_id
    }

    /// The first other member leads, in a new term.
    pub(super) fn lead_elsewhere(&mut self, node: &str) {
        let own = self.status_of(node).member_id;
        let next = self.etcd().members.iter().map(|member| member.id).find(|id| *id != own).unwrap();
        for member in &mut self.etcd().members {
            if let Seen::Known(status) = &mut member.status {
                status.leader = next;
                status.raft_term += 1;
            }
        }
    }

    pub(super) fn others_answer(&mut self, node: &str) -> bool {
        let names: Vec<String> =
            self.etcd().members.iter().filter_map(|member| member.node.as_ref().map(ToString::to_string)).collect();
        names.iter().filter(|name| *name != node).all(|name| !self.extra[name].member_away && !self.extra[name].cut_off)
    }

    /// The member runs `version` from now on.
    pub(super) fn member_runs(&mut self, node: &str, version: &Version) {
        self.status_of(node).version = version.clone();
        if let Seen::Known(Some(process)) = &mut self.machine(node).etcd {
            process.server_version = Seen::Known(version.clone());
        }
    }

    pub(super) fn members_agree(&mut self) -> bool {
        let versions: Vec<Version> = self
            .etcd()
            .members
            .iter()
            .filter_map(|member| member.status.known().map(|status| status.version.clone()))
            .collect();
        versions.windows(2).all(|pair| pair[0] == pair[1])
    }

    pub(super) fn etcd_cluster_rises(&mut self) {
        let at_once = self.etcd_version_rises_at_once;
        for node in &mut self.facts.nodes {
            if let Seen::Known(machine) = &mut node.machine
                && let Seen::Known(Some(process)) = &mut machine.etcd
                && let Seen::Known(version) = &process.server_version
            {
                let minor = if at_once { 5 } else { version.minor };
                process.cluster_version = Seen::Known(Version::new(version.major, minor, 0));
            }
        }
    }

    fn silent(&self, node: &NodeName) -> Option<RemoteError> {
        let away = self.extra(node).member_away;
        away.then(|| RemoteError::Etcd { node: node.clone(), what: "connection refused".to_owned() })
    }

    pub(super) fn etcd_members(&mut self, node: &NodeName) -> Result<MemberList, RemoteError> {
        if let Some(error) = self.silent(node) {
            return Err(error);
        }
        let etcd = self.etcd();
        let listed = |member: &windlass::facts::EtcdMember| ListedMember {
            id: member.id,
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            client_urls: member.client_urls.clone(),
            learner: member.learner,
        };
        let members = etcd.members.iter().map(listed).collect();
        Ok(MemberList { cluster_id: etcd.cluster_id, members, alarms: etcd.alarms.clone() })
    }

    pub(super) fn etcd_status(&mut self, node: &NodeName) -> Result<MemberStatus, RemoteError> {
        match self.silent(node) {
            Some(error) => Err(error),
            None => Ok(self.status_of(node.as_str()).clone()),
        }
    }

    pub(super) fn etcd_hash(&mut self, node: &NodeName, revision: u64) -> HashKv {
        let odd = self.spoil == Some(Spoil::UnequalHashes) && node.as_str() == "etcd3";
        let hash = u32::try_from(revision).unwrap() + u32::from(odd);
        HashKv { hash, compact_revision: 7 }
    }

    pub(super) fn etcd_snapshot(
        &mut self,
        node: &NodeName,
        into: &Utf8Path,
        wanted: &SnapshotWanted,
    ) -> Result<SnapshotContents, RemoteError> {
        assert_eq!(into.extension(), Some("db"), "{into}");
        if let Some(error) = self.silent(node) {
            return Err(error);
        }
        self.snapshots += 1;
        let mut members: Vec<u64> = self.etcd().members.iter().map(|member| member.id).collect();
        members.sort_unstable();
        let revision = self.status_of(node.as_str()).revision;
        let mut contents = SnapshotContents {
            bytes: 4096,
            sha256: "aa".repeat(32),
            file_sha256: "bb".repeat(32),
            revision,
            registry_keys: 200,
            members,
        };
        match self.spoil {
            Some(Spoil::OlderRevision) => contents.revision -= 1,
            Some(Spoil::OtherMembers) => contents.members[0] += 1,
            Some(Spoil::NoRegistryKeys) => contents.registry_keys = 0,
            Some(Spoil::UnequalHashes) | None => {}
        }
        match wanted.fault(&contents) {
            Some(why) => Err(RemoteError::BadSnapshot { node: node.clone(), why }),
            None => Ok(contents),
        }
    }
}
