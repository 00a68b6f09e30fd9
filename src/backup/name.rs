//! What a backup's objects are called: `CLUSTER-20261123T010319Z-r1234.db.zst.age`, so that they sort by time and say whose
//! they are, how young, and how to open them.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The time in a name, to the second, in UTC.
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// What the objects of one backup have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackupName {
    /// The cluster's name. The manifest's ids decide whose a backup is; this is for people.
    pub cluster: String,
    /// When it was begun; whole seconds.
    pub taken: Timestamp,
    /// Revision of the snapshot.
    pub revision: u64,
}

/// One object of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The snapshot.
    Database {
        /// With zstd.
        compressed: bool,
        /// With age.
        encrypted: bool,
    },
    /// Certificates, keys and configuration; always compressed and encrypted.
    Pki,
    /// The manifest.
    Manifest,
}

impl Part {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::Database { compressed: false, encrypted: false },
        Self::Database { compressed: true, encrypted: false },
        Self::Database { compressed: false, encrypted: true },
        Self::Database { compressed: true, encrypted: true },
        Self::Pki,
        Self::Manifest,
    ];

    /// What follows the name, with its dot.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Database { compressed: false, encrypted: false } => ".db",
            Self::Database { compressed: true, encrypted: false } => ".db.zst",
            Self::Database { compressed: false, encrypted: true } => ".db.age",
            Self::Database { compressed: true, encrypted: true } => ".db.zst.age",
            Self::Pki => ".pki.tar.zst.age",
            Self::Manifest => ".json",
        }
    }
}

impl BackupName {
    /// The name of one of its objects.
    pub fn object(&self, part: Part) -> String {
        format!("{self}{}", part.ending())
    }

    /// Reads the name of an object; nothing when it is not a backup's.
    pub fn parse(object: &str) -> Option<(Self, Part)> {
        // A cluster's name has no dot, and neither has what follows it.
        let (stem, _) = object.split_once('.')?;
        let ending = &object[stem.len()..];
        let part = Part::ALL.into_iter().find(|part| part.ending() == ending)?;
        let (rest, revision) = stem.rsplit_once("-r")?;
        let (cluster, taken) = rest.rsplit_once('-')?;
        let taken = DateTime::strptime(TIME, taken).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let name = Self { cluster: cluster.to_owned(), taken, revision: revision.parse().ok()? };
        // One way to write each: `r007` or `+7` are not ours.
        (!cluster.is_empty() && name.object(part) == object).then_some((name, part))
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-r{}", self.cluster, self.taken.strftime(TIME), self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(cluster: &str) -> BackupName {
        let taken = "2026-11-23T01:03:19Z".parse().expect("a time");
        BackupName { cluster: cluster.to_owned(), taken, revision: 1234 }
    }

    #[test]
    fn objects_are_called_so_that_they_sort_by_time() {
        let part = Part::Database { compressed: true, encrypted: true };
        assert_eq!(name("lab").object(part), "lab-20261123T010319Z-r1234.db.zst.age");
        assert_eq!(name("lab").object(Part::Manifest), "lab-20261123T010319Z-r1234.json");
    }

    #[test]
    fn every_name_comes_back() {
        for cluster in ["lab", "my-lab-r7", "r", "a-20261123T010319Z-r1"] {
            for part in Part::ALL {
                let object = name(cluster).object(part);
                assert_eq!(BackupName::parse(&object), Some((name(cluster), part)), "{object}");
            }
        }
    }

    #[test]
    fn what_is_not_ours_has_no_name() {
        for object in [
            "",
            "lab.db",
            "lab-20261123T010319Z-r1234",
            "lab-20261123T010319Z-r1234.db.gz",
            "lab-20261123T010319Z-r1234.db.part",
            "lab-20261123T010319Z-r01.db",
            "lab-20261123T010319Z-r+1.db",
            "lab-20261323T010319Z-r1.db",
            "lab-20261123T010319-r1.db",
            "-20261123T010319Z-r1.db",
            ".lab-20261123T010319Z-r1.db",
        ] {
            assert_eq!(BackupName::parse(object), None, "{object}");
        }
    }
}
