//! Rules of load balancers of the cluster's own: they run, and lead to every control plane.

use super::Case;
use crate::decide::finding::{Finding, Rule};
use crate::facts::Seen;
use crate::facts::balancer::{Balancer, Server};
use crate::inventory::{Node, Role};

/// The load balancers whose haproxy runs with Windlass's configuration.
pub(in crate::decide) fn balancers(case: Case<'_>) -> impl Iterator<Item = (&Node, &Balancer)> {
    case.with_role(Role::LoadBalancer)
        .filter_map(move |node| Some((node, case.machine(&node.name)?.balancer.known()?.as_ref()?)))
        .filter(|(_, balancer)| !balancer.servers.is_empty())
}

/// What is to be known of them. None of it is a reason against a plan: clients fare as they do without one.
pub(super) fn findings(case: Case<'_>) -> Vec<Finding> {
    let two = case.with_role(Role::LoadBalancer).count() > 1;
    let mut found = Vec::new();
    for node in case.with_role(Role::LoadBalancer) {
        let mut say = |detail: String| found.push(Finding::warning(Rule::LoadBalancer, &node.name, detail));
        let Some(machine) = case.machine(&node.name) else {
            say("was not reached: no control plane is taken out of service at it while it is worked on".to_owned());
            continue;
        };
        let balancer = match &machine.balancer {
            Seen::Unknown(why) => {
                say(format!("its haproxy could not be asked: {why}"));
                continue;
            }
            Seen::Known(None) => {
                say("haproxy does not run there: nobody is led to the API through it".to_owned());
                continue;
            }
            Seen::Known(Some(balancer)) if balancer.servers.is_empty() => {
                say("haproxy runs there with another configuration than Windlass's: no control plane is taken out of service \
                     at it while it is worked on"
                    .to_owned());
                continue;
            }
            Seen::Known(Some(balancer)) => balancer,
        };
        if two && !balancer.keepalived {
            say("keepalived does not run there: it cannot take the address when the other one fails".to_owned());
        }
        for plane in case.with_role(Role::ControlPlane) {
            match balancer.servers.get(plane.name.as_str()) {
                Some(Server::Ready) => {}
                Some(Server::Down) => say(format!("does not see {} ready, and leads nobody to it", plane.name)),
                Some(Server::OutOfService) => {
                    say(format!("somebody has taken {} out of service there", plane.name));
                }
                None => say(format!("does not know {}, and leads nobody to it", plane.name)),
            }
        }
    }
    found
}
