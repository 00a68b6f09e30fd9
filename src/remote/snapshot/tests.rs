//! A real snapshot (etcd 3.4.23: 60 pods of which one was deleted for good and one put again, 400 config maps, one other
//! key), and what is left of it after each way of breaking it.

use proptest::prelude::*;

use sha2::{Digest as _, Sha256};

use super::bolt::Database;
use super::*;
use crate::text::hex;

const REAL: &[u8] = include_bytes!("../../../tests/fixtures/etcd-3.4.23.snapshot");
const PAGE: usize = 4096;

fn verify_bytes(bytes: &[u8]) -> Result<SnapshotContents, Bad> {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    verify_open(file.as_file())
}

fn why(bytes: &[u8]) -> String {
    verify_bytes(bytes).expect_err("refused").to_string()
}

/// The database alone, changed, so that the hash does not hide what the pages say.
fn pages(change: impl FnOnce(&mut Vec<u8>)) -> Result<contents::Contents, Bad> {
    let mut bytes = REAL[..REAL.len() - HASH_BYTES].to_vec();
    change(&mut bytes);
    let length = bytes.len() as u64;
    contents::read(&Database::open(&bytes[..], length)?)
}

fn pages_why(change: impl FnOnce(&mut Vec<u8>)) -> String {
    pages(change).expect_err("refused").to_string()
}

/// Byte offsets of the pages of this type.
fn pages_of_type(flags: u8) -> Vec<usize> {
    (2..REAL.len() / PAGE).map(|page| page * PAGE).filter(|at| REAL[at + 8] == flags).collect()
}

/// A leaf page in use that holds revisions: its first key begins with seven zero bytes and is 17 long.
fn leaf_of_revisions() -> usize {
    let reached = |at: &usize| pages(|bytes| bytes[at + 8] = 0x80).is_err();
    let holds = |at: &usize| REAL[at + 16 + 8] == 17;
    pages_of_type(2).into_iter().find(|at| holds(at) && reached(at)).expect("there is one")
}

fn branch() -> usize {
    let reached = |at: &usize| pages(|bytes| bytes[at + 8] = 0x80).is_err();
    pages_of_type(1).into_iter().find(reached).expect("there is one")
}

#[test]
fn a_real_snapshot_is_read() {
    let contents = verify_bytes(REAL).expect("it is good");
    assert_eq!(contents.bytes, REAL.len() as u64);
    assert_eq!(contents.revision, 466);
    assert_eq!(contents.registry_keys, 459);
    // Fifteen hexadecimal digits: the bucket holds it without a leading zero.
    assert_eq!(contents.members, [0x0628_170c_800d_bcee]);
    assert_eq!(contents.sha256, hex(&REAL[REAL.len() - HASH_BYTES..]));
    assert_eq!(contents.file_sha256, hex(&Sha256::digest(REAL)));
}

#[test]
fn what_is_inside_is_what_etcd_says_of_itself() {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(REAL).expect("written");
    let inside = inside(file.as_file()).expect("it is good");
    assert_eq!((inside.contents.keys, inside.contents.compact_revision), (460, 0));
    assert_eq!(inside.members, [(0x0628_170c_800d_bcee, "fix-1".to_owned())]);
    assert_eq!(inside.kube_system_uid, None, "it has no namespaces");
}

/// However few keys are held at once, they are counted right.
#[test]
fn keys_are_counted_in_as_many_walks_as_it_takes() {
    let bytes = &REAL[..REAL.len() - HASH_BYTES];
    let database = Database::open(bytes, bytes.len() as u64).expect("it is good");
    let all = contents::read(&database).expect("it is read");
    for held in [1, 10, 100, 459] {
        assert_eq!(contents::read_holding(&database, held).as_ref(), Ok(&all), "{held}");
    }
}

#[test]
fn what_is_cut_off_is_told() {
    assert!(why(&[]).contains("cut off"));
    assert!(why(&REAL[..HASH_BYTES]).contains("cut off"));
    assert!(why(&REAL[..REAL.len() - HASH_BYTES]).contains("cut off"), "a stripped hash");
    assert!(why(&REAL[..REAL.len() - 1]).contains("cut off"));
    assert!(why(&REAL[..PAGE * 5 + HASH_BYTES]).contains("SHA-256"), "cut at a page");
    let shorter = pages_why(|bytes| bytes.truncate(PAGE * 5));
    assert!(shorter.contains("is shorter"), "{shorter}");
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    for at in [0, 16, PAGE * 3 + 17, REAL.len() / 2, REAL.len() - HASH_BYTES, REAL.len() - 1] {
        let mut bytes = REAL.to_vec();
        bytes[at] ^= 1;
        assert!(why(&bytes).contains("SHA-256"), "byte {at}");
    }
}

#[test]
fn one_broken_meta_is_survived_and_two_are_not() {
    let good = pages(|_| ()).expect("it is good");
    for meta in [0, PAGE] {
        let contents = pages(|bytes| bytes[meta + 16 + 20] ^= 1);
        // The older meta shows the database of one transaction ago.
        assert!(contents.is_err() || contents.is_ok_and(|contents| contents.revision + 1 >= good.revision));
    }
    let both = pages_why(|bytes| {
        bytes[16 + 20] ^= 1;
        bytes[PAGE + 16 + 20] ^= 1;
    });
    assert!(both.contains("checksum"), "{both}");
}

#[test]
fn broken_pages_are_told() {
    let (leaf, branch) = (leaf_of_revisions(), branch());
    let cases: [(&str, usize, &[u8]); 8] = [
        ("should be a branch or a leaf", leaf + 8, &[0x10]),
        ("should be a branch or a leaf", branch + 8, &[0]),
        ("says to be page", leaf, &[0xFF]),
        ("pages long", leaf + 12, &[0xFF, 0xFF, 0xFF, 0xFF]),
        ("reaches beyond its end", leaf + 16 + 4, &[0xFF, 0xFF, 0xFF, 0xFF]),
        ("reaches beyond its end", leaf + 16 + 12, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ("is named, of", branch + 16 + 8, &[0xFF, 0xFF, 0xFF, 0xFF]),
        ("a bucket within a bucket", leaf + 16, &[1]),
    ];
    for (words, at, patch) in cases {
        let told = pages_why(|bytes| bytes[at..at + patch.len()].copy_from_slice(patch));
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn keys_out_of_order_are_told() {
    let leaf = leaf_of_revisions();
    let swapped = pages_why(|bytes| {
        let key_at = leaf + 16 + usize::from(u16::from_le_bytes([bytes[leaf + 20], bytes[leaf + 21]]));
        bytes[key_at] = 0xFF;
    });
    assert!(swapped.contains("not in order"), "{swapped}");
}

/// A value that goes on to the page's end lies upon all that come behind it.
#[test]
fn elements_upon_each_other_are_told() {
    let leaf = leaf_of_revisions();
    let upon = pages_why(|bytes| {
        let key_at = 16 + usize::from(u16::from_le_bytes([bytes[leaf + 20], bytes[leaf + 21]]));
        let size = u16::try_from(PAGE - key_at - 17).expect("it is within the page");
        bytes[leaf + 28..leaf + 30].copy_from_slice(&size.to_le_bytes());
    });
    assert!(upon.contains("lie upon each other"), "{upon}");
}

#[test]
fn a_page_used_twice_is_told() {
    let branch = branch();
    let twice = pages_why(|bytes| bytes.copy_within(branch + 24..branch + 32, branch + 40));
    assert!(twice.contains("used twice"), "{twice}");
}

#[test]
fn a_file_of_zeros_is_no_database() {
    let zeros = vec![0; PAGE * 4];
    assert!(Database::open(&zeros[..], zeros.len() as u64).is_err());
}

#[test]
fn a_hash_is_the_same_however_the_stream_is_cut() {
    for step in [1, 31, 32, 33, 512, 4096, REAL.len()] {
        let mut hash = TrailingHash::default();
        REAL.chunks(step).for_each(|chunk| hash.update(chunk));
        assert_eq!(hash.finish().map(|hashes| hashes.database), Ok(hex(&REAL[REAL.len() - HASH_BYTES..])), "{step}");
    }
}

/// What the real snapshot is.
fn wanted() -> SnapshotWanted {
    let folder = tempfile::tempdir().expect("a folder");
    let file = Utf8PathBuf::try_from(folder.path().join("real.db")).expect("a path");
    std::fs::write(&file, REAL).expect("written");
    let contents = verify(&file).expect("it is good");
    SnapshotWanted { members: contents.members, revision: contents.revision }
}

#[test]
fn a_snapshot_of_another_cluster_or_time_is_not_the_one_that_was_wanted() {
    let wanted = wanted();
    let good = SnapshotContents {
        bytes: 1,
        sha256: String::new(),
        file_sha256: String::new(),
        revision: wanted.revision,
        registry_keys: 1,
        keys: 2,
        compact_revision: 0,
        members: wanted.members.clone(),
    };
    assert_eq!(wanted.fault(&good), None);
    let fault = |bad: SnapshotContents| wanted.fault(&bad).expect("a fault");
    assert!(fault(SnapshotContents { members: vec![1], ..good.clone() }).contains("another cluster"));
    assert!(fault(SnapshotContents { revision: wanted.revision - 1, ..good.clone() }).contains("older than"));
    assert!(fault(SnapshotContents { registry_keys: 0, ..good }).contains("no keys below /registry"));
}

#[test]
fn a_finished_snapshot_never_replaces_a_file() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().expect("a folder");
    let folder = Utf8Path::from_path(folder.path()).expect("a path");
    let into = folder.join("snapshot.db");
    let received = || {
        let mut file = NamedTempFile::new_in(folder).expect("a file");
        file.write_all(REAL).expect("written");
        file
    };
    let digest = hex(&REAL[REAL.len() - HASH_BYTES..]);
    let wanted = wanted();
    let other = SnapshotWanted { members: vec![1], ..wanted.clone() };
    assert!(matches!(finish(received(), &digest, &into, folder, &other), Err(Unfinished::Bad(_))));
    assert!(finish(received(), &digest, &into, folder, &wanted).is_ok());
    assert_eq!(std::fs::metadata(&into).expect("it is there").mode() & 0o777, 0o600);
    assert!(matches!(finish(received(), &digest, &into, folder, &wanted), Err(Unfinished::Local(..))));
    assert!(matches!(finish(received(), "other", &folder.join("x"), folder, &wanted), Err(Unfinished::Bad(_))));
    assert_eq!(std::fs::read_dir(folder).expect("a folder").count(), 1, "nothing else is left");
}

proptest! {
    #[test]
    fn garbage_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
        prop_assert!(Database::open(&bytes[..], bytes.len() as u64).is_err());
        prop_assert!(verify_bytes(&bytes).is_err());
    }

    #[test]
    fn damage_is_survived(patches in prop::collection::vec((0..REAL.len() - HASH_BYTES, any::<u8>()), 1..40)) {
        let _ = pages(|bytes| patches.iter().for_each(|(at, byte)| bytes[*at] = *byte));
    }

    /// Page headers and element tables, where damage leads furthest.
    #[test]
    fn damaged_headers_are_survived(
        patches in prop::collection::vec((0..REAL.len() / PAGE, 0..96_usize, any::<u8>()), 1..20),
    ) {
        let _ = pages(|bytes| patches.iter().for_each(|(page, at, byte)| {
            // Not the metas: their checksum would end it at once.
            if *page > 1 {
                bytes[page * PAGE + at] = *byte;
            }
        }));
    }
}
