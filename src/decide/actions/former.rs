//! Going back to former packages: whether it is possible, what it takes, and what it looks like when they are back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::packages::{Pinned, hold_list};
use crate::decide::action::Site;
use crate::decide::call::{Call, Script};
use crate::decide::look::Look;
use crate::facts::{PackageFacts, begun_version};

/// Whether a step's former packages are put back when it fails. Part of the plan: what it does not promise is not tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// Yes, by Windlass itself: they are kept on the node.
    Automatic,
    /// No: these are in no package source any more, as `NAME=VERSION`.
    NotKept(Vec<String>),
}

/// The installed versions that a step replaces by others, without dpkg's word for a broken state.
pub(crate) fn former(packages: &[Pinned], from: &BTreeMap<String, String>) -> Vec<Pinned> {
    let former = |package: &Pinned| {
        let version = begun_version(from.get(&package.name)?);
        (version != package.version).then(|| Pinned { name: package.name.clone(), version: version.to_owned() })
    };
    packages.iter().filter_map(former).collect()
}

/// Puts them back, where that was promised and there are any. `cluster` is the cluster version that the other members of
/// etcd have to report still, or `-`.
pub(super) fn restore(
    undo: &Undo,
    site: Site<'_>,
    guard: &str,
    hold: &[String],
    cluster: &str,
    former: &[Pinned],
) -> Option<Call> {
    if *undo != Undo::Automatic || former.is_empty() {
        return None;
    }
    let args = [site.run.to_string(), guard.to_owned(), hold_list(hold), cluster.to_owned()];
    let args = args.into_iter().chain(former.iter().map(Pinned::spec)).collect();
    Some(Call { script: Script::RestorePackages, args })
}

/// Whether all of them are installed, whole, and held as before.
pub(super) fn former_look(former: &[Pinned], hold: &[String], seen: &BTreeMap<String, PackageFacts>) -> Look {
    let mut missing = Vec::new();
    for Pinned { name, version } in former {
        match seen.get(name) {
            Some(facts) if facts.installed.as_ref() != Some(version) => {
                missing.push(format!("{name} is at {}", facts.installed.as_deref().unwrap_or("no version")));
            }
            Some(facts) if hold.contains(name) && !facts.held => missing.push(format!("{name} {version} is not held")),
            Some(_) => {}
            None => missing.push(format!("{name} was not looked up")),
        }
    }
    if missing.is_empty() { Look::Done } else { Look::Ready(missing.join("; ")) }
}

/// In words: the former packages, or why they cannot be put back.
pub(super) fn in_words(undo: &Undo, former: &[Pinned], hold: &[String]) -> String {
    let specs: Vec<String> = former.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
    match undo {
        Undo::Automatic if former.is_empty() => "nothing to put back: they are installed already".to_owned(),
        Undo::Automatic => {
            let holds = if hold.is_empty() { "" } else { " and held again" };
            format!("{} put back{holds}", specs.join(", "))
        }
        Undo::NotKept(gone) => format!("not possible: no package source has {} any more", gone.join(", ")),
    }
}
