//! etcd: members, terms and leaders, quorum, writes, the cluster version, and the data that lets an old binary refuse to start.

use semver::Version;
use windlass::facts::version::parse_version;
use windlass::facts::{Alarm, EtcdMember, MemberStatus, Seen};
use windlass::remote::{HashKv, ListedMember, MemberList, SnapshotContents, SnapshotWanted};

use super::{At, Happened, Later, SECOND, World};

/// How long a member's process is away when it is restarted.
const RESTART_MS: u64 = 1500;
/// How often the leader compares its members' versions: etcd's `monitorVersionInterval`.
const COMPARES: u32 = 4;

/// Keys in each snapshot.
const KEYS: u64 = 450;
/// The revision below which the members' history is compacted.
const COMPACTED: u64 = 7;

/// How a snapshot is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoil {
    OlderRevision,
    OtherMembers,
    NoRegistryKeys,
    UnequalHashes,
    /// Etcd comes to life on it with a key too many.
    Proof,
    /// It cannot be written down on the operator's machine.
    NoRoomHere,
}

/// How a member is not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sick {
    /// Its process does not start.
    Silent,
    /// It answers, and is not healthy.
    Unhealthy,
}

/// A member.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is true or not whatever the others are")]
pub(crate) struct Member {
    /// Its machine.
    pub(crate) at: At,
    pub(crate) told: EtcdMember,
    /// What its process is; `None` while none runs.
    pub(crate) runs: Option<Version>,
    /// It does not answer, though its process is there.
    pub(crate) away: bool,
    /// The cluster version that it knows of, also on its disk.
    pub(crate) cluster: Version,
    /// Entries of its log that are on its disk.
    pub(crate) log: u64,
    /// Its binary refused its data.
    pub(crate) refused: bool,
    /// It is kept from being started.
    pub(crate) blocked: bool,
    /// The run that restored its data.
    pub(crate) restored: Option<String>,
    /// It is in the list of members.
    pub(crate) listed: bool,
    /// The tag of the image that its manifest names, where it is a static pod.
    pub(crate) manifest: Option<String>,
    /// The job that is about to stop its pod.
    pub(crate) stopped_by: Option<usize>,
}

impl Member {
    /// It is in the list, and votes.
    pub(crate) fn votes(&self) -> bool {
        self.listed && !self.told.learner
    }
}

/// The members, and who leads them.
#[derive(Clone)]
pub(crate) struct Etcd {
    pub(crate) cluster_id: u64,
    pub(crate) members: Vec<Member>,
    pub(crate) leader: Option<usize>,
    pub(crate) term: u64,
    /// Writes that were acknowledged to somebody.
    pub(crate) acknowledged: u64,
    /// How the next snapshots are bad.
    pub(crate) spoil: Option<Spoil>,
    /// Snapshots that were taken.
    pub(crate) snapshots: u32,
    /// Members that were added behind our back.
    pub(crate) strangers: Vec<EtcdMember>,
    pub(crate) alarms: Vec<Alarm>,
    /// A member that is not well at a version, and how.
    pub(crate) sick: Option<(usize, Version, Sick)>,
    electing: bool,
    base: MemberStatus,
}

impl Etcd {
    pub(super) fn new(cluster_id: u64, members: Vec<Member>, alarms: Vec<Alarm>) -> Self {
        let base = match &members[0].told.status {
            Seen::Known(status) => status.clone(),
            Seen::Unknown(why) => panic!("{why}"),
        };
        let leader = members.iter().position(|member| member.told.id == base.leader);
        let term = base.raft_term;
        Self {
            cluster_id,
            members,
            leader,
            term,
            acknowledged: 0,
            spoil: None,
            snapshots: 0,
            strangers: Vec::new(),
            alarms,
            sick: None,
            electing: false,
            base,
        }
    }

    fn quorum(&self) -> usize {
        self.members.iter().filter(|member| member.votes()).count() / 2 + 1
    }
}

impl World {
    pub(crate) fn member_of(&self, at: At) -> Option<usize> {
        self.etcd.members.iter().position(|member| member.at == at)
    }

    /// The member on the machine of this name.
    pub(crate) fn member(&mut self, name: &str) -> &mut Member {
        let member = self.member_of(self.at(name)).expect("a member");
        &mut self.etcd.members[member]
    }

    /// A member stops answering, or answers again, without our doing.
    pub(crate) fn member_away(&mut self, member: usize, away: bool) {
        self.etcd.members[member].away = away;
        if !away {
            self.catch_up();
            self.after(SECOND * COMPARES, Later::Versions);
        }
        self.happened(Happened::Fault);
    }

    /// The member's process runs and reaches its peers.
    pub(crate) fn member_answers(&self, member: usize) -> bool {
        let known = &self.etcd.members[member];
        known.runs.is_some() && !known.away && self.machines[known.at].up
    }

    /// Members that vote and answer.
    fn answering(&self) -> usize {
        (0..self.etcd.members.len()).filter(|member| self.can_vote(*member)).count()
    }

    fn can_vote(&self, member: usize) -> bool {
        self.etcd.members[member].votes() && self.member_answers(member)
    }

    /// A linearizable read of the member works.
    pub(crate) fn member_healthy(&self, member: usize) -> bool {
        let runs = self.etcd.members[member].runs.as_ref();
        let sick = runs.is_some_and(|runs| self.is_sick(member, Sick::Unhealthy, runs));
        self.member_answers(member) && self.etcd_serves() && !sick
    }

    /// There is a leader with a quorum.
    pub(crate) fn etcd_serves(&self) -> bool {
        self.etcd.leader.is_some_and(|leader| self.member_answers(leader)) && self.answering() >= self.etcd.quorum()
    }

    /// A leader that lost its quorum or its life leads no more; with a quorum another is chosen after a while.
    pub(super) fn etcd_settles(&mut self) {
        if self.etcd.leader.is_some() && !self.etcd_serves() {
            self.etcd.leader = None;
        }
        if self.etcd.leader.is_none() && !self.etcd.electing && self.answering() >= self.etcd.quorum() {
            self.etcd.electing = true;
            let wait = 1000 + (self.etcd.term * 700) % 1500;
            self.after(std::time::Duration::from_millis(wait), Later::Election(self.etcd.term));
        }
    }

    pub(super) fn election(&mut self, term: u64) {
        self.etcd.electing = false;
        if self.etcd.leader.is_some() || term != self.etcd.term || self.answering() < self.etcd.quorum() {
            return;
        }
        // Only who has everything that was acknowledged can win; who of them does, changes with the term.
        let able: Vec<usize> = (0..self.etcd.members.len()).filter(|member| self.can_vote(*member)).collect();
        let most = able.iter().map(|member| self.etcd.members[*member].log).max().unwrap_or(0);
        let able: Vec<usize> = able.into_iter().filter(|member| self.etcd.members[*member].log == most).collect();
        let pick = usize::try_from(term).unwrap_or(0) % able.len();
        self.lead(able[pick]);
    }

    fn lead(&mut self, member: usize) {
        self.etcd.term += 1;
        self.etcd.leader = Some(member);
        self.catch_up();
        self.after(SECOND * COMPARES, Later::Versions);
    }

    /// Whoever answers has what the leader has.
    pub(super) fn catch_up(&mut self) {
        let Some(leader) = self.etcd.leader else { return };
        let (log, cluster) = (self.etcd.members[leader].log, self.etcd.members[leader].cluster.clone());
        for member in 0..self.etcd.members.len() {
            if self.etcd.members[member].listed && self.member_answers(member) {
                let known = &mut self.etcd.members[member];
                known.log = log;
                if known.cluster < cluster {
                    known.cluster = cluster.clone();
                }
            }
        }
    }

    pub(super) fn somebody_writes(&mut self) {
        if let Some(leader) = self.etcd.leader.filter(|_| self.etcd_serves()) {
            self.etcd.members[leader].log += 1;
            self.catch_up();
            self.etcd.acknowledged = self.etcd.members[leader].log;
        }
        self.after(SECOND, Later::Write);
    }

    pub(super) fn compare_versions(&mut self) {
        let listed = |member: &usize| self.etcd.members[*member].listed;
        let all = (0..self.etcd.members.len()).filter(listed).all(|member| self.member_answers(member));
        let lowest = self.etcd.members.iter().filter_map(|member| member.runs.clone()).min();
        let (true, Some(lowest), Some(leader)) = (all && self.etcd.strangers.is_empty(), lowest, self.etcd.leader)
        else {
            return;
        };
        let version = Version::new(lowest.major, lowest.minor, 0);
        if version > self.etcd.members[leader].cluster {
            self.etcd.members[leader].cluster = version;
            for member in 0..self.etcd.members.len() {
                let delay = u64::try_from(member).unwrap_or(0) * 400;
                self.after(std::time::Duration::from_millis(delay), Later::ClusterVersion(member));
            }
        }
    }

    pub(super) fn cluster_version_rises(&mut self, member: usize) {
        if let Some(leader) = self.etcd.leader
            && self.member_answers(member)
        {
            self.etcd.members[member].cluster = self.etcd.members[leader].cluster.clone();
        }
    }

    fn is_sick(&self, member: usize, how: Sick, at: &Version) -> bool {
        self.etcd.sick.as_ref().is_some_and(|sick| *sick == (member, at.clone(), how))
    }

    pub(super) fn member_stops(&mut self, member: usize) {
        if self.etcd.members[member].runs.take().is_some() {
            let led = self.etcd.leader == Some(member);
            self.happened(Happened::MemberStopped { member, led, by: self.acting });
            self.settle();
        }
    }

    pub(super) fn members_stop_with(&mut self, at: At) {
        if let Some(member) = self.member_of(at) {
            self.member_stops(member);
        }
    }

    pub(super) fn members_start_with(&mut self, at: At) {
        if let Some(member) = self.member_of(at) {
            self.member_starts(member, self.machines[at].boot);
        }
    }

    pub(super) fn member_restarts(&mut self, member: usize) {
        self.member_stops(member);
        self.member_starts_soon(member);
    }

    pub(super) fn member_starts_soon(&mut self, member: usize) {
        let boot = self.machines[self.etcd.members[member].at].boot;
        self.after(std::time::Duration::from_millis(RESTART_MS), Later::MemberStarts(member, boot));
    }

    pub(super) fn member_starts(&mut self, member: usize, boot: u32) {
        let machine = &self.machines[self.etcd.members[member].at];
        // Who was removed ends at once; who was added and never joined has no data to start with.
        let known = &self.etcd.members[member];
        let starts = known.listed && !known.told.name.is_empty();
        if machine.boot != boot || !machine.up || known.runs.is_some() || known.blocked || !starts {
            return;
        }
        // A stacked one's version is its image's.
        let image = || parse_version(known.manifest.as_deref().expect("a manifest")).expect("a version");
        let version = machine.etcd().unwrap_or_else(image);
        if self.is_sick(member, Sick::Silent, &version) {
            return;
        }
        let known = &mut self.etcd.members[member];
        if (version.major, version.minor) < (known.cluster.major, known.cluster.minor) {
            known.refused = true;
            return;
        }
        known.runs = Some(version);
        self.catch_up();
        self.after(SECOND * COMPARES, Later::Versions);
        self.settle();
    }

    /// Hands leadership to another member; says whether there is one to take it.
    pub(super) fn lead_elsewhere(&mut self, member: usize) -> bool {
        if self.etcd.leader != Some(member) {
            return self.etcd_serves();
        }
        let fit = |other: &usize| *other != member && self.can_vote(*other) && self.member_healthy(*other);
        let other = (0..self.etcd.members.len()).find(fit);
        if let Some(other) = other {
            self.lead(other);
        }
        other.is_some()
    }

    /// A read of etcd through the operator's door.
    fn door(&self, at: At) -> Result<usize, String> {
        let member = self.member_of(at).unwrap_or_else(|| panic!("{} has no member of etcd", self.machines[at].name));
        if self.member_answers(member) { Ok(member) } else { Err("connection refused".to_owned()) }
    }

    pub(crate) fn etcd_members(&self, at: At) -> Result<MemberList, String> {
        self.door(at)?;
        let listed = |member: &EtcdMember| ListedMember {
            id: member.id,
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            client_urls: member.client_urls.clone(),
            learner: member.learner,
        };
        let own = self.etcd.members.iter().filter(|member| member.listed).map(|member| &member.told);
        let members = own.chain(&self.etcd.strangers);
        Ok(MemberList {
            cluster_id: self.etcd.cluster_id,
            members: members.map(listed).collect(),
            alarms: self.etcd.alarms.clone(),
            auth: Seen::Known(false),
        })
    }

    pub(crate) fn etcd_status(&self, at: At) -> Result<MemberStatus, String> {
        let member = self.door(at)?;
        let known = &self.etcd.members[member];
        let base = match &known.told.status {
            Seen::Known(status) => status,
            Seen::Unknown(why) => panic!("{why}"),
        };
        let healthy = if known.told.learner {
            Seen::Unknown("etcdserver: rpc not supported for learner".to_owned())
        } else if self.member_healthy(member) {
            Seen::Known(())
        } else {
            Seen::Unknown("etcdserver: no leader".to_owned())
        };
        Ok(MemberStatus {
            member_id: known.told.id,
            version: known.runs.clone().expect("it answers"),
            leader: self.etcd.leader.map_or(0, |leader| self.etcd.members[leader].told.id),
            raft_term: self.etcd.term,
            raft_index: base.raft_index + known.log,
            raft_applied: base.raft_applied + known.log,
            revision: self.etcd.base.revision + known.log,
            healthy,
            ..base.clone()
        })
    }

    pub(crate) fn etcd_hash(&self, at: At, revision: u64) -> Result<HashKv, String> {
        let member = self.door(at)?;
        let odd = self.etcd.spoil == Some(Spoil::UnequalHashes) && member == 2;
        let hash = u32::try_from(revision).expect("a small revision") + u32::from(odd);
        Ok(HashKv { hash, compact_revision: i64::try_from(COMPACTED).expect("a small revision") })
    }

    pub(crate) fn etcd_snapshot(&mut self, at: At, wanted: &SnapshotWanted) -> Result<SnapshotContents, String> {
        let member = self.door(at)?;
        self.etcd.snapshots += 1;
        let listed = self.etcd.members.iter().filter(|member| member.listed);
        let mut members: Vec<u64> = listed.map(|member| member.told.id).collect();
        members.sort_unstable();
        let mut contents = SnapshotContents {
            bytes: 4096,
            sha256: "aa".repeat(32),
            file_sha256: "bb".repeat(32),
            revision: self.etcd.base.revision + self.etcd.members[member].log,
            registry_keys: 200,
            keys: KEYS,
            compact_revision: COMPACTED,
            members,
        };
        match self.etcd.spoil {
            Some(Spoil::OlderRevision) => contents.revision = wanted.revision - 1,
            Some(Spoil::OtherMembers) => contents.members[0] += 1,
            Some(Spoil::NoRegistryKeys) => contents.registry_keys = 0,
            Some(Spoil::UnequalHashes | Spoil::Proof | Spoil::NoRoomHere) | None => {}
        }
        let good = wanted.fault(&contents).is_none() && matches!(self.etcd.spoil, None | Some(Spoil::Proof));
        self.happened(Happened::Snapshot { good });
        Ok(contents)
    }

    /// What a throw-away etcd prints that came to life on a snapshot of this revision.
    pub(super) fn proof(&mut self, at: At, key: &str, revision: u64, minor: &str) -> Result<(), i32> {
        if self.machines[at].full {
            return Err(75);
        }
        let keys = KEYS + u64::from(self.etcd.spoil == Some(Spoil::Proof));
        let version = self.member_of(at).and_then(|member| self.etcd.members[member].runs.clone()).ok_or(75)?;
        if format!("{}.{}", version.major, version.minor) != minor {
            return Err(75);
        }
        let printed = format!(
            "@@ proof\n etcd {version}\n revision {revision}\n compact-revision {COMPACTED}\n keys {keys}\n hash {revision}\n\
             @@ end proof ok\n@@ done\n"
        );
        self.machines[at].own.units.get_mut(key).expect("a unit").printed = printed;
        Ok(())
    }
}
