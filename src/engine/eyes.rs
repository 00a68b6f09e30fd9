//! Answers an action's question by looking.

use futures_util::future::join_all;

use super::Engine;
use crate::decide::action::Action;
use crate::decide::drift::Progress;
use crate::decide::look::{ApiQuestion, Question, Sight, Via, Who};
use crate::facts::ask::ApiSection;
use crate::facts::{ApiFacts, Seen};
use crate::inventory::{Node, NodeName, Role};
use crate::observe;

impl Engine<'_> {
    /// Looks at what was asked for.
    pub(super) async fn see(&self, question: &Question, lane: Option<&NodeName>) -> Sight {
        let _busy = self.meter.remote(self.clock);
        let mut sight = Sight::nothing();
        if let Some(asked) = &question.machine {
            let look = observe::Look { sections: asked.sections.to_vec(), packages: asked.packages.clone() };
            sight.machine = match lane.and_then(|name| self.inventory.node(name)) {
                Some(node) => observe::machine(self.remote, self.clock, self.inventory, node, &look).await,
                None => Seen::Unknown("it is not in the inventory".to_owned()),
            };
        }
        if let Some(asked) = &question.api {
            sight.api = self.ask_api(asked, lane).await;
        }
        if question.etcd {
            sight.etcd = observe::etcd(self.remote, self.inventory).await;
        }
        if let Some(every) = &question.every {
            let nodes: Vec<&Node> = match every.who {
                Who::ControlPlanes => self.inventory.with_role(Role::ControlPlane).collect(),
                Who::EtcdNodes => self.inventory.etcd_nodes().collect(),
            };
            let look = observe::Look { sections: every.sections.to_vec(), packages: Vec::new() };
            let looks = nodes.iter().map(|node| observe::machine(self.remote, self.clock, self.inventory, node, &look));
            let machines = join_all(looks).await;
            sight.every = nodes.into_iter().map(|node| node.name.clone()).zip(machines).collect();
        }
        sight
    }

    async fn ask_api(&self, asked: &ApiQuestion, lane: Option<&NodeName>) -> Seen<ApiFacts> {
        if let (Via::Lane, Some(node)) = (asked.via, lane) {
            return observe::api(self.remote, self.inventory, node, asked.sections, asked.node.as_ref()).await;
        }
        let mut why = "there is no control plane".to_owned();
        for node in self.other_control_planes(lane) {
            match observe::api(self.remote, self.inventory, &node.name, asked.sections, asked.node.as_ref()).await {
                Seen::Known(facts) => return Seen::Known(facts),
                Seen::Unknown(reason) => why = format!("{}: {reason}", node.name),
            }
        }
        Seen::Unknown(why)
    }

    /// A control plane other than the lane's node whose API server answers.
    pub(super) async fn healthy_control_plane(&self, lane: Option<&NodeName>) -> Result<NodeName, String> {
        let _busy = self.meter.remote(self.clock);
        let mut why = "there is no control plane".to_owned();
        for node in self.other_control_planes(lane) {
            match observe::api(self.remote, self.inventory, &node.name, &[ApiSection::Ready], None).await {
                Seen::Known(_) => return Ok(node.name.clone()),
                Seen::Unknown(reason) => why = format!("{}: {reason}", node.name),
            }
        }
        Err(why)
    }

    /// The control planes other than the lane's node, in inventory order; the node itself when it is the only one.
    fn other_control_planes(&self, lane: Option<&NodeName>) -> Vec<&Node> {
        let joining = self.yet_to_join();
        let planes = self.inventory.with_role(Role::ControlPlane);
        let planes: Vec<&Node> = planes.filter(|node| !joining.contains(&&node.name)).collect();
        if planes.len() == 1 {
            return planes;
        }
        planes.into_iter().filter(|node| Some(&node.name) != lane).collect()
    }

    /// The control planes that this run lets join and that have not joined yet, and those that it lets leave: they are none.
    fn yet_to_join(&self) -> Vec<&NodeName> {
        let history = self.history();
        let joins = self.plan.placed().filter(|placed| matches!(placed.step.action, Action::KubeadmJoin(_)));
        let open = joins.filter(|placed| history.progress(&placed.id()) != Progress::Finished);
        let mut absent: Vec<&NodeName> = open.filter_map(|placed| placed.node).collect();
        if let Some(change) = self.plan.task.nodes() {
            let again = |name: &&NodeName| change.joins.iter().any(|it| it.node == **name);
            absent.extend(change.leaves.iter().map(|it| &it.node).filter(|name| !again(name)));
        }
        absent
    }
}
