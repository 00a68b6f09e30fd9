//! The steps of a restore, in their order.

use jiff::{SignedDuration, Timestamp};

use super::members::Member;
use super::{Wanted, bump};
use crate::decide::actions::archive::ArchiveNode;
use crate::decide::actions::etcd::Snapshot;
use crate::decide::actions::fetch_tool::{FetchTool, Purpose};
use crate::decide::actions::renew::{
    API_SERVER, AwaitHeard, ETCD, RenewKubelet, RestartContainers, StartStaticPods, StopStaticPods,
};
use crate::decide::actions::restore::{AwaitRestored, RestoreMember, SaveWhatLives, SendSnapshot, StartEtcd, StopEtcd};
use crate::decide::draft::{Draft, step};
use crate::decide::plan::{Lane, Stage, Step};
use crate::decide::planner::waves::batched;
use crate::inventory::{Node, Role, Topology};
use crate::playbook::Batch;

/// The static pods of a control plane that live on the API.
const PLANE: [&str; 3] = [API_SERVER, "kube-controller-manager", "kube-scheduler"];

/// Containers that watch the API on each node: kube-proxy, and the agents of the CNIs that are known.
const WATCHERS: [&str; 10] = [
    "kube-proxy",
    "calico-node",
    "cilium-agent",
    "kube-flannel",
    "kube-router",
    "weave",
    "antrea-agent",
    "aws-node",
    "kube-multus",
    "ovnkube-node",
];

/// A kubelet that has seen a container fail again and again waits up to five minutes before it starts it once more.
const START_SECONDS: u64 = 600;

/// Kubelets are restarted one, then a tenth, then a quarter of the workers at a time: no pod is touched by it.
const WORKERS: [Batch; 3] = [Batch::Count(1), Batch::Percent(10), Batch::Percent(25)];

/// Procedures and stages of the plan.
pub(super) fn draw(wanted: Wanted<'_>, members: &[Member<'_>]) -> (Vec<Vec<Step>>, Vec<Stage>) {
    let mut draft = Draft::default();
    let planes = || wanted.with_role(Role::ControlPlane);
    prepare(&mut draft, wanted, members);
    draft.alone("save", None, vec![step("save", 600, SaveWhatLives {})]);
    draft.together("control-planes-away", planes(), |node| {
        Some(step("stop-static-pods", 240, StopStaticPods { pods: static_pods(wanted, node) }))
    });
    replace(&mut draft, wanted, members);
    // API servers last: a kubelet that finds a mirror pod in the API and does not know its manifest yet deletes it there, and
    // it reads manifests that come together up to four seconds apart.
    draft.together("control-planes-back", planes(), |node| {
        let pods: Vec<String> = static_pods(wanted, node).into_iter().filter(|pod| pod != API_SERVER).collect();
        (!pods.is_empty()).then(|| step("start-static-pods", 300, StartStaticPods { pods }))
    });
    draft.together("api-servers-back", planes(), |node| {
        Some(step("start-static-pods", 300, StartStaticPods { pods: static_pods(wanted, node) }))
    });
    renew(&mut draft, wanted);
    draft.alone("snapshot", None, vec![step("snapshot", 1800, Snapshot { proven: true })]);
    (draft.procedures, draft.stages)
}

/// What is ready before anything is touched.
fn prepare(draft: &mut Draft, wanted: Wanted<'_>, members: &[Member<'_>]) {
    let etcd = &wanted.inventory.etcd;
    let touched = |node: &&Node| node.roles.contains(&Role::Etcd) || node.roles.contains(&Role::ControlPlane);
    draft.together("archive", wanted.nodes().filter(touched), |node| {
        let member = node.roles.contains(&Role::Etcd);
        let archive = ArchiveNode {
            service: member.then(|| etcd.service.clone()),
            paths: if member { vec![etcd.env_file.to_string()] } else { Vec::new() },
        };
        Some(step("archive", 120, archive))
    });
    draft.together("fetch", members.iter().map(|member| member.node), |node| {
        let image = member_of(members, node)?.tool.image.clone()?;
        let purpose = if bump(members).is_some() { Purpose::Raise } else { Purpose::Restore };
        Some(step("fetch-tool", 300, FetchTool { image, purpose }))
    });
    draft.together("send", members.iter().map(|member| member.node), |_| {
        let snapshot = wanted.snapshot;
        let send = SendSnapshot { file: snapshot.file.clone(), sha256: snapshot.sha256.clone(), bytes: snapshot.bytes };
        Some(step("send", 3600, send))
    });
}

/// All members stopped, then all restored, then all started.
fn replace(draft: &mut Draft, wanted: Wanted<'_>, members: &[Member<'_>]) {
    let stacked = wanted.inventory.etcd.topology == Topology::Stacked;
    let service = || wanted.inventory.etcd.service.clone();
    let pods = || vec![ETCD.to_owned()];
    let nodes = || members.iter().map(|member| member.node);
    let listed: Vec<(String, String)> = members
        .iter()
        .flat_map(|member| member.peer_urls.iter().map(|url| (member.name.clone(), url.clone())))
        .collect();
    draft.together("etcd-away", nodes(), |_| {
        Some(if stacked {
            step("stop-static-pods", 240, StopStaticPods { pods: pods() })
        } else {
            step("stop", 120, StopEtcd { service: service() })
        })
    });
    draft.together("data", nodes(), |node| {
        let member = member_of(members, node)?;
        let restore = RestoreMember {
            service: (!stacked).then(service),
            data_dir: member.data_dir.clone(),
            wal_dir: member.wal_dir.clone(),
            sha256: wanted.snapshot.sha256.clone(),
            tool: member.tool.path.clone(),
            bump: bump(members),
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            members: listed.clone(),
        };
        Some(step("restore", 3600, restore))
    });
    // kubeadm's manifest goes on naming the members of its first start (`--initial-cluster`, `--initial-cluster-state`): etcd reads
    // them only when it has no data.
    draft.together("etcd-back", nodes(), |_| {
        Some(if stacked {
            step("start-static-pods", START_SECONDS, StartStaticPods { pods: pods() })
        } else {
            step("start", 300, StartEtcd { service: service() })
        })
    });
    let whole = AwaitRestored {
        members: members.iter().map(|member| member.name.clone()).collect(),
        not_cluster: wanted.facts.etcd.known().map(|etcd| etcd.cluster_id),
        revision: wanted.snapshot.revision + bump(members).unwrap_or(0),
    };
    draft.alone("etcd-whole", None, vec![step("await-restored", 300, whole)]);
}

/// Kubelets and what watches beside them: control planes one at a time, then workers.
fn renew(draft: &mut Draft, wanted: Wanted<'_>) {
    let mut lanes = |role: Role, also: Option<Role>| -> Vec<Lane> {
        let nodes = wanted.with_role(role).filter(|node| also.is_none_or(|also| !node.roles.contains(&also)));
        nodes
            .map(|node| {
                let steps = vec![
                    step("restart-kubelet", 120, RenewKubelet {}),
                    step("await-heard", 300, AwaitHeard { since: clock_of(wanted, node) }),
                    step("restart-watchers", 300, RestartContainers { names: WATCHERS.map(str::to_owned).to_vec() }),
                ];
                draft.lane(Some(&node.name), steps)
            })
            .collect()
    };
    let planes = lanes(Role::ControlPlane, None).into_iter().map(|lane| vec![lane]).collect();
    let workers = batched(lanes(Role::Worker, Some(Role::ControlPlane)), &WORKERS);
    draft.stage("kubelets-of-control-planes", planes);
    draft.stage("kubelets-of-workers", workers);
}

fn member_of<'a, 'b>(members: &'b [Member<'a>], node: &Node) -> Option<&'b Member<'a>> {
    members.iter().find(|member| member.node.name == node.name)
}

/// The static pods of the node that live on the API.
fn static_pods(wanted: Wanted<'_>, node: &Node) -> Vec<String> {
    let known = wanted.facts.machine(&node.name).and_then(|machine| machine.static_pods.known());
    let has = |pod: &&&str| known.is_some_and(|pods| pods.contains_key(**pod));
    PLANE.iter().filter(has).map(|pod| (*pod).to_owned()).collect()
}

/// What the node's own clock showed when it was looked at.
fn clock_of(wanted: Wanted<'_>, node: &Node) -> Timestamp {
    let machine = wanted.facts.machine(&node.name);
    let skew = machine.and_then(|machine| machine.clock_skew_ms.known()).copied().unwrap_or(0);
    wanted.facts.taken_at.checked_add(SignedDuration::from_millis(skew)).unwrap_or(wanted.facts.taken_at)
}
