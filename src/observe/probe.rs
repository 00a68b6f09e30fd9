//! The probe of one machine: which sections, with which arguments, and the clock compared on the way.
//!
//! It only asks; what the answer means is `facts::probe`'s.

use jiff::Timestamp;

use crate::decide::call::{Call, Script};
use crate::facts::ask::Section;
use crate::facts::{MachineFacts, Seen, probe};
use crate::inventory::{Inventory, Node, Role, Topology};
use crate::remote::{Clock, Remote};

/// What to look for on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The sections wanted; the others' fields are unknown (or empty).
    pub sections: Vec<Section>,
    /// Names of packages for the sections about them.
    pub packages: Vec<String>,
}

/// The call that probes `node` through `probe.sh`.
pub fn probe_call(inventory: &Inventory, node: &Node, look: &Look) -> Call {
    let sections: Vec<_> = look.sections.iter().map(|section| section.word()).collect();
    let mut args = vec![listed(&sections), listed(&look.packages)];
    args.extend(etcd_arguments(inventory, node));
    if look.sections.contains(&Section::Ground) {
        args.push(inventory.api.endpoint.clone().unwrap_or_else(|| "-".to_owned()));
    }
    Call { script: Script::Probe, args }
}

fn listed(words: &[impl AsRef<str>]) -> String {
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(",") }
}

/// Service, environment file, CA, certificate, key, port. A member in a static pod has neither of the first two.
fn etcd_arguments(inventory: &Inventory, node: &Node) -> [String; 6] {
    let etcd = &inventory.etcd;
    let nothing = || "-".to_owned();
    let [service, env_file] = match etcd.topology {
        Topology::External if node.roles.contains(&Role::Etcd) => [etcd.service.clone(), etcd.env_file.to_string()],
        Topology::Stacked if node.roles.contains(&Role::ControlPlane) => [nothing(), nothing()],
        _ => return std::array::from_fn(|_| nothing()),
    };
    let port = etcd.client_port.to_string();
    [service, env_file, etcd.ca.to_string(), etcd.cert.to_string(), etcd.key.to_string(), port]
}

/// Probes one machine in one round trip, and compares its clock with the operator's on the way.
pub async fn machine(
    remote: &dyn Remote,
    clock: &dyn Clock,
    inventory: &Inventory,
    node: &Node,
    look: &Look,
) -> Seen<MachineFacts> {
    let before = clock.now();
    let stdout = match super::answer(remote, &node.name, &probe_call(inventory, node, look)).await {
        Ok(stdout) => stdout,
        Err(why) => return Seen::Unknown(why),
    };
    let after = clock.now();
    match probe::parse(&stdout) {
        Ok(machine) => Seen::Known(MachineFacts { clock_skew_ms: skew(&stdout, before, after), ..machine }),
        Err(error) => Seen::Unknown(super::reason(&error)),
    }
}

/// The least that the machine's clock can differ: it told its time after we asked, and again before we heard. Zero when
/// the clocks may agree.
pub(super) fn skew(stdout: &str, before: Timestamp, after: Timestamp) -> Seen<i64> {
    let Some((first, last)) = probe::clock_ms(stdout) else {
        return Seen::Unknown("the machine did not tell its time".to_owned());
    };
    let most = first.saturating_sub(before.as_millisecond());
    let least = last.saturating_sub(after.as_millisecond());
    Seen::Known(if least > 0 { least } else { most.min(0) })
}
