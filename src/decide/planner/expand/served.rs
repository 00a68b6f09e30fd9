//! What is put around the steps that restart an API server: no client is led to it meanwhile.

use crate::decide::action::Action;
use crate::decide::actions::balancer::{DrainServer, ReturnServer};
use crate::decide::draft::step;
use crate::decide::plan::Step;
use crate::decide::rules::{Case, balancers};
use crate::inventory::{Node, Role};

/// On a control plane, load balancers of the cluster's own lead no new client to its API server before the first step that
/// restarts it, or may, and do again once the lane is through. Nothing is added where there is one control plane only.
pub(in crate::decide::planner) fn around_server(
    case: Case<'_>,
    node: Option<&Node>,
    mut steps: Vec<Step>,
) -> Vec<Step> {
    let planes = case.inventory.with_role(Role::ControlPlane).count();
    let node = node.filter(|node| planes > 1 && node.roles.contains(&Role::ControlPlane));
    let Some(node) = node else { return steps };
    let Some(first) = steps.iter().position(|step| step.action.restarts_api_server()) else { return steps };
    let of = |what: &str, name: &str| format!("{what}-at-{name}");
    let leading: Vec<&Node> = balancers(case)
        .filter(|(_, balancer)| balancer.servers.contains_key(node.name.as_str()))
        .map(|(node, _)| node)
        .collect();
    let drains = leading
        .iter()
        .map(|node| step(&of("drain", node.name.as_str()), 60, DrainServer { balancer: node.name.clone() }));
    let returns = leading
        .iter()
        .map(|node| step(&of("return", node.name.as_str()), 60, ReturnServer { balancer: node.name.clone() }));
    steps.extend(returns);
    // Leadership is moved off a stacked member just before a step, with nothing between the two.
    let moved = first.checked_sub(1).filter(|before| matches!(steps[*before].action, Action::MoveLeader(_)));
    steps.splice(moved.unwrap_or(first)..moved.unwrap_or(first), drains);
    steps
}
