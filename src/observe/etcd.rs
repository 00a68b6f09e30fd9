//! Etcd as its members tell it: the list from the first that answers, then each one's own status.
//!
//! A machine is a member's when it answers with the member's id. Names and addresses are not trusted for that: they are
//! what a mistaken inventory gets wrong.

use futures_util::future::join;
use futures_util::{StreamExt, stream};

use crate::facts::{EtcdFacts, EtcdMember, MemberStatus, Seen};
use crate::inventory::{Inventory, NodeName};
use crate::remote::{ListedMember, MemberList, Remote};

use super::{AT_ONCE, all_or, reason};

pub(super) type Answers = Vec<(NodeName, Result<MemberStatus, String>)>;

/// Looks at etcd: the member list and alarms from the first etcd node that gives them, the status of every one at once.
pub async fn etcd(remote: &dyn Remote, inventory: &Inventory) -> Seen<EtcdFacts> {
    members(remote, inventory).await.0
}

/// The same, with what each machine answered: that is something also when no member gives the list.
pub(super) async fn members(remote: &dyn Remote, inventory: &Inventory) -> (Seen<EtcdFacts>, Answers) {
    let answers = stream::iter(inventory.etcd_nodes())
        .map(|node| async {
            let status = remote.etcd_status(&node.name).await;
            (node.name.clone(), status.map_err(|error| reason(&error)))
        })
        .buffered(AT_ONCE)
        .collect();
    let (list, answers): (_, Answers) = join(first_list(remote, inventory), answers).await;
    let mut list = match list {
        Ok(list) => list,
        Err(why) => return (Seen::Unknown(why), answers),
    };
    let mut members: Vec<_> =
        std::mem::take(&mut list.members).into_iter().map(|member| with_status(member, &answers)).collect();
    members.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    let MemberList { cluster_id, alarms, auth, .. } = list;
    (Seen::Known(EtcdFacts { cluster_id, members, alarms, auth }), answers)
}

async fn first_list(remote: &dyn Remote, inventory: &Inventory) -> Result<MemberList, String> {
    let mut reasons = Vec::new();
    for node in inventory.etcd_nodes() {
        match remote.etcd_members(&node.name).await {
            Ok(list) => return Ok(list),
            Err(error) => reasons.push(format!("{}: {}", node.name, reason(&error))),
        }
    }
    Err(all_or("the inventory has no machine that runs etcd", &reasons))
}

fn with_status(member: ListedMember, answers: &Answers) -> EtcdMember {
    let answered = answers.iter().find_map(|(node, answer)| match answer {
        Ok(status) if status.member_id == member.id => Some((node.clone(), status.clone())),
        _ => None,
    });
    let (node, status) = match answered {
        Some((node, status)) => (Some(node), Seen::Known(status)),
        None => (None, Seen::Unknown(missing(answers))),
    };
    let ListedMember { id, name, peer_urls, client_urls, learner } = member;
    EtcdMember { id, name, peer_urls, client_urls, learner, node, status }
}

fn missing(answers: &Answers) -> String {
    let silent = answers.iter().filter_map(|(node, answer)| Some(format!("{node}: {}", answer.as_ref().err()?)));
    let silent: Vec<_> = silent.collect();
    format!("no machine of the inventory answered as this member ({})", all_or("all answered as others", &silent))
}
