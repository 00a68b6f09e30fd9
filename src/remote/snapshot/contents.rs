//! What etcd keeps in its database, as far as a snapshot has to be judged by it: revisions, live keys, members, and the
//! Kubernetes cluster's own uid. It only reads.

use std::collections::HashSet;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::Bad;
use super::bolt::{Database, Entry, ReadAt};
use super::wire::field;

/// Where Kubernetes keeps everything.
const REGISTRY: &[u8] = b"/registry/";

/// The object whose uid is a Kubernetes cluster's own.
pub(in crate::remote) const KUBE_SYSTEM: &[u8] = b"/registry/namespaces/kube-system";

/// A revision in the `key` bucket: main `u64` big-endian, `_`, sub `u64` big-endian; and `t` behind it for a deletion.
const REVISION_BYTES: usize = 17;

/// Keys held at once: 450,000 of nine bytes, in a table of 2^19, take 4.5 MiB. Where there are more, the pages are walked
/// again for the rest: memory is bounded, whatever the size.
const HELD: usize = 450_000;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// The revision that a member started on it is at.
    pub(super) revision: u64,
    /// The revision below which history was, or was to be, compacted.
    pub(super) compact_revision: u64,
    /// Distinct keys whose last revision is not a deletion.
    pub(super) keys: u64,
    /// Of these, those below `/registry/`.
    pub(super) registry_keys: u64,
    /// Ids and names of the members, ascending.
    pub(super) members: Vec<(u64, String)>,
    /// The uid of the namespace `kube-system`.
    pub(super) kube_system_uid: Option<String>,
}

/// Reads all of a database.
pub(super) fn read<R: ReadAt + ?Sized>(database: &Database<'_, R>) -> Result<Contents, Bad> {
    read_holding(database, HELD)
}

/// The same, holding this many keys at once.
pub(super) fn read_holding<R: ReadAt + ?Sized>(database: &Database<'_, R>, held: usize) -> Result<Contents, Bad> {
    let mut found = Contents::default();
    let mut live = Live::new(Share { part: 0, of: 1 }, held);
    let mut has_keys_bucket = false;
    database.walk(&mut |entry: &Entry<'_>| {
        match entry.bucket {
            b"key" => {
                has_keys_bucket = true;
                let (main, deleted, key) = revision_entry(entry)?;
                found.revision = found.revision.max(main);
                let Some(key) = key else { return Ok(()) };
                if key == KUBE_SYSTEM {
                    found.kube_system_uid = if deleted { None } else { uid_of(entry.value) };
                }
                live.count(key, deleted);
            }
            b"meta" if matches!(entry.key, b"finishedCompactRev" | b"scheduledCompactRev") => {
                found.compact_revision = found.compact_revision.max(revision(entry.value)?.0);
            }
            b"members" => found.members.push((member_id(entry.key)?, member_name(entry.value)?)),
            _ => {}
        }
        Ok(())
    })?;
    if !has_keys_bucket {
        return Err(Bad::Pages("it holds no revision of any key".to_owned()));
    }
    // What came last may have been a deletion that is compacted away.
    found.revision = found.revision.max(found.compact_revision);
    found.members.sort_unstable();
    count_the_rest(database, held, live, &mut found)?;
    Ok(found)
}

/// Adds up what `first` counted, and walks again for each share of the keys that it could not hold.
fn count_the_rest<R: ReadAt + ?Sized>(
    database: &Database<'_, R>,
    held: usize,
    first: Live,
    found: &mut Contents,
) -> Result<(), Bad> {
    let mut todo = first.add_to(found);
    while let Some(share) = todo.pop() {
        let mut live = Live::new(share, held);
        database.walk(&mut |entry: &Entry<'_>| {
            if entry.bucket == b"key" {
                let (_, deleted, key) = revision_entry(entry)?;
                if let Some(key) = key {
                    live.count(key, deleted);
                }
            }
            Ok(())
        })?;
        todo.extend(live.add_to(found));
    }
    Ok(())
}

/// Which keys are counted: those whose hash leaves the rest `part` when it is divided by `of`, a power of two.
#[derive(Clone, Copy)]
struct Share {
    part: u64,
    of: u64,
}

impl Share {
    fn has(self, hash: u64) -> bool {
        // The lowest bit says whether a key is Kubernetes'.
        (hash >> 1) % self.of == self.part
    }
}

/// The keys of a share that are not deleted, as far as the walk has come; revisions come in ascending order, so the last
/// word on a key is the last that comes.
struct Live {
    share: Share,
    /// What was left out because there were too many.
    left: Vec<Share>,
    held: usize,
    /// Keys are long: 63 bits of their hash stand for each, and one for what is below `/registry/`. Of a million keys, two
    /// are taken for one with a chance of one in ten million.
    hashes: HashSet<u64>,
}

impl Live {
    fn new(share: Share, held: usize) -> Self {
        Self { share, left: Vec::new(), held, hashes: HashSet::new() }
    }

    fn count(&mut self, key: &[u8], deleted: bool) {
        let digest = Sha256::digest(key);
        let short = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let hash = (short & !1) | u64::from(key.starts_with(REGISTRY));
        if !self.share.has(hash) {
            return;
        }
        if deleted {
            self.hashes.remove(&hash);
        } else {
            self.hashes.insert(hash);
        }
        while self.hashes.len() > self.held {
            let Share { part, of } = self.share;
            self.share = Share { part, of: of * 2 };
            self.left.push(Share { part: part + of, of: of * 2 });
            let share = self.share;
            self.hashes.retain(|hash| share.has(*hash));
        }
    }

    /// Adds its keys; what is left to be counted.
    fn add_to(self, found: &mut Contents) -> Vec<Share> {
        found.keys += self.hashes.len() as u64;
        found.registry_keys += self.hashes.iter().map(|hash| hash & 1).sum::<u64>();
        self.left
    }
}

/// One revision of one key: its main revision, whether it is a deletion, the key. A restore that raises revisions leaves one
/// that is empty, to begin from.
fn revision_entry<'a>(entry: &Entry<'a>) -> Result<(u64, bool, Option<&'a [u8]>), Bad> {
    let (main, deleted) = revision(entry.key)?;
    match field(entry.value, 1) {
        None if !entry.value.is_empty() => Err(Bad::Pages(format!("revision {main} holds no key"))),
        key => Ok((main, deleted, key)),
    }
}

/// Main revision, and whether it is a deletion's.
fn revision(key: &[u8]) -> Result<(u64, bool), Bad> {
    let wrong = || Bad::Pages(format!("a revision of {} bytes is not one", key.len()));
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
    id.ok_or_else(|| Bad::Pages(format!("`{}` is not a member's id", String::from_utf8_lossy(key))))
}

/// A member's name; empty as long as it has never been started.
fn member_name(value: &[u8]) -> Result<String, Bad> {
    #[derive(Deserialize)]
    struct Member {
        #[serde(default)]
        name: String,
    }
    let member: Member =
        serde_json::from_slice(value).map_err(|error| Bad::Pages(format!("a member cannot be read: {error}")))?;
    Ok(member.name)
}

/// The uid of the Kubernetes object in one revision of a key.
fn uid_of(message: &[u8]) -> Option<String> {
    uid_in(field(message, 5)?)
}

/// The uid of a Kubernetes object, as the API server stores it: protobuf or JSON. What is encrypted has none to be read.
pub(in crate::remote) fn uid_in(value: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        uid: String,
    }
    let uid = match value.strip_prefix(b"k8s\0") {
        // `runtime.Unknown.raw`, `Namespace.metadata`, `ObjectMeta.uid`.
        Some(unknown) => String::from_utf8(field(field(field(unknown, 2)?, 1)?, 5)?.to_vec()).ok()?,
        None => serde_json::from_slice::<Object>(value).ok()?.metadata.uid,
    };
    let plain = |c: char| c.is_ascii_hexdigit() || c == '-';
    (uid.len() == 36 && uid.chars().all(plain)).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `etcdutl snapshot restore --bump-revision` leaves it.
    #[test]
    fn a_revision_may_be_empty_and_otherwise_has_a_key() {
        let key = [&1_000_002_274_u64.to_be_bytes()[..], b"_", &0_u64.to_be_bytes()[..]].concat();
        let entry = |value| Entry { bucket: b"key", key: &key, value };
        assert_eq!(revision_entry(&entry(b"")), Ok((1_000_002_274, false, None)));
        let why = revision_entry(&entry(&[0x10, 1])).expect_err("no key").to_string();
        assert_eq!(why, "revision 1000002274 holds no key");
    }

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
    fn a_namespaces_uid_is_read_from_both_ways_of_storing_it() {
        let uid = "0b6a5a3e-9a52-4dc4-8d2c-0f3f9a0c7b11";
        let message = |number: u8, body: &[u8]| {
            let length = u8::try_from(body.len()).expect("short");
            [&[number << 3 | 2, length], body].concat()
        };
        let meta = [message(1, b"kube-system"), message(5, uid.as_bytes())].concat();
        let stored = [b"k8s\0".to_vec(), message(1, b"v1"), message(2, &message(1, &meta))].concat();
        assert_eq!(uid_of(&message(5, &stored)).as_deref(), Some(uid));
        let json = format!(r#"{{"kind":"Namespace","metadata":{{"name":"kube-system","uid":"{uid}"}}}}"#);
        assert_eq!(uid_of(&message(5, json.as_bytes())).as_deref(), Some(uid));
        assert_eq!(uid_of(&message(5, b"k8s:enc:aescbc:v1:key1:...")), None);
        assert_eq!(uid_of(&message(5, &[b"k8s\0".to_vec(), message(2, b"\x0a\xff")].concat())), None);
    }

    #[test]
    fn member_ids_are_hex_without_leading_zeros() {
        assert_eq!(member_id(b"8e9e05c52164694d"), Ok(0x8e9e_05c5_2164_694d));
        assert_eq!(member_id(b"1"), Ok(1));
        assert!(member_id(b"etcd-1").is_err());
    }
}
