//! Secrets in a file that has no name, for what reads files: it is in nobody's folder, and goes with the value.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;

use camino::Utf8PathBuf;
use sha2::{Digest as _, Sha256};

use crate::text::hex;

/// Some bytes in a file without a name.
pub(super) struct Nameless {
    file: File,
    bytes: usize,
    sha256: String,
}

impl Nameless {
    /// A file of these bytes. Fails when none can be made.
    pub(super) fn of(bytes: &[u8]) -> std::io::Result<Self> {
        let mut file = tempfile::tempfile()?;
        file.write_all(bytes)?;
        Ok(Self { file, bytes: bytes.len(), sha256: hex(&Sha256::digest(bytes)) })
    }

    /// Where this process can open it.
    pub(super) fn path(&self) -> Utf8PathBuf {
        Utf8PathBuf::from(format!("/dev/fd/{}", self.file.as_raw_fd()))
    }

    /// The arguments of `put-file` that announce it as `name`, under `token`.
    pub(super) fn announced(&self, token: String, name: String) -> Vec<String> {
        vec![token, name, self.sha256.clone(), self.bytes.to_string()]
    }
}
