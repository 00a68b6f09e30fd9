//! A snapshot as it comes: hashed, kept in the clear in a file without a name for its pages to be read, and sent on its way to
//! be stored, all at once.

use std::fs::File;
use std::io::{self, Write as _};

use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::mpsc::Receiver;

use super::sink::{How, Sink, Staged};
use crate::remote::snapshot::{self, Bad, Hashes, Inside, TrailingHash};

/// The pages of a snapshot that came whole.
pub struct Pages {
    plain: File,
    hashes: Hashes,
}

impl Pages {
    /// Reads and checks them. Blocks.
    pub fn read(self) -> Result<Inside, PackError> {
        snapshot::pages(&self.plain, self.hashes).map_err(PackError::Bad)
    }
}

/// A snapshot that came whole and is on its way to the disk.
pub struct Storing {
    sink: Sink,
    folder: Utf8PathBuf,
    written: String,
}

impl Storing {
    /// Waits until the disk has it. Blocks.
    pub fn finish(self) -> Result<Staged, PackError> {
        let Self { sink, folder, written } = self;
        sink.finish(&written).map_err(|cause| PackError::Disk { folder, cause })
    }
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The disk says no.
    #[error("could not write to {folder}")]
    Disk {
        /// Where.
        folder: Utf8PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// What came is no snapshot.
    #[error("what came is not a good snapshot")]
    Bad(#[source] Bad),
}

/// Receives a snapshot until `from` ends: its bytes are those that etcd sent. Blocks. The two that are left are for two cores.
pub fn receive(mut from: Receiver<Vec<u8>>, folder: &Utf8Path, how: &How) -> Result<(Pages, Storing), PackError> {
    let disk = |cause| PackError::Disk { folder: folder.to_owned(), cause };
    let mut sink = Sink::new(folder, how).map_err(disk)?;
    // What is stored as it is needs no second file. Else without a name from the beginning: nobody finds it, and whatever
    // happens, nothing is left of it.
    let (plain, mut copy) = if let Some(file) = sink.plain() {
        (file.reopen().map_err(disk)?, None)
    } else {
        let file = tempfile::tempfile_in(folder).map_err(disk)?;
        (file.try_clone().map_err(disk)?, Some(file))
    };
    let mut hash = TrailingHash::default();
    while let Some(bytes) = from.blocking_recv() {
        hash.update(&bytes);
        if let Some(copy) = &mut copy {
            copy.write_all(&bytes).map_err(disk)?;
        }
        sink.write_all(&bytes).map_err(disk)?;
    }
    let hashes = hash.finish().map_err(PackError::Bad)?;
    let written = hashes.file.clone();
    Ok((Pages { plain, hashes }, Storing { sink, folder: folder.to_owned(), written }))
}
