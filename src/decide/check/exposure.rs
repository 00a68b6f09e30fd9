//! Who can reach etcd: it holds every Secret, and asks nobody for more than a certificate.

use std::net::IpAddr;

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::{Case, unseen};
use crate::facts::{EtcdProcess, Seen};
use crate::inventory::NodeName;

pub(super) fn findings(case: Case<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for node in case.inventory.etcd_nodes() {
        let Some(machine) = case.machine(&node.name) else { continue };
        match &machine.etcd {
            Seen::Unknown(why) => found.push(unseen(&node.name, "how its etcd is run", why)),
            Seen::Known(Some(process)) if process.running && process.settings.contains_key("listen-client-urls") => {
                found.extend(of(&node.name, process));
            }
            Seen::Known(Some(process)) if process.running && process.settings.contains_key("config-file") => {
                let why = "its file of settings does not tell";
                found.push(unseen(&node.name, "where its etcd listens", why));
            }
            // That it does not run, its member's silence says; without a setting it listens on loopback alone.
            Seen::Known(_) => {}
        }
    }
    found
}

/// The two doors of a member, by the names of etcd's flags.
struct Door {
    listens: &'static str,
    auth: &'static str,
    authority: &'static str,
    /// Who comes in without a certificate.
    harm: &'static str,
}

const DOORS: [Door; 2] = [
    Door {
        listens: "listen-client-urls",
        auth: "client-cert-auth",
        authority: "trusted-ca-file",
        harm: "whoever reaches it reads and changes everything, every Secret too",
    },
    Door {
        listens: "listen-peer-urls",
        auth: "peer-client-cert-auth",
        authority: "peer-trusted-ca-file",
        harm: "whoever reaches it can act as a member",
    },
];

fn of(node: &NodeName, process: &EtcdProcess) -> Vec<Finding> {
    let setting = |key: &str| process.settings.get(key).map(String::as_str).unwrap_or_default();
    let say = |detail: String| Finding::refusal(Rule::EtcdExposed, node, detail);
    let mut found = Vec::new();
    for door in DOORS {
        let beyond = setting(door.listens).split(',').filter(|url| !url.is_empty() && !on_loopback(url));
        for url in beyond {
            if url.starts_with("http://") {
                found.push(say(format!("etcd listens on {url} without TLS ({}): {}", door.listens, door.harm)));
            } else if setting(door.authority).is_empty() {
                // With an authority etcd asks for a certificate of its own; told to ask without one, it takes the machine's.
                let asks = if setting(door.auth) == "true" {
                    "takes a certificate of any authority that the machine trusts"
                } else {
                    "asks nobody for a certificate"
                };
                let detail = format!("etcd listens on {url} and {asks} (no {}): {}", door.authority, door.harm);
                found.push(say(detail));
            }
            if host(url).is_some_and(is_everywhere) {
                let detail = format!(
                    "etcd listens on every address of the machine ({} {url}): name the ones that API servers and members need",
                    door.listens
                );
                found.push(say(detail));
            }
        }
    }
    found
}

/// The host of a URL, without brackets.
fn host(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split('/').next()?;
    match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, _)| host),
        None => Some(authority.rsplit_once(':').map_or(authority, |(host, _)| host)),
    }
}

fn on_loopback(url: &str) -> bool {
    url.starts_with("unix")
        || host(url).is_some_and(|host| host == "localhost" || address(host).is_some_and(|it| it.is_loopback()))
}

fn is_everywhere(host: &str) -> bool {
    host.is_empty() || host == "*" || address(host).is_some_and(|it| it.is_unspecified())
}

fn address(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls_are_found() {
        let table = [
            ("https://10.0.0.1:2379", "10.0.0.1"),
            ("https://[::]:2379", "::"),
            ("http://localhost:2379/", "localhost"),
            ("https://:2379", ""),
        ];
        for (url, wanted) in table {
            assert_eq!(host(url), Some(wanted), "{url}");
        }
        assert!(
            on_loopback("https://127.0.0.1:2379")
                && on_loopback("unix://sock")
                && on_loopback("https://[0:0:0:0:0:0:0:1]:2379")
                && !on_loopback("https://10.0.0.1:2379")
        );
    }
}
