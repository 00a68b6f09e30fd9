//! A control plane is taken out of service at a load balancer while it is worked on, and given back: by its owner alone.

use serde::{Deserialize, Serialize};

use crate::decide::action::{Act, Action, Effect, Moment, On, Site, job};
use crate::decide::actions::packages::trusted;
use crate::decide::call::Script;
use crate::decide::look::{Look, Sight};
use crate::inventory::NodeName;

/// Leads no new client to the lane's control plane, as ours. One that somebody else took out of service is left as it is, and
/// the last one that is ready is never taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainServer {
    /// The load balancer.
    pub balancer: NodeName,
}

impl Act for DrainServer {
    fn describe(&self) -> String {
        format!("have {} lead no new client to it, with our name on that", self.balancer)
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "clients are led to it")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        at(&self.balancer, Script::DrainServer, site)
    }

    fn undo(&self) -> String {
        format!("{} leads clients to it again; so it does after a restart of haproxy", self.balancer)
    }

    fn estimate(&self) -> u64 {
        1
    }

    /// A restart of haproxy ends it.
    fn serves(&self, later: &Action) -> bool {
        later.restarts_api_server()
    }
}

/// Leads clients to the lane's control plane again, where it was us who did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReturnServer {
    /// The load balancer.
    pub balancer: NodeName,
}

impl Act for ReturnServer {
    fn describe(&self) -> String {
        format!("have {} lead clients to it again, if it was us who did not", self.balancer)
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not given back yet")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        at(&self.balancer, Script::ReturnServer, site)
    }

    fn estimate(&self) -> u64 {
        1
    }
}

fn at(balancer: &NodeName, script: Script, site: Site<'_>) -> Effect {
    job(On::Machine(balancer.clone()), script, [site.subject().to_owned(), site.run.to_string()])
}
