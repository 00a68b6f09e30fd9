//! What the parts of an inventory have to be to each other. Each rule adds its complaints and changes nothing.
//!
//! A rule stays silent about what could not be read: that has its complaint already.

use std::fmt::Display;

use super::read::NodeDraft;
use super::{Address, Role, Topology};
use crate::document::{At, Complaint, Table, repeated};
use crate::text;

/// Holds `nodes` against all rules.
pub(super) fn check(table: &Table<'_>, nodes: &[NodeDraft], topology: Option<&At<Topology>>) {
    once_each(table, nodes.iter().filter_map(|node| node.name.as_ref()), "are called");
    once_each(table, nodes.iter().filter_map(|node| node.address.as_ref()), "have the address");
    both_control_plane_and_worker(table, nodes);
    if nodes.iter().any(|node| node.roles.is_none()) {
        return;
    }
    some_control_plane(table, nodes);
    match topology {
        Some(at) if at.value == Topology::External => {
            some_etcd(table, nodes, at);
            members(table, nodes, at, Role::Etcd);
        }
        Some(at) => {
            no_etcd_when_stacked(table, nodes, at);
            members(table, nodes, at, Role::ControlPlane);
        }
        None => {}
    }
}

/// Machines that lead to the API servers: each does nothing else, because an API server listens where they would; two at most,
/// which share an address that is theirs alone.
pub(super) fn load_balancers(table: &Table<'_>, nodes: &[NodeDraft], endpoint: Option<&At<String>>) {
    let balancers: Vec<&NodeDraft> = nodes.iter().filter(|node| node.is(Role::LoadBalancer)).collect();
    let Some(first) = balancers.first() else { return };
    for roles in balancers.iter().filter_map(|node| node.roles.as_ref()).filter(|roles| roles.value.len() > 1) {
        table.complain(
            Complaint::error(roles.span.clone(), "a load balancer is something else, too")
                .expected("an API server listens where it would: it is a machine of its own"),
        );
    }
    if let Some(third) = balancers.get(2) {
        table.complain(
            Complaint::error(third.span.clone(), "there are more than two load balancers")
                .expected("two share one address: one has it, the other takes it when that one fails"),
        );
    }
    let Some(endpoint) = endpoint else {
        table.complain(
            Complaint::error(first.span.clone(), "a load balancer leads nowhere without an endpoint")
                .expected("expected `endpoint = \"ADDRESS:PORT\"` in `[api]`, which it serves"),
        );
        return;
    };
    if balancers.len() < 2 {
        return;
    }
    let host = endpoint.value.rsplit_once(':').map_or(endpoint.value.as_str(), |(host, _)| host);
    let four = |address: &str| address.parse::<std::net::Ipv4Addr>().is_ok();
    let addresses: Vec<&At<Address>> = nodes.iter().filter_map(|node| node.address.as_ref()).collect();
    if !four(host) {
        table.complain(
            Complaint::error(endpoint.span.clone(), "two load balancers share an IPv4 address")
                .expected("expected one here that no machine has, as \"10.0.0.10:6443\""),
        );
    } else if let Some(own) = addresses.iter().find(|address| address.value.as_str() == host) {
        table.complain(
            Complaint::error(endpoint.span.clone(), "the address of two load balancers is that of a machine")
                .expected("expected one that no machine has: they give it to each other")
                .also(own.span.clone(), "this one's"),
        );
    }
    for address in balancers.iter().filter_map(|node| node.address.as_ref()).filter(|at| !four(at.value.as_str())) {
        table.complain(
            Complaint::error(address.span.clone(), "two load balancers watch each other by their IPv4 addresses")
                .expected("expected one here"),
        );
    }
}

/// Warns of each of `keys` that is given although etcd is stacked.
pub(super) fn external_only(table: &Table<'_>, keys: &[&str]) {
    for key in keys {
        if let Some(span) = table.key_span(key) {
            table.complain(
                Complaint::warning(span, format!("`{key}` means nothing for a stacked etcd"))
                    .expected("kubeadm runs it as a static pod"),
            );
        }
    }
}

fn once_each<'a, T: Ord + Display + 'a>(table: &Table<'_>, items: impl Iterator<Item = &'a At<T>>, what: &str) {
    for (first, again) in repeated(items) {
        table.complain(
            Complaint::error(again.span.clone(), format!("two nodes {what} `{}`", again.value))
                .expected("again here")
                .also(first.span.clone(), "first here"),
        );
    }
}

fn some_control_plane(table: &Table<'_>, nodes: &[NodeDraft]) {
    if let (Some(first), false) = (nodes.first(), nodes.iter().any(|node| node.is(Role::ControlPlane))) {
        table.complain(
            Complaint::error(first.span.clone(), "no node is a control plane")
                .expected("expected `control-plane` among the roles of this or another node"),
        );
    }
}

fn some_etcd(table: &Table<'_>, nodes: &[NodeDraft], topology: &At<Topology>) {
    if !nodes.iter().any(|node| node.is(Role::Etcd)) {
        table.complain(
            Complaint::error(topology.span.clone(), "etcd is external, and no node has the role `etcd`")
                .expected("expected a node with the role `etcd` for each member, or \"stacked\""),
        );
    }
}

fn no_etcd_when_stacked(table: &Table<'_>, nodes: &[NodeDraft], topology: &At<Topology>) {
    for roles in nodes.iter().filter(|node| node.is(Role::Etcd)).filter_map(|node| node.roles.as_ref()) {
        table.complain(
            Complaint::error(roles.span.clone(), "a node has the role `etcd`, and etcd is stacked")
                .expected("expected no `etcd` here: a stacked member is on every control plane")
                .also(topology.span.clone(), "stacked here"),
        );
    }
}

/// A node in both roles would be walked through twice.
fn both_control_plane_and_worker(table: &Table<'_>, nodes: &[NodeDraft]) {
    let both = nodes.iter().filter(|node| node.is(Role::ControlPlane) && node.is(Role::Worker));
    for roles in both.filter_map(|node| node.roles.as_ref()) {
        table.complain(
            Complaint::warning(roles.span.clone(), "a node is both control plane and worker")
                .expected("stages for either role take it")
                .hint("a control plane may run workloads without the role `worker`; leave it out"),
        );
    }
}

fn members(table: &Table<'_>, nodes: &[NodeDraft], topology: &At<Topology>, role: Role) {
    let members = nodes.iter().filter(|node| node.is(role)).count();
    let warning = |message: String| Complaint::warning(topology.span.clone(), message);
    if members == 1 {
        table.complain(
            warning("etcd has a single member".to_owned())
                .expected("the cluster stands still whenever it restarts")
                .hint("an upgrade names this outage, and wants consent to it by name"),
        );
    } else if members > 0 && members.is_multiple_of(2) {
        // A majority has to stay: of four that is three, so a fourth member only adds one that can fail.
        let withstand = |members: usize| match (members - 1) / 2 {
            0 => "no loss".to_owned(),
            losses => format!("the loss of {losses}"),
        };
        table.complain(
            warning(format!("etcd has an even number of members: {members}"))
                .expected(format!(
                    "{} withstand {}, as {} would",
                    members,
                    withstand(members),
                    text::count(members - 1, "member")
                ))
                .hint("an odd number of members is safer"),
        );
    }
}
