//! A load balancer is set up, seen to know every API server, and seen to give its address away and get it again.

use serde::{Deserialize, Serialize};

use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::actions::packages::trusted;
use crate::decide::call::Script;
use crate::decide::look::{Look, MachineQuestion, Question, Sight, seen};
use crate::facts::Seen;
use crate::facts::ask::Section;
use crate::text::list;

/// Gives haproxy and keepalived their configurations, and starts them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUpBalancer {
    /// haproxy's configuration.
    pub haproxy: String,
    /// keepalived's; `@INTERFACE@` is filled in on the machine. Nothing where there is no other to share an address with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalived: Option<String>,
    /// The machine's own address, by which its interface is found.
    pub address: String,
    /// The port that it serves.
    pub port: u16,
}

impl Act for SetUpBalancer {
    fn describe(&self) -> String {
        let mut servers: Vec<String> = self
            .haproxy
            .lines()
            .filter_map(|line| line.trim().strip_prefix("server ")?.split(' ').next().map(str::to_owned))
            .collect();
        // Each is named in two backends.
        servers.sort();
        servers.dedup();
        let shared = if self.keepalived.is_some() { ", and keepalived beside it" } else { "" };
        format!(
            "give haproxy a configuration that leads port {} to {}{shared}; start it",
            self.port,
            list(&servers, "and")
        )
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not set up yet")
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        let keepalived = self.keepalived.as_deref().unwrap_or("-");
        let (text, address, port) = (self.haproxy.clone(), self.address.clone(), self.port.to_string());
        job(On::Lane, Script::SetUpBalancer, [text, keepalived.to_owned(), address, port])
    }

    fn undo(&self) -> String {
        "former configurations stay as haproxy.cfg.before-windlass and keepalived.conf.before-windlass".to_owned()
    }

    fn estimate(&self) -> u64 {
        2
    }
}

/// Waits until the load balancer sees every API server ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitServers {
    /// The control planes, by name.
    pub servers: Vec<String>,
}

impl Act for AwaitServers {
    fn describe(&self) -> String {
        format!("wait until it leads to {}", list(&self.servers, "and"))
    }

    fn question(&self, _: Site<'_>) -> Question {
        let machine = MachineQuestion { sections: &[Section::Balancer], packages: Vec::new() };
        Question { machine: Some(machine), ..Question::default() }
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "the load balancer");
        let balancer = match &machine.balancer {
            Seen::Known(Some(balancer)) => balancer,
            Seen::Known(None) => return Look::NotYet("haproxy does not run".to_owned()),
            Seen::Unknown(why) => return Look::Unseen(why.clone()),
        };
        let missing: Vec<String> = self.servers.iter().filter(|name| !balancer.leads_to(name)).cloned().collect();
        if missing.is_empty() {
            Look::Done
        } else {
            Look::NotYet(format!("{}: not ready for it", list(&missing, "and")))
        }
    }

    fn estimate(&self) -> u64 {
        3
    }
}

/// Has the load balancer give the shared address to the other one, where it has it, and sees the API answer behind it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// The shared address.
    pub address: String,
    /// The port that is served there.
    pub port: u16,
}

impl Act for HandOver {
    fn describe(&self) -> String {
        format!("give {} to the other, if it is here, and see the API answer there", self.address)
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not tried yet")
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::HandOver, [self.address.clone(), self.port.to_string()])
    }

    fn undo(&self) -> String {
        "either of the two may have the address".to_owned()
    }

    fn estimate(&self) -> u64 {
        4
    }
}
