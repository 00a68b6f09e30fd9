//! The journal's disk: it loses what was not synced, tears lines, and fills up; and the end of a process at any of its writes.

use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use windlass::journal::store::Store;

/// What a killed engine leaves.
pub(crate) struct Killed;

/// Ends the process, as it were.
pub(crate) fn kill() -> ! {
    resume_unwind(Box::new(Killed))
}

/// Ends the process after so many burns.
#[derive(Debug)]
pub(crate) struct Fuse(AtomicI64);

impl Default for Fuse {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MAX))
    }
}

impl Fuse {
    pub(crate) fn set(&self, burns: i64) {
        self.0.store(burns, Ordering::SeqCst);
    }

    /// Burns since it was made, when it was never set.
    pub(crate) fn burnt(&self) -> i64 {
        i64::MAX - self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn burn(&self) {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            kill();
        }
    }
}

/// The journal's disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) text: String,
    /// Appends that still fit; the one after them is torn, and nothing is written from then on.
    pub(crate) room: Option<usize>,
}

impl Disk {
    /// What would be read after a power loss: whole lines.
    pub(crate) fn whole(&self) -> &str {
        &self.text[..self.text.rfind('\n').map_or(0, |at| at + 1)]
    }
}

/// A store on such a disk.
pub(crate) struct MemoryStore {
    pub(crate) disk: Arc<Mutex<Disk>>,
    pub(crate) fuse: Arc<Fuse>,
}

impl Store for MemoryStore {
    fn held(&mut self) -> String {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner).whole().to_owned()
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        let lock = || self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut disk = lock();
        let half = line.split_at(line.len() / 2).0;
        match &mut disk.room {
            Some(0) => {
                disk.text.push_str(half);
                disk.room = None;
                return Err(io::ErrorKind::StorageFull.into());
            }
            Some(room) => *room -= 1,
            None => {}
        }
        let before = disk.text.len();
        // Killed before the line is on disk; every other time half of it is.
        if before % 2 == 1 {
            disk.text.push_str(half);
        }
        drop(disk);
        self.fuse.burn();
        let mut disk = lock();
        disk.text.truncate(before);
        disk.text.push_str(line);
        disk.text.push('\n');
        drop(disk);
        self.fuse.burn();
        Ok(())
    }
}
