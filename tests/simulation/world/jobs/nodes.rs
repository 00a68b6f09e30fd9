//! Nodes: cordoned, drained and given back through a control plane's own API server.

use std::time::Duration;

use super::{Op, seconds};
use crate::world::{At, SECOND, Who, World};

impl World {
    pub(super) fn cordon(&mut self, via: At, name: &str, run: &str) -> Result<(), i32> {
        if !self.api_ready(via) {
            return Err(1);
        }
        let node = self.node(name);
        if !node.unschedulable {
            node.unschedulable = true;
            node.cordoned_by = Some(run.to_owned());
            node.who = Some(Who::Run(run.to_owned()));
        }
        Ok(())
    }

    pub(super) fn uncordon_if_ours(&mut self, via: At, name: &str, run: &str) -> Result<(), i32> {
        if !self.api_ready(via) {
            return Err(1);
        }
        let owner_counts = !self.breaks.owner;
        let node = self.node(name);
        if owner_counts && node.cordoned_by.as_deref() != Some(run) {
            return Ok(());
        }
        node.cordoned_by = None;
        let node = self.node_at(name);
        self.uncordon(node);
        Ok(())
    }

    /// kubectl cordons first, without a name.
    pub(super) fn drain(&mut self, via: At, key: &str, name: String, limit: Duration) -> Result<(), i32> {
        if !self.api_ready(via) {
            return Err(1);
        }
        let node = self.node(&name);
        if !node.unschedulable {
            node.unschedulable = true;
            node.who = None;
        }
        let until = self.now + limit;
        self.next(via, key, vec![seconds(1, Op::Evict(name, until))]);
        Ok(())
    }

    pub(super) fn evict_all(&mut self, via: At, key: &str, name: String, until: Duration) -> Result<(), i32> {
        if !self.api_ready(via) {
            return Err(1);
        }
        let node = self.node_at(&name);
        let pods = self.movable(node);
        if pods.is_empty() {
            return if self.kube.nodes[node].unschedulable { Ok(()) } else { Err(1) };
        }
        if self.now > until {
            return Err(1);
        }
        for pod in pods {
            self.evict(pod);
        }
        self.next(via, key, vec![(SECOND * 2, Op::Evict(name, until))]);
        Ok(())
    }
}
