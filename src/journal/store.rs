//! The journal's disk: append, then fsync, then go on. One process at a time holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::{Event, FORMAT, History, JournalError, Record, read};
use crate::decide::plan::RunId;

/// Where records go. The real one is a file; tests have one that loses what was not synced.
pub trait Store: Send {
    /// The records that it held when it was opened, as text. Asked once, before the first append.
    fn held(&mut self) -> String;
    /// Appends a line and returns when it would survive a power loss.
    fn append(&mut self, line: &str) -> io::Result<()>;
}

/// A journal file, 0600, held by this process alone.
#[derive(Debug)]
pub struct FileStore {
    file: File,
    held: String,
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk says no.
    #[error("could not open the journal {path}")]
    Io {
        /// Which.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Another Windlass on this machine is at it.
    #[error("another windlass on this machine is carrying out this plan (it holds {0})")]
    Busy(Utf8PathBuf),
    /// It is not what it should be.
    #[error("the journal {path} cannot be read")]
    Broken {
        /// Which.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        cause: JournalError,
    },
}

impl FileStore {
    /// Opens or makes the journal of `run` at `path`, cuts a torn last line off, and returns what it tells.
    pub fn open(path: &Utf8Path, run: &RunId) -> Result<(Self, History), OpenError> {
        let io = |cause| OpenError::Io { path: path.to_owned(), cause };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Busy(path.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(io(cause)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        // A crash may tear a line within a letter: only whole lines have to be text.
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        let broken = |cause| OpenError::Broken { path: path.to_owned(), cause };
        let held = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..valid].split(|byte| *byte == b'\n').count();
            broken(JournalError::Changed { line })
        })?;
        let (records, whole) = read(&held).map_err(broken)?;
        let history = History::of(&records);
        if let Some(found) = history.run.clone().filter(|found| found != run) {
            return Err(broken(JournalError::Run { found, wanted: run.clone() }));
        }
        file.set_len(whole as u64).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        sync_folder(path).map_err(io)?;
        Ok((Self { file, held }, history))
    }
}

impl Store for FileStore {
    fn held(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")?;
        self.file.sync_data()
    }
}

/// A new file's name survives a power loss only once its folder was synced.
fn sync_folder(path: &Utf8Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    File::open(folder)?.sync_all()
}

/// A journal: its store, and what it adds up to.
pub struct Journal {
    store: Box<dyn Store>,
    /// An append has failed. What it left may be half a line, and nothing may be put behind that.
    torn: bool,
    /// The records so far, as text: what is copied to the control planes.
    text: String,
    /// What the records so far add up to.
    pub history: History,
}

impl Journal {
    /// A journal on `store` with the history that was read from it. A new one gets its first line.
    pub fn new(mut store: Box<dyn Store>, history: History, run: &RunId, now: Timestamp) -> io::Result<Self> {
        let text = store.held();
        let mut journal = Self { store, torn: false, text, history };
        if journal.history.run.is_none() {
            let windlass = env!("CARGO_PKG_VERSION").to_owned();
            journal.write(now, Event::Opened { format: FORMAT, run: run.clone(), windlass })?;
        }
        Ok(journal)
    }

    /// Writes an event; returns when it would survive a power loss.
    pub fn write(&mut self, now: Timestamp, event: Event) -> io::Result<()> {
        let (record, line) = Record::line(now, event, &self.history.seal).map_err(io::Error::other)?;
        if self.torn {
            return Err(io::Error::other("an earlier record could not be written"));
        }
        self.torn = true;
        self.store.append(&line)?;
        self.torn = false;
        self.text.push_str(&line);
        self.text.push('\n');
        self.history.add(&record);
        Ok(())
    }

    /// The records so far, as the file has them.
    pub fn text(&self) -> &str {
        &self.text
    }
}
