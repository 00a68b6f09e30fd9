//! Looks at one backup: is it whole, can it be opened, is it what its manifest says and whose its name says?

use std::fs::File;
use std::io;

use camino::Utf8Path;

use super::manifest::{Id, Object};
use super::open::{self, NotOpened};
use super::seal::Identities;
use super::sink::sha256_of;
use super::{BackupName, Manifest, Part};
use crate::remote::snapshot::{self, Bad, Inside};

/// What is wrong with a backup. Each has its own exit code and its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is not there, or could not be read.
    #[error("it could not be read: {0}")]
    Unread(String),
    /// No manifest, or one that is none.
    #[error("its manifest is no good: {0}")]
    Manifest(String),
    /// It ends too early: 0 bytes, half a transfer, a missing hash.
    #[error("it is cut off: {0}")]
    CutOff(String),
    /// Bits have changed.
    #[error("its bytes are not those that were written: {0}")]
    Hash(String),
    /// Its hash is right, and its pages are no database.
    #[error("its pages are broken: {0}")]
    Pages(String),
    /// It is good, and not what the manifest says.
    #[error("its manifest lies: {0}")]
    Lie(String),
    /// It is good, and of another cluster than the manifest or the name says.
    #[error("it is of another cluster: {0}")]
    Foreign(String),
    /// It cannot be decrypted with what was given.
    #[error("it cannot be opened: {0}")]
    Locked(String),
    /// It is good as a file, and did not come to life as what it should be.
    #[error("it is not proven: {0}")]
    Unproven(String),
}

impl Fault {
    /// One word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unread(_) => "unread",
            Self::Manifest(_) => "manifest",
            Self::CutOff(_) => "cut-off",
            Self::Hash(_) => "changed",
            Self::Pages(_) => "pages",
            Self::Lie(_) => "lie",
            Self::Foreign(_) => "foreign",
            Self::Locked(_) => "locked",
            Self::Unproven(_) => "unproven",
        }
    }
}

/// A backup's files on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The stored snapshot.
    pub database: &'a Utf8Path,
    /// How it is stored.
    pub part: Part,
    /// What its name says.
    pub name: Option<&'a BackupName>,
    /// Its manifest, when it has one.
    pub manifest: Option<&'a Manifest>,
    /// The encrypted archive beside it, when there is one.
    pub pki: Option<&'a Utf8Path>,
}

/// A backup that is good.
#[derive(Debug)]
pub struct Good {
    /// What is in it.
    pub inside: Inside,
    /// The snapshot as etcd sent it, open.
    pub plain: File,
}

/// Looks at all of it. Blocks; what has to be decrypted or decompressed goes to a file without a name in `folder`.
pub fn check(files: &Files<'_>, identities: &Identities, folder: &Utf8Path) -> Result<Good, Fault> {
    let stored = match files.manifest {
        // Nothing is known to compare it with, and it is read only once.
        None => Ok(()),
        Some(manifest) => same_bytes(files.database, &manifest.stored),
    };
    let opened = open::database(files.database, files.part, identities, folder);
    let (inside, plain) = match (opened, &stored) {
        (Ok(file), _) => (snapshot::inside(&file).map_err(Fault::from)?, file),
        // What was stored is as it was written: it is the key that does not fit.
        (Err(NotOpened::NoKey), Ok(())) if identities.is_empty() => {
            let known = files.manifest.map_or("", |_| "; as stored it is whole");
            return Err(Fault::Locked(format!("it is encrypted, and no identity was given{known}")));
        }
        (Err(NotOpened::NoKey), Ok(())) => {
            return Err(Fault::Locked("none of the identities given is one that it was encrypted for".to_owned()));
        }
        (Err(_), Err(fault)) => return Err(fault.clone()),
        (Err(NotOpened::CutOff(why)), Ok(())) => return Err(Fault::CutOff(why)),
        (Err(NotOpened::Damaged(why)), Ok(())) => return Err(Fault::Hash(why)),
        (Err(NotOpened::Local(cause)), Ok(())) => return Err(Fault::Unread(cause.to_string())),
    };
    if let Some(manifest) = files.manifest {
        agree(manifest, &inside, files.name)?;
    }
    // The snapshot is good and what the manifest says: then the size and hash of what is stored must be, too.
    stored.map_err(|fault| Fault::Lie(fault.to_string()))?;
    if let Some(manifest) = files.manifest {
        pki(manifest, files.pki, identities)?;
    }
    Ok(Good { inside, plain })
}

/// Whether a stored object has the size and hash that were written down.
fn same_bytes(path: &Utf8Path, object: &Object) -> Result<(), Fault> {
    let unread = |error: io::Error| Fault::Unread(format!("{path}: {error}"));
    let mut file = File::open(path).map_err(unread)?;
    let (sha256, bytes) = sha256_of(&mut file).map_err(unread)?;
    if bytes < object.bytes {
        Err(Fault::CutOff(format!("it has {bytes} bytes, and {} were written", object.bytes)))
    } else if (bytes, &sha256) == (object.bytes, &object.sha256) {
        Ok(())
    } else {
        let (is, was) = (bytes, object.bytes);
        Err(Fault::Hash(format!("{is} bytes with SHA-256 {sha256}, where {was} with {} were written", object.sha256)))
    }
}

/// Whether a good snapshot is the one that the manifest tells of.
fn agree(manifest: &Manifest, inside: &Inside, name: Option<&BackupName>) -> Result<(), Fault> {
    let told: Vec<u64> = {
        let mut ids: Vec<u64> = manifest.members.iter().map(|member| member.id.0).collect();
        ids.sort_unstable();
        ids
    };
    let foreign = |what: &str, is: String, said: String| Err(Fault::Foreign(format!("{what} {is}, not {said}")));
    let contents = &inside.contents;
    // etcd 3.4 leaves the members of before in what it restores: there may be others besides.
    if !told.iter().all(|id| contents.members.contains(id)) {
        let ids = |ids: &[u64]| ids.iter().map(|id| Id(*id).to_string()).collect::<Vec<_>>().join(" ");
        return foreign("its members are", ids(&contents.members), ids(&told));
    }
    if let (Some(is), Some(said)) = (&inside.kube_system_uid, &manifest.kube_system_uid)
        && is != said
    {
        return foreign("its namespace kube-system has uid", is.clone(), said.clone());
    }
    if let Some(name) = name.filter(|name| name.cluster != manifest.cluster) {
        return foreign("its manifest is of", manifest.cluster.clone(), name.cluster.clone());
    }
    let numbers = [
        ("revision", contents.revision, manifest.revision),
        ("compact revision", contents.compact_revision, manifest.compact_revision),
        ("keys", contents.keys, manifest.keys),
        ("keys below /registry", contents.registry_keys, manifest.registry_keys),
        ("bytes", contents.bytes, manifest.snapshot.bytes),
        ("the name's revision", name.map_or(manifest.revision, |name| name.revision), manifest.revision),
    ];
    for (what, is, said) in numbers {
        if is != said {
            return Err(Fault::Lie(format!("{what}: {is}, and it says {said}")));
        }
    }
    if contents.file_sha256 != manifest.snapshot.sha256 {
        return Err(Fault::Lie(format!(
            "the snapshot's SHA-256 is {}, and it says {}",
            contents.file_sha256, manifest.snapshot.sha256
        )));
    }
    if inside.kube_system_uid != manifest.kube_system_uid {
        return Err(Fault::Lie("it tells another uid of the namespace kube-system".to_owned()));
    }
    Ok(())
}

/// The encrypted archive beside it: its bytes, and with an identity whether it opens to its end.
fn pki(manifest: &Manifest, path: Option<&Utf8Path>, identities: &Identities) -> Result<(), Fault> {
    let Some(pki) = &manifest.pki else { return Ok(()) };
    let path = path.ok_or_else(|| Fault::Unread(format!("{} is not there", pki.stored.name)))?;
    same_bytes(path, &pki.stored)?;
    if identities.is_empty() {
        return Ok(());
    }
    match open::length(path, Part::Pki, identities) {
        Ok(_) => Ok(()),
        Err(NotOpened::NoKey) => Err(Fault::Locked(format!("{} is encrypted for others", pki.stored.name))),
        Err(NotOpened::CutOff(why)) => Err(Fault::CutOff(why)),
        Err(NotOpened::Damaged(why)) => Err(Fault::Hash(why)),
        Err(NotOpened::Local(cause)) => Err(Fault::Unread(cause.to_string())),
    }
}

impl From<Bad> for Fault {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Unread(why) | Bad::Unwanted(why) => Self::Unread(why),
            Bad::CutOff(why) => Self::CutOff(why),
            Bad::Hash(why) => Self::Hash(why),
            Bad::Pages(why) => Self::Pages(why),
        }
    }
}
