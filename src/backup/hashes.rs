//! The members' hashes at one revision: equal, or somebody's data are not the cluster's.

use futures_util::future::join_all;

use super::manifest::{Hash, Id, MemberHash};
use crate::error::chain;
use crate::facts::EtcdMember;
use crate::inventory::NodeName;
use crate::remote::Remote;

/// A member to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: u64,
    /// Its name in etcd.
    pub name: String,
    /// Where it is; or why it is not asked.
    pub node: Result<NodeName, String>,
}

impl Member {
    /// A member as it was seen. `elsewhere` is why one without a machine is not asked, where that is as it should be.
    pub fn of(member: &EtcdMember, elsewhere: Option<&str>) -> Self {
        let node = match (&member.node, member.unhealthy(), elsewhere) {
            (Some(node), None, _) => Ok(node.clone()),
            (None, _, Some(elsewhere)) => Err(elsewhere.to_owned()),
            (_, Some(why), _) => Err(why),
            (None, None, None) => Err("it is on no machine of the inventory".to_owned()),
        };
        Self { id: member.id, name: member.name.clone(), node }
    }
}

/// Asks all at once for their hash at `revision`.
pub async fn ask(remote: &dyn Remote, members: &[Member], revision: u64) -> Vec<MemberHash> {
    let each = members.iter().map(|member| async move {
        let hash = match &member.node {
            Err(why) => Hash::Unknown(why.clone()),
            Ok(node) => match remote.etcd_hash(node, revision).await {
                Ok(answer) => Hash::Known { hash_kv: answer.hash, compact_revision: answer.compact_revision },
                Err(error) => Hash::Unknown(chain(&error).join(": ")),
            },
        };
        MemberHash { id: Id(member.id), name: member.name.clone(), hash }
    });
    join_all(each).await
}

/// How hashes compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// All that are known are the same.
    Same,
    /// A compaction passed while they were asked: they cannot be compared.
    Incomparable,
    /// Members have different data.
    Different(String),
}

/// Compares what is known.
pub fn compare(hashes: &[MemberHash], revision: u64) -> Compared {
    let known: Vec<_> = hashes
        .iter()
        .filter_map(|member| match member.hash {
            Hash::Known { hash_kv, compact_revision } => Some((&member.name, hash_kv, compact_revision)),
            Hash::Unknown(_) => None,
        })
        .collect();
    if known.windows(2).any(|pair| pair[0].2 != pair[1].2) {
        return Compared::Incomparable;
    }
    if known.windows(2).all(|pair| pair[0].1 == pair[1].1) {
        return Compared::Same;
    }
    let each: Vec<String> = known.iter().map(|(name, hash, _)| format!("{name} {hash}")).collect();
    Compared::Different(format!("the members' data differ at revision {revision}: HashKV {}", each.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, hash: Hash) -> MemberHash {
        MemberHash { id: Id(1), name: name.to_owned(), hash }
    }

    #[test]
    fn hashes_are_compared_only_at_one_compaction() {
        let known = |hash_kv, compact_revision| Hash::Known { hash_kv, compact_revision };
        let silent = || Hash::Unknown("away".to_owned());
        let same = [member("a", known(1, 5)), member("b", silent()), member("c", known(1, 5))];
        assert_eq!(compare(&same, 9), Compared::Same);
        let passed = [member("a", known(1, 5)), member("b", known(2, 6))];
        assert_eq!(compare(&passed, 9), Compared::Incomparable);
        let different = [member("a", known(1, 5)), member("b", silent()), member("c", known(2, 5))];
        let words = "the members' data differ at revision 9: HashKV a 1, c 2";
        assert_eq!(compare(&different, 9), Compared::Different(words.to_owned()));
        assert_eq!(compare(&[], 9), Compared::Same);
    }
}
