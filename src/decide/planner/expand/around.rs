//! What is put around the steps that restart a stacked member of etcd, or may.

use super::{Bound, is_stacked, named};
use crate::decide::action::Action;
use crate::decide::actions::brought::StackedMember;
use crate::decide::actions::kubeadm::{KubeadmApply, KubeadmNode};
use crate::decide::actions::kubelet::STATIC_PODS_SETTLE;
use crate::decide::actions::members::AwaitMembers;
use crate::decide::finding::Finding;
use crate::decide::plan::Step;
use crate::decide::rules::{Case, brought};
use crate::inventory::{Node, Role};
use crate::playbook::{self, Uses};

/// On a stacked control plane leadership is moved off the member before each step that restarts it, or may, and all members are
/// waited for after, whatever the playbook says. A kubelet restarts its static pods a while after it began: they are waited for
/// once it is Ready.
pub(in crate::decide::planner) fn around_member(
    case: Case<'_>,
    node: Option<&Node>,
    steps: Vec<Step>,
) -> Result<Vec<Step>, Finding> {
    let Some(node) = node.filter(|node| is_stacked(case) && node.roles.contains(&Role::ControlPlane)) else {
        return Ok(steps);
    };
    let bound = Bound { case, snapshot: playbook::Snapshot::Verified, node: Some(node), uses: Uses::EtcdMoveLeader };
    let whole = || named("await-members", None, 300, bound.all_members());
    let (mut around, mut restarted) = (Vec::new(), false);
    for mut step in steps {
        if bound.tell_of_member(&mut step.action)? {
            around.push(named("move-leader", None, 60, bound.move_leader()?));
            restarted = true;
        } else if restarted && !matches!(step.action, Action::AwaitReady(_)) {
            around.push(whole());
            restarted = false;
        }
        around.push(step);
    }
    around.extend(restarted.then(whole));
    Ok(around)
}

impl Bound<'_> {
    /// What the act has to know of the node's stacked member, where it restarts it, or may; whether it does.
    fn tell_of_member(self, action: &mut Action) -> Result<bool, Finding> {
        match action {
            Action::KubeadmApply(KubeadmApply { member, .. })
            | Action::KubeadmNode(KubeadmNode { member, control_plane: true, .. }) => {
                let brings = brought(self.case, self.node()?)?;
                *member = Some(StackedMember { access: self.access()?, brings });
            }
            // Its package may restart a kubelet that runs.
            Action::InstallPackages(install) if install.packages.iter().any(|package| package.name == "kubelet") => {
                install.member = Some(self.access()?);
            }
            Action::RestartKubelet(restart) => restart.member = Some(self.access()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// All members as they are, healthy and with one leader for longer than a kubelet takes to notice that a static pod of it
    /// is to be another.
    fn all_members(self) -> AwaitMembers {
        let mut peers: Vec<String> = self.members().iter().flat_map(|member| member.peer_urls.clone()).collect();
        peers.sort();
        let settle = u64::try_from(STATIC_PODS_SETTLE.as_millis()).unwrap_or(u64::MAX);
        AwaitMembers { peers, steady_ms: self.steady_ms().max(settle) }
    }
}
