//! The probe's sections `packages` and `candidates` → packages by name.
//!
//! Pure. Names that were not asked for do not appear.

use std::collections::{BTreeMap, BTreeSet};

use super::sections::{Answer, seen, value, values};
use super::{PackageFacts, PackageManager, Seen};

/// The package manager, and each package that was asked for.
pub(super) fn read(answer: &Answer<'_>) -> (Seen<PackageManager>, BTreeMap<String, PackageFacts>) {
    let lines = match answer.section("packages") {
        Ok(lines) => lines,
        Err(why) => return (Seen::Unknown(why), BTreeMap::new()),
    };
    let candidates = candidates(answer);
    let mut packages: BTreeMap<_, _> =
        values(lines, "asked").map(|name| (name.to_owned(), not_installed(candidates.of(name)))).collect();
    for line in values(lines, "package") {
        let mut words = line.splitn(4, ' ');
        let (Some(name), Some(want), Some(state)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if let Some(package) = packages.get_mut(name) {
            package.installed = installed(state, words.next().unwrap_or_default().trim());
            package.held = want == "hold";
        }
    }
    (seen(manager(lines)), packages)
}

fn manager(lines: &[&str]) -> Result<PackageManager, String> {
    match value(lines, "manager") {
        Some("apt") => Ok(PackageManager::Apt),
        Some("dnf") => Ok(PackageManager::Dnf),
        Some("zypper") => Ok(PackageManager::Zypper),
        other => Err(format!("the probe told of no package manager that is known here ({})", other.unwrap_or("none"))),
    }
}

fn not_installed(candidates: Seen<Vec<String>>) -> PackageFacts {
    PackageFacts { installed: None, held: false, candidates }
}

/// What dpkg was interrupted at is neither installed nor absent, and must not look like the bare version.
fn installed(state: &str, version: &str) -> Option<String> {
    match state {
        "not-installed" | "config-files" => None,
        _ if version.is_empty() => None,
        "installed" | "triggers-awaited" | "triggers-pending" => Some(version.to_owned()),
        broken => Some(format!("{version} ({broken})")),
    }
}

/// What the repositories offer, by package.
struct Candidates<'a> {
    versions: Result<BTreeMap<&'a str, Vec<String>>, String>,
    /// What a source that did not answer says.
    failed: Option<&'a str>,
}

/// Goes through the lines once: however many a machine tells, each costs the same.
fn candidates<'a>(answer: &'a Answer<'_>) -> Candidates<'a> {
    let lines = match answer.section("candidates") {
        Ok(lines) => lines,
        Err(why) => return Candidates { versions: Err(why), failed: None },
    };
    let mut seen = BTreeSet::new();
    let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (package, version) in values(lines, "candidate").filter_map(|line| line.split_once(' ')) {
        if seen.insert((package, version)) {
            versions.entry(package).or_default().push(version.to_owned());
        }
    }
    Candidates { versions: Ok(versions), failed: value(lines, "failed") }
}

impl Candidates<'_> {
    /// A package without candidates is known to have none only when every source answered.
    fn of(&self, name: &str) -> Seen<Vec<String>> {
        match (&self.versions, self.failed) {
            (Err(why), _) => Seen::Unknown(why.clone()),
            (Ok(versions), failed) => match (versions.get(name), failed) {
                (None, Some(why)) => Seen::Unknown(format!("a package source did not answer: {why}")),
                (versions, _) => Seen::Known(versions.cloned().unwrap_or_default()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(packages: &str, rest: &str) -> BTreeMap<String, PackageFacts> {
        let text = format!("@@ packages\n{packages}@@ end packages ok\n{rest}@@ done\n");
        read(&Answer::read(&text).unwrap()).1
    }

    #[test]
    fn held_absent_removed_and_broken_packages_are_told_apart() {
        let packages = read_text(
            " manager apt\n asked a\n asked b\n asked c\n asked d\n package a hold installed 1.2.3-00\n \
             package b deinstall config-files 1.0-1\n package d install half-configured 1.2.3-00\n package e install installed 1\n",
            "",
        );
        assert_eq!(packages.keys().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!((packages["a"].installed.as_deref(), packages["a"].held), (Some("1.2.3-00"), true));
        assert_eq!((packages["b"].installed.as_deref(), packages["b"].held), (None, false));
        assert_eq!(packages["c"].installed, None);
        assert_eq!(packages["d"].installed.as_deref(), Some("1.2.3-00 (half-configured)"));
        assert_eq!(packages["a"].candidates, Seen::Unknown("not asked".to_owned()));
    }

    #[test]
    fn candidates_keep_their_order_and_a_dead_source_is_not_an_empty_one() {
        let packages = read_text(
            " manager apt\n asked a\n asked b\n",
            "@@ candidates\n failed http://x\n candidate a 2.0-1\n candidate a 1.0-1\n candidate a 2.0-1\n@@ end candidates ok\n",
        );
        assert_eq!(packages["a"].candidates, Seen::Known(vec!["2.0-1".to_owned(), "1.0-1".to_owned()]));
        assert_eq!(packages["b"].candidates, Seen::Unknown("a package source did not answer: http://x".to_owned()));
    }
}
