//! Rules of a stacked etcd, which kubeadm raises together with Kubernetes: to which releases it may bring the members, and what
//! is known of where it will. The target's own kubeadm has the last word, and is asked for it on the nodes; what it must not
//! bring is refused there, before anything is changed.

use std::collections::BTreeSet;

use semver::Version;

use super::Case;
use super::etcd::{few, processes, releases, removed, unraisable, users, v2_data, versions};
use crate::decide::actions::brought::Brought;
use crate::decide::actions::kubeadm::{behind, tag};
use crate::decide::finding::{Finding, Rule};
use crate::decide::stacked::member_image;
use crate::decide::target::{Way, minor};
use crate::facts::EtcdFacts;
use crate::facts::version::parse_version;
use crate::inventory::{Node, Role};
use crate::text::list;

/// The etcd that kubeadm's own table has for each minor of Kubernetes 1 (kubeadm's constants.go, release by release). Later
/// patches of a minor have later patches of etcd: 1.31, 1.32 and 1.33 have gone on to 3.5.24-0.
const TABLE: [(u64, &str); 19] = [
    (19, "3.4.13-0"),
    (20, "3.4.13-0"),
    (21, "3.4.13-0"),
    (22, "3.5.0-0"),
    (23, "3.5.1-0"),
    (24, "3.5.3-0"),
    (25, "3.5.4-0"),
    (26, "3.5.6-0"),
    (27, "3.5.7-0"),
    (28, "3.5.9-0"),
    (29, "3.5.10-0"),
    (30, "3.5.12-0"),
    (31, "3.5.15-0"),
    (32, "3.5.16-0"),
    (33, "3.5.21-0"),
    (34, "3.6.4-0"),
    (35, "3.6.6-0"),
    (36, "3.6.8-0"),
    (37, "3.7.0-0"),
];

/// What forbids raising Kubernetes `to` this version with the members as they are, and what is to be known of it.
pub(super) fn findings(case: Case<'_>, etcd: &EtcdFacts, to: &Version) -> Vec<Finding> {
    let planes: Vec<&Node> = case.with_role(Role::ControlPlane).filter(|node| restarts(case, node, to)).collect();
    if planes.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<Finding> = few(case, etcd).into_iter().collect();
    // The rules of Kubernetes say it when that was not seen.
    let Some(kubeadm) = case.facts.api.known().and_then(|api| api.kubeadm.known()) else { return found };
    match planes.iter().map(|node| brought(case, node)).collect::<Result<Vec<_>, _>>() {
        Err(finding) => found.push(finding),
        Ok(brings) => found.extend(match &kubeadm.etcd_image_tag {
            Some(pinned) => by_the_pin(case, etcd, pinned, &brings),
            None => by_the_table(case, etcd, to, &brings),
        }),
    }
    found
}

/// What kubeadm-config asks for goes before what kubeadm itself would bring.
fn by_the_pin(case: Case<'_>, etcd: &EtcdFacts, pinned: &str, brings: &[Brought]) -> Vec<Finding> {
    let asks = "which kubeadm-config asks for (etcd.local.imageTag)";
    if brings.iter().all(|brings| brings.tag == pinned) {
        let detail = format!("kubeadm leaves it at {pinned}, {asks}; its members may restart all the same");
        return vec![Finding::warning(Rule::EtcdBrought, "etcd", detail)];
    }
    let Some(version) = parse_version(pinned) else {
        let detail = format!("kubeadm brings it to {pinned}, {asks}, and which does not tell its version");
        return vec![Finding::refusal(Rule::EtcdBrought, "etcd", detail)];
    };
    let said = Finding::warning(Rule::EtcdBrought, "etcd", format!("kubeadm brings it to {pinned}, {asks}"));
    std::iter::once(said).chain(judged(case, etcd, &version)).collect()
}

/// Whether raising the node to `to` restarts its member, or may.
fn restarts(case: Case<'_>, node: &Node, to: &Version) -> bool {
    case.machine(&node.name).is_some_and(|machine| {
        let kubelet = machine.kubelet_running.known().and_then(Option::as_ref);
        !behind(machine, to).is_empty() || kubelet != Some(to)
    })
}

/// What the table says of the etcd that this kubeadm brings. That it may not be is no news for later: it is refused now.
fn by_the_table(case: Case<'_>, etcd: &EtcdFacts, to: &Version, brings: &[Brought]) -> Vec<Finding> {
    let asked = format!("kubeadm {to} is asked for its own choice on every control plane before anything is changed");
    let Some((_, known)) = TABLE.iter().find(|(minor, _)| to.major == 1 && *minor == to.minor) else {
        let detail = format!("kubeadm raises it too, nobody here knows to which release: {asked}, {}", may(brings));
        return vec![Finding::warning(Rule::EtcdBrought, "etcd", detail)];
    };
    let stays = brings.iter().all(|brings| brings.tag == *known);
    let what = if stays {
        format!("kubeadm of {}.{} is known to leave it at {known}, yet its members may restart", to.major, to.minor)
    } else {
        format!("kubeadm of {}.{} is known to bring it to {known}, or to a later patch", to.major, to.minor)
    };
    let mut found = vec![Finding::warning(Rule::EtcdBrought, "etcd", format!("{what}: {asked}, {}", may(brings)))];
    // The minor is the table's for sure; which patch of it, only that kubeadm knows.
    let newest = versions(etcd).map(|(_, version)| version).max();
    if let Some(version) = parse_version(known)
        && newest.is_some_and(|newest| minor(newest) != minor(&version))
    {
        // An image may hold a later patch than its tag says.
        let same = versions(etcd).filter(|(_, known)| minor(known) == minor(&version)).map(|(_, known)| known);
        let latest = same.max().filter(|known| **known > version).unwrap_or(&version);
        found.extend(judged(case, etcd, &first(latest)));
    }
    found
}

/// What the members may be brought to, in words.
fn may(brings: &[Brought]) -> String {
    let lowest: BTreeSet<&Version> = brings.iter().flat_map(|brings| &brings.lowest).collect();
    let of = |from: &&Version| format!("of {}.{} from {from} on", from.major, from.minor);
    let choices: Vec<String> = std::iter::once("that of now".to_owned()).chain(lowest.iter().map(of)).collect();
    format!("and refused unless it is {}", list(&choices, "or"))
}

/// What the node's member may be brought to.
pub(in crate::decide) fn brought(case: Case<'_>, node: &Node) -> Result<Brought, Finding> {
    let image = member_image(case.facts, &node.name)?;
    let own = tag(image).to_owned();
    let pinned = case.facts.api.known().and_then(|api| api.kubeadm.known()?.etcd_image_tag.clone());
    let lowest = case.facts.etcd.known().map_or_else(Vec::new, |etcd| lowest(case, etcd, &own));
    Ok(Brought { tag: own, pinned, lowest })
}

/// The first release of each minor that a member with an image of this tag may be brought to: its own minor, from where it is,
/// and whatever later ones the rules allow.
fn lowest(case: Case<'_>, etcd: &EtcdFacts, tag: &str) -> Vec<Version> {
    let (Some(oldest), Some(newest)) =
        (versions(etcd).map(|(_, version)| version).min(), versions(etcd).map(|(_, version)| version).max())
    else {
        return Vec::new();
    };
    // kubeadm compares tags, and an image may hold a later patch than its tag says.
    let own = parse_version(tag).unwrap_or_else(|| oldest.clone());
    let allowed = |minor: u64| {
        let last = Version::new(newest.major, minor, u64::MAX);
        let forbidden = super::forbid(&judged(case, etcd, &last));
        let from = if minor == own.minor { own.patch } else { 0 };
        (!forbidden).then(|| first(&Version::new(newest.major, minor, from)))
    };
    (newest.minor..=newest.minor + 1).filter_map(allowed).collect()
}

/// The first release from this one on that may be landed on.
fn first(from: &Version) -> Version {
    let mut fit = from.clone();
    while releases(&fit).is_some() {
        fit.patch += 1;
    }
    fit
}

/// A raise of all members to this version, held against the rules of etcd.
fn judged(case: Case<'_>, etcd: &EtcdFacts, to: &Version) -> Vec<Finding> {
    let mut found: Vec<Finding> = versions(etcd)
        .filter_map(|(name, from)| unraisable(name, from, to).or_else(|| floor(name, from, to)))
        .collect();
    found.extend(users(etcd, to));
    found.extend(releases(to));
    found.extend(processes(case).filter_map(|(node, process)| v2_data(node, process, to)));
    found.extend(processes(case).filter_map(|(node, process)| removed(node, process, to, &KUBEADMS_OWN)));
    found
}

/// Flags that kubeadm gives its members by itself, and takes away again with the release that has others for them.
const KUBEADMS_OWN: [&str; 2] = ["experimental-initial-corrupt-check", "experimental-watch-progress-notify-interval"];

/// The last release that kubeadm brings before the next minor is below etcd's own floor: 3.5.24 with 1.33 and 3.6.8 with 1.36,
/// where etcd asks for 3.5.32 and 3.6.11. Below 3.5.24 promoted learners may be learners again after the raise (etcd 19557,
/// 20793), so that the newest patch of 1.33 has to come first; the rest is said, and is kubeadm's own way.
fn floor(name: &str, from: &Version, to: &Version) -> Option<Finding> {
    if Way::between(from, to) != Way::Minor {
        return None;
    }
    let (etcds, kubeadms) = match (to.major, to.minor) {
        (3, 6) => (Version::new(3, 5, 32), Version::new(3, 5, 24)),
        (3, 7) => (Version::new(3, 6, 11), Version::new(3, 6, 0)),
        _ => return None,
    };
    let next = format!("etcd {}.{}", to.major, to.minor);
    if from < &kubeadms {
        let detail = format!(
            "is at {from}; before {next} it has to be at {kubeadms} or later: raise Kubernetes to the newest patch of its minor first"
        );
        return Some(Finding::refusal(Rule::EtcdRelease, name, detail));
    }
    (from < &etcds).then(|| {
        let detail = format!(
            "is at {from}; etcd itself asks for {etcds} or later before {next}, and kubeadm brings none: look that `etcdctl member \
             list` has nobody who should not be there"
        );
        Finding::warning(Rule::EtcdRelease, name, detail)
    })
}
