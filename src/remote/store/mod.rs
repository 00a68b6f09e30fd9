//! Destinations of backups: where objects with flat names are listed, put, fetched and removed. It knows nothing of etcd.
//!
//! An object appears under its name only when it is whole and on disk, and no object is ever replaced.

mod folder;
mod fresh;
mod object;
mod ssh;

use std::fmt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

pub use folder::Folder;
pub use object::Object;
pub use ssh::Ssh;

/// What temporary files begin with; they are never listed.
pub(crate) const TEMPORARY: &str = ".windlass-";

/// A temporary file that nobody has written to for this long was left by a run that was killed. No object takes a day.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3600);

/// The largest object that is read into memory. A manifest has a few KiB.
const SMALL: u64 = 1 << 20;

/// A destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// A folder on this machine.
    Folder(Folder),
    /// A folder on another machine, over SFTP.
    Ssh(Ssh),
    /// A bucket.
    Object(Object),
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
    /// Reads a destination as people write it: a path or `file:///…` is a folder, `ssh://[user@]host[:port]/path` one on another
    /// machine (`/~/path` is below the account's own), `s3://bucket/prefix` a bucket. Touches nothing.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        match text.split_once("://") {
            None if text.is_empty() => Err(StoreError::Unknown(text.to_owned())),
            None => Ok(Self::Folder(Folder::new(Utf8PathBuf::from(text)))),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Folder(Folder::new(Utf8PathBuf::from(path)))),
            Some(("ssh", rest)) => Ssh::parse(rest).map(Self::Ssh).ok_or_else(|| StoreError::Unknown(text.to_owned())),
            Some(("s3", rest)) => {
                Object::parse(rest).map(Self::Object).ok_or_else(|| StoreError::Unknown(text.to_owned()))
            }
            Some(_) => Err(StoreError::Unknown(text.to_owned())),
        }
    }

    /// The folder that it is, when it is one.
    pub fn folder(&self) -> Option<&Folder> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Ssh(_) | Self::Object(_) => None,
        }
    }

    /// The same; another machine is reached with this configuration of ssh in place of the user's own.
    #[must_use]
    pub fn with_ssh_config(self, config: Option<&Utf8Path>) -> Self {
        match (self, config) {
            (Self::Ssh(ssh), Some(config)) => Self::Ssh(ssh.with_config(config.to_owned())),
            (other, _) => other,
        }
    }

    /// The same; a bucket is reached with these variables (`AWS_…`) in place of the process's own.
    #[must_use]
    pub fn with_environment(self, variables: Vec<(String, String)>) -> Self {
        match self {
            Self::Object(object) => Self::Object(object.with_environment(variables)),
            other => other,
        }
    }

    /// Every object, by name. A folder that is not there yet has none.
    pub async fn list(&self) -> Result<Vec<Entry>, StoreError> {
        match self {
            Self::Folder(folder) => folder.list().await,
            Self::Ssh(ssh) => ssh.list().await,
            Self::Object(object) => object.list().await,
        }
    }

    /// Puts the file `from` there as the new object `name`: whole, on disk, or not at all. Nobody is to write to that file any
    /// more: the folder that it is in takes it as it is.
    pub async fn put(&self, name: &str, from: &Utf8Path) -> Result<(), StoreError> {
        match self {
            Self::Folder(folder) => folder.put(name, from).await,
            Self::Ssh(ssh) => ssh.put(name, from).await,
            Self::Object(object) => object.put(name, from).await,
        }
    }

    /// Fetches the object `name` into the new file `into`, 0600.
    pub async fn get(&self, name: &str, into: &Utf8Path) -> Result<(), StoreError> {
        match self {
            Self::Folder(folder) => folder.get(name, into).await,
            Self::Ssh(ssh) => ssh.get(name, into).await,
            Self::Object(object) => object.get(name, into).await,
        }
    }

    /// The small objects `names` as text, in that order. Fails on the first that cannot be read or is no text.
    pub async fn read(&self, names: &[String]) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Folder(folder) => folder.read(names).await,
            Self::Ssh(ssh) => ssh.read(names).await,
            Self::Object(object) => object.read(names).await,
        }
    }

    /// Removes the object `name`.
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        match self {
            Self::Folder(folder) => folder.remove(name).await,
            Self::Ssh(ssh) => ssh.remove(name).await,
            Self::Object(object) => object.remove(name).await,
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => f.write_str(folder.path().as_str()),
            Self::Ssh(ssh) => ssh.fmt(f),
            Self::Object(object) => object.fmt(f),
        }
    }
}
