//! etcd as one looks after it: the members, their machines, and whether their data agree.

use futures_util::future::{join, join_all};
use futures_util::{StreamExt, stream};

use super::{AT_ONCE, Look, machine, reason};
use crate::facts::ask::Section;
use crate::facts::health::{EtcdHealth, Hashes, MemberHash};
use crate::facts::{EtcdFacts, NodeFacts, Seen};
use crate::inventory::{Inventory, NodeName};
use crate::remote::{Clock, Remote};

/// Tries at a revision that no compaction passes while the members are asked one after another. Compactions are minutes
/// apart.
const HASH_TRIES: u32 = 3;

/// Looks at etcd and the machines it runs on; not at the API, nor at any other machine.
pub async fn etcd_health(remote: &dyn Remote, clock: &dyn Clock, inventory: &Inventory) -> EtcdHealth {
    let look = &Look { sections: vec![Section::Etcd, Section::Disks], packages: Vec::new() };
    let machines = stream::iter(inventory.etcd_nodes())
        .map(|node| async move {
            NodeFacts { name: node.name.clone(), machine: machine(remote, clock, inventory, node, look).await }
        })
        .buffered(AT_ONCE)
        .collect();
    let (machines, (etcd, answers)) = join(machines, super::etcd::members(remote, inventory)).await;
    let hashes = match &etcd {
        Seen::Known(etcd) => hashes(remote, etcd).await,
        Seen::Unknown(why) => Seen::Unknown(why.clone()),
    };
    let answers = answers.into_iter().map(|(node, answer)| match answer {
        Ok(status) => (node, Seen::Known(status)),
        Err(why) => (node, Seen::Unknown(why)),
    });
    EtcdHealth { machines, answers: answers.collect(), etcd, hashes }
}

/// The hashes of the healthy voting members' data, at the revision of one of them; a learner tells none. Unknown when
/// compactions kept them from being comparable.
pub async fn hashes(remote: &dyn Remote, etcd: &EtcdFacts) -> Seen<Hashes> {
    let healthy = etcd.voters().filter(|member| member.unhealthy().is_none());
    let nodes: Vec<&NodeName> = healthy.filter_map(|member| member.node.as_ref()).collect();
    let Some(first) = nodes.first() else {
        return Seen::Unknown("no member answers from a machine of the inventory".to_owned());
    };
    for _ in 0..HASH_TRIES {
        match at_one_revision(remote, first, &nodes).await {
            Ok(hashes) if hashes.comparable() => return Seen::Known(hashes),
            Ok(_) => {}
            Err(why) => return Seen::Unknown(why),
        }
    }
    Seen::Unknown(format!("a compaction passed each of {HASH_TRIES} times that the members were asked"))
}

async fn at_one_revision(remote: &dyn Remote, first: &NodeName, nodes: &[&NodeName]) -> Result<Hashes, String> {
    let revision = remote.etcd_status(first).await.map_err(|error| reason(&error))?.revision;
    let answers = join_all(nodes.iter().map(|node| remote.etcd_hash(node, revision))).await;
    let of = nodes.iter().zip(answers).map(|(node, answer)| {
        let hash = answer.map_err(|error| reason(&error))?;
        Ok(MemberHash { node: (*node).clone(), hash: hash.hash, compact_revision: hash.compact_revision })
    });
    Ok(Hashes { revision, of: of.collect::<Result<_, String>>()? })
}
