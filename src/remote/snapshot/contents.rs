//! What etcd keeps in its database, as far as a snapshot has to be judged by it: revision, live keys, members. It only reads.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::Bad;
use super::bolt::{Database, Entry, ReadAt};

/// Where Kubernetes keeps everything.
const REGISTRY: &[u8] = b"/registry/";

/// A revision in the `key` bucket: main `u64` big-endian, `_`, sub `u64` big-endian; and `t` behind it for a deletion.
const REVISION_BYTES: usize = 17;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// Highest main revision.
    pub(super) revision: u64,
    /// Distinct keys below `/registry/` whose last revision is not a deletion.
    pub(super) registry_keys: u64,
    /// Ids of the members, ascending.
    pub(super) members: Vec<u64>,
}

/// Reads all of a database.
pub(super) fn read<R: ReadAt + ?Sized>(database: &Database<'_, R>) -> Result<Contents, Bad> {
    let mut found = Contents::default();
    // Keys are long and many: 16 bytes of their hash stand for each.
    let mut live: HashSet<[u8; 16]> = HashSet::new();
    let mut has_keys_bucket = false;
    database.walk(&mut |entry: &Entry<'_>| {
        match entry.bucket {
            b"key" => {
                has_keys_bucket = true;
                revision_entry(entry, &mut found.revision, &mut live)?;
            }
            b"members" => found.members.push(member_id(entry.key)?),
            _ => {}
        }
        Ok(())
    })?;
    if !has_keys_bucket {
        return Err(Bad("it holds no revision of any key".to_owned()));
    }
    found.registry_keys = live.len() as u64;
    found.members.sort_unstable();
    Ok(found)
}

/// One revision of one key; they come in ascending order, so the last word on a key is the last that comes.
fn revision_entry(entry: &Entry<'_>, highest: &mut u64, live: &mut HashSet<[u8; 16]>) -> Result<(), Bad> {
    let (main, deleted) = revision(entry.key)?;
    *highest = (*highest).max(main);
    let key = key_of(entry.value).ok_or_else(|| Bad(format!("revision {main} holds no key")))?;
    if !key.starts_with(REGISTRY) {
        return Ok(());
    }
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(key)[..16]);
    if deleted {
        live.remove(&short);
    } else {
        live.insert(short);
    }
    Ok(())
}

/// Main revision, and whether it is a deletion's.
fn revision(key: &[u8]) -> Result<(u64, bool), Bad> {
    let wrong = || Bad(format!("a revision of {} bytes is not one", key.len()));
    let deleted = match key.get(REVISION_BYTES..) {
        Some([]) => false,
        Some(b"t") => true,
        _ => return Err(wrong()),
    };
    let main = key.first_chunk::<8>().ok_or_else(wrong)?;
    if key.get(8) != Some(&b'_') {
        return Err(wrong());
    }
    Ok((u64::from_be_bytes(*main), deleted))
}

/// A member's id: the key is hex, as Go prints it, without leading zeros.
fn member_id(key: &[u8]) -> Result<u64, Bad> {
    let text = std::str::from_utf8(key).ok();
    let id = text.and_then(|text| u64::from_str_radix(text, 16).ok());
    id.ok_or_else(|| Bad(format!("`{}` is not a member's id", String::from_utf8_lossy(key))))
}

/// Field 1, `key`, of an `mvccpb.KeyValue` message.
fn key_of(message: &[u8]) -> Option<&[u8]> {
    let mut rest = message;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 => {
                varint(&mut rest)?;
            }
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (field, behind) = rest.split_at_checked(length)?;
                if tag >> 3 == 1 {
                    return Some(field);
                }
                rest = behind;
            }
            // The message has no fixed-size fields.
            _ => return None,
        }
    }
    None
}

/// Takes a number off the front: seven bits a byte, the lowest first, ten bytes at most.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_read_with_their_mark_of_deletion() {
        let mut key = [&7_u64.to_be_bytes()[..], b"_", &0_u64.to_be_bytes()[..]].concat();
        assert_eq!(revision(&key), Ok((7, false)));
        key.push(b't');
        assert_eq!(revision(&key), Ok((7, true)));
        key.push(b't');
        assert!(revision(&key).is_err());
        assert!(revision(b"12345678").is_err());
    }

    #[test]
    fn the_key_is_found_behind_other_fields() {
        // create_revision = 300 (field 2), key = "/a" (field 1), value = "x" (field 5).
        assert_eq!(key_of(&[0x10, 0xAC, 0x02, 0x0A, 2, b'/', b'a', 0x2A, 1, b'x']), Some(&b"/a"[..]));
        assert_eq!(key_of(&[0x0A, 9, b'/']), None);
        assert_eq!(key_of(&[]), None);
    }

    #[test]
    fn member_ids_are_hex_without_leading_zeros() {
        assert_eq!(member_id(b"8e9e05c52164694d"), Ok(0x8e9e_05c5_2164_694d));
        assert_eq!(member_id(b"1"), Ok(1));
        assert!(member_id(b"etcd-1").is_err());
    }
}
