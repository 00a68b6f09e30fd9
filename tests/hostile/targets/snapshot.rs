//! Snapshots: files as a hostile or broken member would send them.

use std::cell::RefCell;
use std::io::{Seek as _, SeekFrom, Write as _};

use camino::Utf8Path;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use windlass::remote::snapshot::verify;

use super::way;

const PAGE_HEADER: usize = 16;
const META_BYTES: usize = 64;

thread_local! {
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().expect("a file"));
}

/// A snapshot. With an even first byte the rest is the file; with an odd one it is a database whose checksums are put right
/// and which gets its hash, so that what comes behind them is reached too.
pub(crate) fn snapshot(data: &[u8]) {
    let (first, rest) = way(data);
    let bytes = if first % 2 == 0 { rest.to_vec() } else { whole(rest) };
    let found = FILE.with_borrow_mut(|file| {
        let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&bytes));
        written.and_then(|()| file.as_file().set_len(bytes.len() as u64)).expect("it can be written");
        verify(Utf8Path::from_path(file.path()).expect("its name is text"))
    });
    if let Ok(contents) = found {
        assert_eq!(contents.bytes, bytes.len() as u64);
        assert_eq!(bytes.len() % 512, 32);
        assert!(contents.members.is_sorted() && contents.sha256.len() == 64);
        // A key takes more than its name: no file holds more of them than bytes.
        assert!(contents.registry_keys < contents.bytes);
    }
}

fn whole(database: &[u8]) -> Vec<u8> {
    let mut bytes = database.to_vec();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    // The first meta is at the beginning; the second a page further, which the first tells the size of.
    let size = bytes
        .get(PAGE_HEADER + 8..PAGE_HEADER + 12)
        .map_or(0, |size| u32::from_le_bytes(size.try_into().expect("four bytes")) as usize);
    for at in [0, size] {
        let from = at.saturating_add(PAGE_HEADER);
        if let Some(meta) = bytes.get_mut(from..from.saturating_add(META_BYTES)) {
            let sum = fnv1a(&meta[..META_BYTES - 8]);
            meta[META_BYTES - 8..].copy_from_slice(&sum.to_le_bytes());
        }
    }
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    bytes
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}
