//! The arithmetic of quorums, in numbers and in words.

use crate::facts::{EtcdFacts, EtcdMember};
use crate::text::count;

/// How many members vote, and how many of those answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Members that vote.
    pub voters: usize,
    /// Of these, the ones that are healthy.
    pub healthy: usize,
}

impl Count {
    /// As it was seen.
    pub fn of(etcd: &EtcdFacts) -> Self {
        let healthy = etcd.voters().filter(|member| member.unhealthy().is_none()).count();
        Self { voters: etcd.voters().count(), healthy }
    }

    /// How many make a quorum.
    pub fn quorum(self) -> usize {
        self.voters / 2 + 1
    }

    /// Whether there is one.
    pub fn holds(self) -> bool {
        self.healthy >= self.quorum()
    }

    /// Without one voter.
    #[must_use]
    pub fn without(self, healthy: bool) -> Self {
        Self { voters: self.voters.saturating_sub(1), healthy: self.healthy.saturating_sub(usize::from(healthy)) }
    }

    /// With one voter more.
    #[must_use]
    pub fn with(self, healthy: bool) -> Self {
        Self { voters: self.voters + 1, healthy: self.healthy + usize::from(healthy) }
    }

    /// `3 members, 2 answer, quorum 2`.
    pub fn words(self) -> String {
        let answer = if self.healthy == 1 { "answers" } else { "answer" };
        format!("{}, {} {answer}, quorum {}", count(self.voters, "member"), self.healthy, self.quorum())
    }
}

/// Why removing `member` would leave etcd without a quorum; nothing when it would not. A learner counts for none.
pub fn loses(now: Count, member: &EtcdMember) -> Option<String> {
    if member.learner {
        return (!now.holds()).then(|| format!("{}: nothing can be changed without a quorum", now.words()));
    }
    let healthy = member.unhealthy().is_none();
    let after = now.without(healthy);
    let name = member.called();
    if after.voters == 0 {
        return Some(format!("{name} is the only member that votes"));
    }
    if now.holds() && after.holds() {
        return None;
    }
    // The removal itself is a write that the members as they are have to agree on.
    Some(if now.holds() {
        let only =
            if after.healthy == 1 { "only 1 answers".to_owned() } else { format!("only {} answer", after.healthy) };
        format!("{}: without {name} {only} of {}, and {} make a quorum", now.words(), after.voters, after.quorum())
    } else {
        format!("{}: nothing can be changed without a quorum", now.words())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{EtcdMember, MemberStatus, Seen};

    fn member(healthy: bool, learner: bool) -> EtcdMember {
        let status = MemberStatus {
            member_id: 2,
            version: semver::Version::new(3, 5, 16),
            db_size: 0,
            db_in_use: 0,
            leader: 1,
            raft_term: 1,
            raft_index: 1,
            raft_applied: 1,
            revision: 1,
            errors: Vec::new(),
            healthy: Seen::Known(()),
        };
        let status = if healthy { Seen::Known(status) } else { Seen::Unknown("away".to_owned()) };
        let name = "etcd2".to_owned();
        EtcdMember { id: 2, name, peer_urls: Vec::new(), client_urls: Vec::new(), learner, node: None, status }
    }

    #[test]
    fn what_costs_the_quorum_is_refused_with_the_arithmetic() {
        let table = [
            // voters, healthy, the leaving one is healthy, why not
            (3, 3, true, None),
            (3, 2, false, None),
            (3, 2, true, Some("3 members, 2 answer, quorum 2: without etcd2 only 1 answers of 2, and 2 make a quorum")),
            (3, 1, false, Some("3 members, 1 answers, quorum 2: nothing can be changed without a quorum")),
            (5, 3, false, None),
            (5, 3, true, Some("5 members, 3 answer, quorum 3: without etcd2 only 2 answer of 4, and 3 make a quorum")),
            (5, 4, true, None),
            (2, 2, true, None),
            (2, 1, false, Some("2 members, 1 answers, quorum 2: nothing can be changed without a quorum")),
            (1, 1, true, Some("etcd2 is the only member that votes")),
        ];
        for (voters, healthy, leaving, why) in table {
            let said = loses(Count { voters, healthy }, &member(leaving, false));
            assert_eq!(said.as_deref(), why, "{voters} {healthy} {leaving}");
        }
        assert_eq!(loses(Count { voters: 3, healthy: 2 }, &member(true, true)), None);
        let none = loses(Count { voters: 3, healthy: 1 }, &member(true, true));
        assert_eq!(none.as_deref(), Some("3 members, 1 answers, quorum 2: nothing can be changed without a quorum"));
    }
}
