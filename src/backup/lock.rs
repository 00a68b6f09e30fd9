//! One backup of a cluster at a time on this machine: a lock file, and in it who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};

/// The lock, held until it is dropped, also by the death of the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why it is not held.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process is at it.
    #[error("another backup of this cluster runs: {0}")]
    Busy(String),
    /// The disk says no.
    #[error("could not lock {path}")]
    Io {
        /// Which file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

impl Lock {
    /// Takes the lock file `path` for `who`, which others are told.
    pub fn take(path: &Utf8Path, who: &str) -> Result<Self, LockError> {
        let io = |cause| LockError::Io { path: path.to_owned(), cause };
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let mut file = opened.map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(cause)) => return Err(io(cause)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // It may just be writing who it is.
                let _ = file.read_to_string(&mut holder);
                let holder = if holder.is_empty() { format!("it holds {path}") } else { holder };
                return Err(LockError::Busy(holder.trim().to_owned()));
            }
        }
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{who}"));
        written.map_err(io)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Utf8Path::from_path(folder.path()).expect("a path").join("backup.lock");
        let first = Lock::take(&path, "ann@desk, process 7").expect("it is free");
        let second = Lock::take(&path, "bob@desk, process 8").expect_err("it is held");
        assert_eq!(second.to_string(), "another backup of this cluster runs: ann@desk, process 7");
        drop(first);
        drop(Lock::take(&path, "b").expect("it is free again"));
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "b\n");
    }
}
