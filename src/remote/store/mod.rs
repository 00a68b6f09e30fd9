//! Destinations of backups: where objects with flat names are listed, put, fetched and removed. It knows nothing of etcd.
//!
//! An object appears under its name only when it is whole and on disk, and no object is ever replaced.

mod folder;

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};

pub use folder::Folder;
pub(crate) use folder::TEMPORARY;

/// A destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// A folder on this machine.
    Folder(Folder),
}

/// An object at a destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name, flat.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// What was asked of a destination and not done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The text names no destination.
    #[error("{} is no destination", crate::text::quoted(.0))]
    Unknown(String),
    /// Not done.
    #[error("could not {what}")]
    Failed {
        /// What was tried, as `put lab-….db into /backups`.
        what: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It has an object of this name, and keeps it.
    #[error("{at} already has {name}")]
    Exists {
        /// The destination.
        at: String,
        /// The object.
        name: String,
    },
}

impl Store {
    /// Reads a destination as people write it: a path or `file:///…` is a folder. Touches nothing.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        match text.split_once("://") {
            None if text.is_empty() => Err(StoreError::Unknown(text.to_owned())),
            None => Ok(Self::Folder(Folder::new(Utf8PathBuf::from(text)))),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Folder(Folder::new(Utf8PathBuf::from(path)))),
            Some(_) => Err(StoreError::Unknown(text.to_owned())),
        }
    }

    /// The folder that it is, when it is one.
    pub fn folder(&self) -> Option<&Folder> {
        match self {
            Self::Folder(folder) => Some(folder),
        }
    }

    /// Every object, by name. A folder that is not there yet has none.
    pub async fn list(&self) -> Result<Vec<Entry>, StoreError> {
        match self {
            Self::Folder(folder) => folder.list().await,
        }
    }

    /// Puts the file `from` there as the new object `name`: whole, on disk, or not at all.
    pub async fn put(&self, name: &str, from: &Utf8Path) -> Result<(), StoreError> {
        match self {
            Self::Folder(folder) => folder.put(name, from).await,
        }
    }

    /// Fetches the object `name` into the new file `into`, 0600.
    pub async fn get(&self, name: &str, into: &Utf8Path) -> Result<(), StoreError> {
        match self {
            Self::Folder(folder) => folder.get(name, into).await,
        }
    }

    /// Removes the object `name`.
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        match self {
            Self::Folder(folder) => folder.remove(name).await,
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => f.write_str(folder.path().as_str()),
        }
    }
}
