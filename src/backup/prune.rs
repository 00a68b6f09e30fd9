//! Retention at a destination: which backups of one cluster may go, and their removal.
//!
//! Whose a backup is, its manifest says, and only what is whole counts: its snapshot is there with the size in the manifest. The
//! newest whole backup and the one that was just taken never go, nor does anything that another cluster's manifest, or none,
//! stands for.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::keep::{Keep, Reason};
use super::manifest::Manifest;
use super::name::{BackupName, Part};
use super::sink::{sha256_of, temporary_folder};
use crate::remote::store::{Entry, Store, StoreError};
use crate::text::count;

/// Whose backups are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// The cluster's name, with which the names of its backups begin.
    pub cluster: String,
    /// The id of its etcd cluster.
    pub cluster_id: u64,
    /// The uid of its namespace `kube-system`, which outlives a restore, when it is known.
    pub kube_system_uid: Option<String>,
}

impl Whose {
    /// Whether a backup with this manifest is theirs.
    pub fn owns(&self, manifest: &Manifest) -> bool {
        let same = match (&self.kube_system_uid, &manifest.kube_system_uid) {
            (Some(ours), Some(its)) => ours == its,
            _ => self.cluster_id == manifest.cluster_id.0,
        };
        same && self.cluster == manifest.cluster
    }

    /// Whose the backup with this manifest is.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            cluster: manifest.cluster.clone(),
            cluster_id: manifest.cluster_id.0,
            kube_system_uid: manifest.kube_system_uid.clone(),
        }
    }
}

/// What may go from one destination, and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruning {
    /// What stays, oldest first, and why.
    pub stays: Vec<(BackupName, Vec<Reason>)>,
    /// What goes, oldest first.
    pub goes: Vec<Going>,
    /// What was met and left alone, in words.
    pub remarks: Vec<String>,
}

/// A backup that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Going {
    /// Its name.
    pub name: BackupName,
    /// Its objects in the order in which they go: the manifest last, so that what an interruption leaves still has one.
    pub objects: Vec<Entry>,
}

impl Going {
    /// How much room it takes.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.bytes).sum()
    }
}

/// A backup that is counted whatever the destination shows.
#[derive(Clone, Copy, Debug)]
pub enum Newest<'a> {
    /// It was taken just now, and stays.
    Just(&'a BackupName),
    /// It would be taken at this time.
    Coming(Timestamp),
}

/// The objects of one name.
type Objects = BTreeMap<Part, Entry>;

/// Looks what `keep` leaves of the backups of `whose` at `store`. Changes nothing.
pub async fn look(store: &Store, whose: &Whose, keep: Keep, newest: Option<Newest<'_>>) -> Result<Pruning, StoreError> {
    let mut backups: BTreeMap<BackupName, Objects> = BTreeMap::new();
    for entry in store.list().await? {
        if let Some((name, part)) = BackupName::parse(&entry.name).filter(|(name, _)| name.cluster == whose.cluster) {
            backups.entry(name).or_default().insert(part, entry);
        }
    }
    let with_manifest = |(_, objects): &(&BackupName, &Objects)| objects.contains_key(&Part::Manifest);
    let names: Vec<&BackupName> = backups.iter().filter(with_manifest).map(|(name, _)| name).collect();
    let files: Vec<String> = names.iter().map(|name| name.object(Part::Manifest)).collect();
    let texts = store.read(&files).await?;
    let manifests: BTreeMap<&BackupName, String> = names.into_iter().zip(texts).collect();
    Ok(judge(&backups, &manifests, whose, keep, newest))
}

/// The newest whole backup of `whose` at `store`; emergencies are not counted.
pub async fn newest(store: &Store, whose: &Whose) -> Result<Option<BackupName>, StoreError> {
    // With no rule only the newest stays.
    let pruning = look(store, whose, Keep::default(), None).await?;
    let names = pruning.stays.into_iter().map(|(name, _)| name);
    Ok(names.max_by_key(|name| (name.taken, name.revision)))
}

/// Takes away what `pruning` says, oldest first. Stops at the first that cannot be.
pub async fn carry_out(store: &Store, pruning: &Pruning) -> Result<(), StoreError> {
    for object in pruning.goes.iter().flat_map(|going| &going.objects) {
        store.remove(&object.name).await?;
    }
    Ok(())
}

/// Reads back the newest backup that stays, before others go on the strength of it: a disk may have lost what a listing still
/// shows. What is elsewhere is fetched into `stage`, and gone again afterwards. With nothing to go, nothing is read.
pub async fn lean_on_newest(store: &Store, pruning: &Pruning, stage: &Utf8Path) -> Result<(), LeanError> {
    let by_time = |(name, _): &&(BackupName, Vec<Reason>)| (name.taken, name.revision);
    let Some((name, _)) = pruning.stays.iter().max_by_key(by_time).filter(|_| !pruning.goes.is_empty()) else {
        return Ok(());
    };
    let read = store.read(&[name.object(Part::Manifest)]).await.map_err(LeanError::Store)?;
    let manifest = Manifest::from_json(&read.concat()).map_err(|_| LeanError::Spoilt(name.clone()))?;
    let object = manifest.stored.name;
    let fetched = temporary_folder(stage).map_err(LeanError::Stage)?;
    let at = match store.folder() {
        Some(folder) => folder.path().join(&object),
        None => Utf8PathBuf::try_from(fetched.path().join(&object)).map_err(|e| LeanError::Stage(e.into_io_error()))?,
    };
    if store.folder().is_none() {
        store.get(&object, &at).await.map_err(LeanError::Store)?;
    }
    let hashed = tokio::task::spawn_blocking(move || sha256_of(&mut std::fs::File::open(at)?)).await;
    let hashed = hashed.map_err(|died| LeanError::Stage(std::io::Error::other(died)))?.map_err(LeanError::Stage)?;
    if hashed == (manifest.stored.sha256, manifest.stored.bytes) {
        Ok(())
    } else {
        Err(LeanError::Spoilt(name.clone()))
    }
}

/// Why nothing goes.
#[derive(Debug, thiserror::Error)]
pub enum LeanError {
    /// The newest is not what it was.
    #[error("{0}, the newest that would stay, is not what its manifest says: nothing was removed")]
    Spoilt(BackupName),
    /// The destination does not give it.
    #[error("the newest backup that would stay could not be read back: nothing was removed")]
    Store(#[source] StoreError),
    /// This machine has no room for it, or cannot read it.
    #[error("the newest backup that would stay could not be read back here: nothing was removed")]
    Stage(#[source] std::io::Error),
}

/// What an object at the destination is to us.
enum Standing {
    /// A whole backup of ours.
    Whole,
    /// Ours, and taken without quorum: it is not counted, and only people remove it.
    Emergency,
    /// The manifest of ours that a removal left, which was interrupted.
    Left,
    /// None of ours, or not to be understood: what is to be said of it.
    Strange(Option<String>),
}

fn judge(
    backups: &BTreeMap<BackupName, Objects>,
    manifests: &BTreeMap<&BackupName, String>,
    whose: &Whose,
    keep: Keep,
    newest: Option<Newest<'_>>,
) -> Pruning {
    let (mut pruning, mut whole, mut left) = (Pruning::default(), Vec::new(), Vec::new());
    let mut alone = 0;
    for (name, objects) in backups {
        match manifests.get(name).map(|text| standing(name, objects, text, whose)) {
            Some(Standing::Whole) => whole.push((name, objects)),
            Some(Standing::Emergency) => pruning.remarks.push(format!("{name} was taken in an emergency: it stays")),
            Some(Standing::Left) => left.push((name, objects)),
            Some(Standing::Strange(remark)) => pruning.remarks.extend(remark),
            None => alone += 1,
        }
    }
    if alone > 0 {
        pruning.remarks.push(format!("{} without a manifest: nobody's backup, and left alone", count(alone, "name")));
    }
    // By time: of one second, by revision.
    whole.sort_by_key(|(name, _)| (name.taken, name.revision));
    let mut taken: Vec<_> = whole.iter().map(|(name, _)| name.taken).collect();
    let just = match newest {
        Some(Newest::Just(name)) => Some(name),
        Some(Newest::Coming(time)) => {
            taken.push(time);
            pruning.remarks.push("the backup that would be taken now is counted".to_owned());
            None
        }
        None => None,
    };
    for ((name, objects), reasons) in whole.iter().zip(keep.reasons(&taken)) {
        if reasons.is_empty() && Some(*name) != just {
            pruning.goes.push(going(name, objects));
        } else {
            pruning.stays.push(((*name).clone(), reasons));
        }
    }
    // Where nothing whole would be left, nothing goes.
    if !whole.is_empty() && keep != Keep::default() {
        pruning.goes.extend(left.into_iter().map(|(name, objects)| going(name, objects)));
        pruning.goes.sort_by_key(|going| (going.name.taken, going.name.revision));
    }
    pruning
}

fn standing(name: &BackupName, objects: &Objects, text: &str, whose: &Whose) -> Standing {
    let strange = |why: String| Standing::Strange(Some(format!("{name} is left alone: {why}")));
    let manifest = match Manifest::from_json(text) {
        Ok(manifest) => manifest,
        Err(error) => return strange(crate::error::chain(&error).join(": ")),
    };
    if !whose.owns(&manifest) {
        // Another cluster's of the same name is nothing to wonder at where both are kept in one place.
        return Standing::Strange(None);
    }
    let said: Vec<_> =
        [Some(&manifest.stored), manifest.pki.as_ref().map(|pki| &pki.stored)].into_iter().flatten().collect();
    let there = |wanted: &str| objects.values().find(|object| object.name == wanted);
    if objects.len() == 1 {
        return Standing::Left;
    }
    for wanted in said {
        match there(&wanted.name) {
            Some(object) if object.bytes == wanted.bytes => {}
            Some(object) => {
                return strange(format!("{} has {} bytes and not {}", wanted.name, object.bytes, wanted.bytes));
            }
            None => return strange(format!("{} is not there", wanted.name)),
        }
    }
    if manifest.emergency { Standing::Emergency } else { Standing::Whole }
}

fn going(name: &BackupName, objects: &Objects) -> Going {
    let (mut last, mut first): (Vec<_>, Vec<_>) = objects.iter().partition(|(part, _)| **part == Part::Manifest);
    first.append(&mut last);
    Going { name: name.clone(), objects: first.into_iter().map(|(_, entry)| entry.clone()).collect() }
}
