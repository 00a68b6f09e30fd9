//! A folder of the test's own, and what is put somewhere from it.

use camino::Utf8PathBuf;
use sha2::{Digest as _, Sha256};

/// A folder that is gone afterwards.
pub(crate) struct Place {
    pub(crate) base: Utf8PathBuf,
    _folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("stores-").tempdir().expect("a folder");
        let base = Utf8PathBuf::try_from(folder.path().to_owned()).expect("a path in UTF-8");
        Self { base, _folder: folder }
    }

    /// A file of `bytes` bytes, none of which look like their neighbours.
    pub(crate) fn file(&self, name: &str, bytes: usize) -> Utf8PathBuf {
        let path = self.base.join(name);
        let mut content = Vec::with_capacity(bytes + 32);
        let mut block = Sha256::digest(name);
        while content.len() < bytes {
            content.extend_from_slice(&block);
            block = Sha256::digest(block);
        }
        content.truncate(bytes);
        // What was put into a folder of the same disk is this very file.
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, content).expect("written");
        path
    }
}
