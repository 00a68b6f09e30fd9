//! The probe's section `kept` → what a machine keeps for going back.
//!
//! Pure. A line that cannot be read is an error: what is not surely there must not be counted on.

use std::collections::{BTreeMap, BTreeSet};

use super::sections::values;

/// What a machine keeps for going back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The archive of each run.
    pub archives: BTreeMap<String, Archive>,
    /// File names of packages, by run.
    pub packages: BTreeMap<String, BTreeSet<String>>,
    /// Copies of snapshots: their sizes in bytes by file name.
    pub snapshots: BTreeMap<String, u64>,
}

/// An archive of a machine's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256 as it is now, hex.
    pub sha256: String,
}

impl Kept {
    /// Whether the package `name` at `version` is kept for `run`.
    pub fn has_package(&self, run: &str, name: &str, version: &str) -> bool {
        // As apt names its files.
        let start = format!("{name}_{}_", version.replace(':', "%3a"));
        self.packages.get(run).is_some_and(|files| files.iter().any(|file| file.starts_with(&start)))
    }
}

/// Lines of `archive RUN BYTES SHA256`, `package RUN FILE` and `snapshot FILE BYTES`.
pub(super) fn read(lines: &[&str]) -> Result<Kept, String> {
    let mut kept = Kept::default();
    for line in values(lines, "archive") {
        let words: Vec<&str> = line.split(' ').collect();
        let &[run, bytes, sha256] = words.as_slice() else { return Err(unreadable(line)) };
        let bytes = bytes.parse().map_err(|_| unreadable(line))?;
        kept.archives.insert(run.to_owned(), Archive { bytes, sha256: sha256.to_owned() });
    }
    for line in values(lines, "package") {
        let (run, file) = line.split_once(' ').ok_or_else(|| unreadable(line))?;
        kept.packages.entry(run.to_owned()).or_default().insert(file.to_owned());
    }
    for line in values(lines, "snapshot") {
        let (file, bytes) = line.split_once(' ').ok_or_else(|| unreadable(line))?;
        kept.snapshots.insert(file.to_owned(), bytes.parse().map_err(|_| unreadable(line))?);
    }
    Ok(kept)
}

fn unreadable(line: &str) -> String {
    format!("what is kept on it cannot be read: `{line}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_by_run() {
        let lines = ["archive 0a1b 4096 ff00", "package 0a1b kubelet_1%3a1.20.2-00_amd64.deb", "snapshot lab-1.db 77"];
        let kept = read(&lines).expect("it can be read");
        assert_eq!(kept.archives["0a1b"], Archive { bytes: 4096, sha256: "ff00".to_owned() });
        assert!(kept.has_package("0a1b", "kubelet", "1:1.20.2-00"));
        assert!(!kept.has_package("0a1b", "kubelet", "1:1.20.2"), "only a part of the version");
        assert!(!kept.has_package("other", "kubelet", "1:1.20.2-00"));
        assert_eq!(kept.snapshots["lab-1.db"], 77);
    }

    #[test]
    fn what_cannot_be_read_is_not_counted_on() {
        for line in ["archive 0a1b 4096", "archive 0a1b x ff00", "package 0a1b", "snapshot lab-1.db many"] {
            assert!(read(&[line]).is_err(), "{line}");
        }
    }
}
