//! The hash that etcd appends to a snapshot, checked while the bytes go by. It only counts and compares.

use sha2::{Digest, Sha256};

use super::Bad;
use crate::text::hex;

/// Bytes of the hash at the end.
pub(super) const HASH_BYTES: usize = 32;

/// SHA-256 of a snapshot, hex.
pub(crate) struct Hashes {
    /// Of the database, which is what etcd appended.
    pub(crate) database: String,
    /// Of the file with that.
    pub(crate) file: String,
}

/// SHA-256 of all but the last 32 bytes, which should be that hash.
#[derive(Default)]
pub(crate) struct TrailingHash {
    hash: Sha256,
    last: Vec<u8>,
    bytes: u64,
}

impl TrailingHash {
    /// What comes next.
    pub(crate) fn update(&mut self, more: &[u8]) {
        self.bytes += more.len() as u64;
        // Of what was held back and what came, all but the last 32 bytes is database for certain.
        let keep = HASH_BYTES.min(self.last.len() + more.len());
        let from_more = keep.min(more.len());
        let from_last = keep - from_more;
        let (sure, kept) = self.last.split_at(self.last.len() - from_last);
        self.hash.update(sure);
        self.hash.update(&more[..more.len() - from_more]);
        let mut last = kept.to_vec();
        last.extend_from_slice(&more[more.len() - from_more..]);
        self.last = last;
    }

    /// The hashes, when the bytes end with the database's.
    pub(crate) fn finish(self) -> Result<Hashes, Bad> {
        // A database is whole pages, and those are multiples of 512 bytes: what is left over must be the hash.
        if self.bytes == 0 {
            return Err(Bad::CutOff("it is empty: 0 bytes, cut off before it began".to_owned()));
        }
        if self.bytes % 512 != HASH_BYTES as u64 || self.bytes < 512 {
            return Err(Bad::CutOff(format!("its {} bytes are not whole pages and a hash: it is cut off", self.bytes)));
        }
        let file = self.hash.clone().chain_update(&self.last).finalize();
        let computed = self.hash.finalize();
        if computed[..] == self.last[..] {
            Ok(Hashes { database: hex(&computed), file: hex(&file) })
        } else {
            Err(Bad::Hash(format!("its SHA-256 is {}, and {} was appended", hex(&computed), hex(&self.last))))
        }
    }
}
