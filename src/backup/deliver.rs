//! One backup to several destinations at once, and retention at each that took it. One that fails keeps none of the others
//! from it.

use camino::{Utf8Path, Utf8PathBuf};
use futures_util::future::join_all;

use super::BackupName;
use super::keep::Keep;
use super::prune::{self, Newest, Pruning, Whose};
use crate::remote::store::{Store, StoreError};

/// An object that is to be put somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Its name there.
    pub name: String,
    /// The file that it is.
    pub from: Utf8PathBuf,
}

impl Parcel {
    /// The file `from`, to be called `name`.
    pub fn new(name: impl Into<String>, from: &Utf8Path) -> Self {
        Self { name: name.into(), from: from.to_owned() }
    }
}

/// Whose backup it is that was just taken, and how many of theirs stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Whose.
    pub whose: Whose,
    /// How many.
    pub keep: Keep,
    /// The one that was just taken.
    pub just: BackupName,
}

/// What came of one destination.
#[derive(Debug)]
pub struct Delivered {
    /// The destination, as people write it.
    pub store: String,
    /// Whether the backup is there, whole.
    pub put: Result<(), StoreError>,
    /// What was removed, where the backup is there and something was to be looked for.
    pub pruned: Option<Result<Pruning, StoreError>>,
}

/// Puts the `parcels` to each of the `stores`, the manifest last, and then removes what `retention` does not keep from those
/// that took them.
pub async fn deliver(stores: &[Store], parcels: &[Parcel], retention: &Retention) -> Vec<Delivered> {
    join_all(stores.iter().map(async |store| {
        let put = put_all(store, parcels).await;
        let pruned = match put {
            Ok(()) if retention.keep != Keep::default() => Some(prune_one(store, retention).await),
            _ => None,
        };
        Delivered { store: store.to_string(), put, pruned }
    }))
    .await
}

async fn prune_one(store: &Store, Retention { whose, keep, just }: &Retention) -> Result<Pruning, StoreError> {
    let pruning = prune::look(store, whose, *keep, Some(Newest::Just(just))).await?;
    prune::carry_out(store, &pruning).await?;
    Ok(pruning)
}

/// The parcels one after another, the manifest last: what has none is not a backup. Where one fails, those before it are taken
/// back, and so is what may be there of itself, unless the name was somebody's.
async fn put_all(store: &Store, parcels: &[Parcel]) -> Result<(), StoreError> {
    for (index, parcel) in parcels.iter().enumerate() {
        if let Err(error) = store.put(&parcel.name, &parcel.from).await {
            let others = matches!(error, StoreError::Exists { .. });
            // A store that asks again by itself may have stored a manifest, not have been heard, and find it there.
            if others && index + 1 == parcels.len() && holds(store, parcel).await {
                return Ok(());
            }
            for put in &parcels[..if others { index } else { index + 1 }] {
                // What cannot be taken back lies there without a manifest: it is nobody's backup.
                let _ = store.remove(&put.name).await;
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Whether the store has this very text.
async fn holds(store: &Store, parcel: &Parcel) -> bool {
    let Ok(text) = std::fs::read_to_string(&parcel.from) else { return false };
    matches!(store.read(std::slice::from_ref(&parcel.name)).await, Ok(there) if there == [text])
}
