//! Load balancers: whom they lead nobody to, and by whose word.

use std::collections::{BTreeMap, BTreeSet};

use super::{At, Happened, World};

/// What haproxy keeps in memory, and what Windlass keeps on the disk beside it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Balancing {
    /// Servers that are out of service; a restart forgets them.
    pub(crate) out: BTreeSet<String>,
    /// Whose word it was, by server.
    pub(crate) marks: BTreeMap<String, String>,
}

impl World {
    fn balancing(&mut self, at: At) -> &mut Balancing {
        let machine = &mut self.machines[at];
        let name = machine.name.clone();
        machine.balancer.as_mut().unwrap_or_else(|| panic!("{name} is no load balancer"))
    }

    /// Servers that this load balancer leads clients to.
    pub(crate) fn in_service(&self, at: At) -> Vec<&str> {
        let out = self.machines[at].balancer.as_ref().map(|balancer| &balancer.out);
        let ready =
            self.planes().filter(|(plane, _)| self.api_ready(*plane)).map(|(at, _)| self.machines[at].name.as_str());
        ready.filter(|name| out.is_some_and(|out| !out.contains(*name))).collect()
    }

    pub(super) fn out_of_service(&mut self, at: At, name: &str, run: &str) -> Result<(), i32> {
        if self.balancing(at).out.contains(name) {
            return Ok(());
        }
        if self.in_service(at).iter().all(|other| *other == name) {
            return Err(75);
        }
        let balancing = self.balancing(at);
        balancing.marks.insert(name.to_owned(), run.to_owned());
        balancing.out.insert(name.to_owned());
        let by = self.acting;
        self.happened(Happened::OutOfService { balancer: at, server: name.to_owned(), by });
        Ok(())
    }

    pub(super) fn given_back(&mut self, at: At, name: &str, run: &str) {
        let balancing = self.balancing(at);
        if balancing.marks.get(name).map(String::as_str) == Some(run) {
            balancing.marks.remove(name);
            balancing.out.remove(name);
        }
    }

    /// What the probe says of it.
    pub(super) fn balancer(&self, at: At) -> Vec<String> {
        let Some(balancer) = &self.machines[at].balancer else { return vec!["none".to_owned()] };
        let server = |(plane, _): (At, &super::Plane)| {
            let name = &self.machines[plane].name;
            let (operational, administrative) =
                (u8::from(self.api_ready(plane)) * 2, u8::from(balancer.out.contains(name)) * 8);
            format!("server {name} {operational} {administrative}")
        };
        std::iter::once("keepalived yes".to_owned()).chain(self.planes().map(server)).collect()
    }
}
