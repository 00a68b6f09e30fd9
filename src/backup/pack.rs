//! A snapshot as it comes: hashed, kept in the clear in a file without a name for its pages to be read, and sent on its way to
//! be stored, all at once.

use std::io::{self, Write as _};

use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::mpsc::Receiver;

use super::sink::{How, Sink, Staged};
use crate::remote::snapshot::{self, Bad, Inside, TrailingHash};

/// A snapshot that was received, verified, and made ready to be stored.
#[derive(Debug)]
pub struct Packed {
    /// What is in it.
    pub inside: Inside,
    /// As it will be stored.
    pub stored: Staged,
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

/// Receives a snapshot until `from` ends. Blocks.
pub fn pack(mut from: Receiver<Vec<u8>>, folder: &Utf8Path, how: &How) -> Result<Packed, PackError> {
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
    // The disk and the pages take as long as each other.
    let (stored, inside) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| snapshot::pages(&plain, hashes));
        (sink.finish(&written), reading.join())
    });
    let inside = inside.map_err(|_| disk(io::Error::other("the reader of its pages died")))?;
    Ok(Packed { inside: inside.map_err(PackError::Bad)?, stored: stored.map_err(disk)? })
}
