//! A new file of this machine: it appears under its name only when it is whole and on disk, and never in another's place.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::NamedTempFile;

use super::TEMPORARY;

/// A file that has no name yet; dropped, it is gone.
pub(super) struct Fresh {
    file: NamedTempFile,
    at: Utf8PathBuf,
}

impl Fresh {
    /// An empty file, 0600, that is to become `at`.
    pub(super) fn new(at: &Utf8Path) -> io::Result<Self> {
        let file = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(parent(at))?;
        Ok(Self { file, at: at.to_owned() })
    }

    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// The file itself.
    pub(super) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Gives it its name, unless a file has that already.
    pub(super) fn finish(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist_noclobber(&self.at).map_err(|error| error.error)?;
        sync(parent(&self.at))
    }
}

/// The folder that a path is in.
pub(super) fn parent(path: &Utf8Path) -> &Utf8Path {
    path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."))
}

/// A name survives a power loss only once its folder was synced.
pub(super) fn sync(folder: &Utf8Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
