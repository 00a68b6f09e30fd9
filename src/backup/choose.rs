//! Which member a snapshot is taken from, and when none is good enough. Values in, a name or the reason out.

use crate::facts::{EtcdFacts, EtcdMember};
use crate::inventory::NodeName;

/// Entries of the log that a member may be behind: what etcd itself calls caught up is a tenth of its snapshot count of
/// 10,000.
const MOST_BEHIND: u64 = 1_000;

/// Which members have to be healthy for a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// All: nothing has been touched yet.
    All,
    /// A quorum: what is unhealthy may be away for its own reasons.
    Quorum,
    /// The one that answers: its own linearizable read shows that there is a quorum.
    Own,
}

/// A healthy, caught-up member to take it from; not the leader where there is a choice.
pub fn source(etcd: &EtcdFacts, members: Members) -> Result<NodeName, String> {
    let sick: Vec<String> = etcd.members.iter().filter_map(EtcdMember::unhealthy).collect();
    let quorum = etcd.members.len() / 2 + 1;
    match (members, sick.first()) {
        (Members::All, Some(why)) => return Err(why.clone()),
        (Members::Quorum, Some(_)) if etcd.members.len() - sick.len() < quorum => {
            let (well, all) = (etcd.members.len() - sick.len(), etcd.members.len());
            return Err(format!("there is no quorum: {well} of {all} members are healthy; {}", sick.join("; ")));
        }
        _ => {}
    }
    let newest = etcd.members.iter().filter_map(|member| member.status.known()).map(|status| status.raft_applied).max();
    let newest = newest.unwrap_or(0);
    let leads = |member: &&EtcdMember| member.status.known().is_some_and(|status| status.leader == member.id);
    let behind = |member: &&EtcdMember| {
        member.status.known().is_some_and(|status| newest.saturating_sub(status.raft_applied) > MOST_BEHIND)
    };
    let fit = |member: &&EtcdMember| {
        member.node.is_some() && !member.learner && member.unhealthy().is_none() && !behind(member)
    };
    let with_node = || etcd.members.iter().filter(fit);
    let member = with_node().find(|member| !leads(member)).or_else(|| with_node().next());
    member.and_then(|member| member.node.clone()).ok_or_else(|| {
        if sick.is_empty() { "no member answers from a machine of the inventory".to_owned() } else { sick.join("; ") }
    })
}

/// The machines of healthy members, `first` before the others and the leader's last: where a snapshot from `first` may be
/// proven.
pub fn beside(etcd: &EtcdFacts, first: &NodeName) -> Vec<NodeName> {
    let leads = |member: &EtcdMember| member.status.known().is_some_and(|status| status.leader == member.id);
    let well = etcd.members.iter().filter(|member| member.unhealthy().is_none());
    let mut machines: Vec<(bool, bool, &NodeName)> =
        well.filter_map(|member| member.node.as_ref().map(|node| (leads(member), node != first, node))).collect();
    machines.sort();
    machines.into_iter().map(|(.., node)| node.clone()).collect()
}

/// The alarm under which an ordinary backup is refused.
pub fn alarm(etcd: &EtcdFacts) -> Option<String> {
    let alarm = etcd.alarms.iter().find(|alarm| alarm.kind != "NONE")?;
    let member = etcd.members.iter().find(|member| member.id == alarm.member_id);
    let who =
        member.map_or_else(|| format!("member {:x}", alarm.member_id), |member| format!("member {}", member.name));
    Some(format!("{who} has raised the alarm {}", alarm.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Alarm, MemberStatus, Seen};

    /// Members 1, 2 and 3 on n1, n2 and n3; the first leads, and this is where each one's log is applied to.
    fn etcd(applied: [u64; 3]) -> EtcdFacts {
        let member = |(index, raft_applied): (usize, u64)| {
            let id = index as u64 + 1;
            let status = MemberStatus {
                member_id: id,
                version: semver::Version::new(3, 5, 16),
                db_size: 0,
                db_in_use: 0,
                leader: 1,
                raft_term: 2,
                raft_index: raft_applied,
                raft_applied,
                revision: 10,
                errors: Vec::new(),
                healthy: Seen::Known(()),
            };
            EtcdMember {
                id,
                name: format!("m{id}"),
                peer_urls: Vec::new(),
                client_urls: Vec::new(),
                learner: false,
                node: NodeName::new(format!("n{id}")).ok(),
                status: Seen::Known(status),
            }
        };
        let members = applied.into_iter().enumerate().map(member).collect();
        EtcdFacts { cluster_id: 7, members, alarms: Vec::new(), auth: Seen::Known(false) }
    }

    fn sicken(etcd: &mut EtcdFacts, index: usize) {
        etcd.members[index].status = Seen::Unknown("away".to_owned());
        etcd.members[index].node = None;
    }

    fn chosen(etcd: &EtcdFacts, members: Members) -> Result<String, String> {
        source(etcd, members).map(|node| node.to_string())
    }

    #[test]
    fn a_follower_that_is_caught_up_is_chosen_before_the_leader() {
        assert_eq!(chosen(&etcd([5_000; 3]), Members::All), Ok("n2".to_owned()));
        assert_eq!(chosen(&etcd([5_000, 3_999, 4_000]), Members::Quorum), Ok("n3".to_owned()));
        assert_eq!(chosen(&etcd([5_000, 3_999, 3_999]), Members::Quorum), Ok("n1".to_owned()));
        let mut learner = etcd([5_000; 3]);
        learner.members[1].learner = true;
        assert_eq!(chosen(&learner, Members::Quorum), Ok("n3".to_owned()));
    }

    #[test]
    fn a_quorum_is_enough_for_a_backup_and_not_for_an_upgrade() {
        let mut etcd = etcd([5_000; 3]);
        sicken(&mut etcd, 1);
        assert_eq!(chosen(&etcd, Members::Quorum), Ok("n3".to_owned()));
        assert_eq!(chosen(&etcd, Members::All), Err("member m2 does not answer: away".to_owned()));
        sicken(&mut etcd, 2);
        let why = chosen(&etcd, Members::Quorum).expect_err("no quorum");
        assert!(why.starts_with("there is no quorum: 1 of 3 members are healthy; member m2"), "{why}");
        assert_eq!(chosen(&etcd, Members::Own), Ok("n1".to_owned()), "its own read shows a quorum");
    }

    #[test]
    fn a_proof_is_made_where_the_snapshot_is_from_and_on_the_leaders_machine_last() {
        let of = |etcd: &EtcdFacts, first: &str| {
            let first = NodeName::new(first).expect("a name");
            beside(etcd, &first).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let mut etcd = etcd([5_000; 3]);
        assert_eq!(of(&etcd, "n3"), ["n3", "n2", "n1"]);
        sicken(&mut etcd, 1);
        assert_eq!(of(&etcd, "n1"), ["n3", "n1"]);
    }

    #[test]
    fn an_alarm_is_told_with_its_member() {
        let mut etcd = etcd([1; 3]);
        assert_eq!(alarm(&etcd), None);
        etcd.alarms.push(Alarm { member_id: 2, kind: "NOSPACE".to_owned() });
        assert_eq!(alarm(&etcd).as_deref(), Some("member m2 has raised the alarm NOSPACE"));
    }
}
