//! Who can reach etcd: it holds every Secret, and asks nobody for more than a certificate.

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::{Case, processes};
use crate::facts::EtcdProcess;
use crate::inventory::NodeName;

pub(super) fn findings(case: Case<'_>) -> Vec<Finding> {
    processes(case).filter(|(_, process)| process.running).flat_map(|(node, process)| of(node, process)).collect()
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
        // etcd asks for a certificate when it is told to, or knows by whom one has to be signed.
        let asks = setting(door.auth) == "true" || !setting(door.authority).is_empty();
        let beyond = setting(door.listens).split(',').filter(|url| !url.is_empty() && !on_loopback(url));
        for url in beyond {
            if url.starts_with("http://") {
                found.push(say(format!("etcd listens on {url} without TLS ({}): {}", door.listens, door.harm)));
            } else if !asks {
                let detail = format!(
                    "etcd listens on {url} and asks nobody for a certificate (no {}): {}",
                    door.auth, door.harm
                );
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
        || host(url).is_some_and(|host| host == "localhost" || host == "::1" || host.starts_with("127."))
}

fn is_everywhere(host: &str) -> bool {
    matches!(host, "0.0.0.0" | "::" | "" | "*")
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
                && !on_loopback("https://10.0.0.1:2379")
        );
    }
}
