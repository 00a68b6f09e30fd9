//! What `verify` finds, each with its own exit code and its own words.

use super::cluster::{Cluster, identity, is_manifest, pause};

/// Makes a copy of the backups in the folder `broken`, with `break_it` done to the file that ends so.
fn broken(cluster: &Cluster, ending: &str, break_it: impl FnOnce(&mut Vec<u8>)) {
    let folder = cluster.path("broken");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("a folder");
    let mut break_it = Some(break_it);
    for name in cluster.kept() {
        let mut bytes = std::fs::read(cluster.path("backups").join(&name)).expect("it is there");
        if name.ends_with(ending)
            && let Some(break_it) = break_it.take()
        {
            break_it(&mut bytes);
        }
        std::fs::write(folder.join(name), bytes).expect("written");
    }
    assert!(break_it.is_none(), "there is a file that ends with {ending}");
}

fn verified(cluster: &Cluster, words: &[&str]) -> (i32, String, String) {
    cluster.windlass(&[&["etcd", "verify"], words].concat())
}

/// A snapshot with the hash that belongs to its pages.
fn rehashed(bytes: &mut [u8]) {
    use sha2::Digest as _;
    let end = bytes.len() - 32;
    let hash = sha2::Sha256::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&hash);
}

/// A byte of a page that no tree leads to: whoever only reads the pages does not notice when it is another.
fn free_page(bytes: &[u8]) -> usize {
    let page = 4096;
    let unread = |at: &usize| {
        let mut changed = bytes.to_vec();
        changed[*at..at + page].fill(0xA5);
        rehashed(&mut changed);
        let mut file = tempfile::tempfile().expect("a file");
        std::io::Write::write_all(&mut file, &changed).expect("written");
        windlass::remote::snapshot::inside(&file).is_ok()
    };
    (2 * page..bytes.len() - 32).step_by(page).find(unread).expect("a free page") + 100
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn every_damage_is_found_and_told_apart() {
    let cluster = Cluster::start();
    let (code, out, err) = cluster.backup(&["--no-compress"]);
    assert_eq!(code, 0, "{out}{err}");
    let check = |ending: &str, code: i32, words: &str, break_it: &dyn Fn(&mut Vec<u8>)| {
        broken(&cluster, ending, |bytes| break_it(bytes));
        let (found, out, err) = verified(&cluster, &["broken"]);
        assert_eq!(found, code, "{words}: {out}{err}");
        assert!(out.contains(": BAD: ") && err.contains(words), "{words}: {out}{err}");
    };
    let flip = |bytes: &mut Vec<u8>, at: usize| bytes[at] ^= 1;
    check(".db", 20, "0 bytes", &|bytes| bytes.clear());
    check(".db", 20, "cut off", &|bytes| bytes.truncate(bytes.len() / 2 + 7));
    check(".db", 20, "not whole pages and a hash", &|bytes| bytes.truncate(bytes.len() - 32));
    check(".db", 21, "SHA-256", &|bytes| flip(bytes, bytes.len() / 3));
    check(".db", 21, "SHA-256", &|bytes| flip(bytes, free_page(bytes)));
    check(".db", 22, "its pages are broken", &|bytes| {
        // A good hash over bad pages: what a broken member would send.
        bytes[16] ^= 1;
        bytes[4096 + 16] ^= 1;
        rehashed(bytes);
    });
    let edit = |bytes: &mut Vec<u8>, from: &str, to: &str| {
        let text = String::from_utf8(bytes.clone()).expect("JSON");
        let edited = text.replace(from, to);
        assert_ne!(text, edited, "{from}");
        *bytes = edited.into_bytes();
    };
    check(".json", 23, "its manifest lies: keys: 2, and it says 3", &|b| edit(b, "\"keys\": 2", "\"keys\": 3"));
    check(".json", 23, "its manifest lies: revision", &|b| edit(b, "\"revision\": 5", "\"revision\": 6"));
    check(".json", 24, "it is of another cluster: its namespace kube-system", &|b| edit(b, "0b6a5a3e", "1b6a5a3e"));
    check(".json", 24, "it is of another cluster: its manifest is of other", &|b| edit(b, "\"loopback\"", "\"other\""));
    check(".json", 27, "its manifest is no good", &|b| edit(b, "\"keys\"", "\"kyes\""));
    check(".json", 27, "this windlass reads format 1", &|b| edit(b, "\"format\": 1", "\"format\": 2"));

    broken(&cluster, ".db", |_| ());
    let manifest = cluster.kept().into_iter().find(|name| is_manifest(name)).expect("a manifest");
    std::fs::remove_file(cluster.path("broken").join(manifest)).expect("removed");
    let (code, _, err) = verified(&cluster, &["broken"]);
    assert_eq!(code, 27, "{err}");
    assert!(err.contains("the backup was not finished"), "{err}");

    // Two backups of which one is bad.
    pause(1_000);
    cluster.put("/registry/pods/default/c", "c");
    assert_eq!(cluster.backup(&[]).0, 0);
    broken(&cluster, "-r5.db", |bytes| flip(bytes, 5000));
    assert_eq!(verified(&cluster, &["broken"]).0, 0, "the newest is good");
    let (code, out, err) = verified(&cluster, &["broken", "--all"]);
    assert_eq!(code, 21, "{out}{err}");
    assert!(out.lines().count() == 2 && out.matches(": good; ").count() == 1, "{out}");

    // One by its name, as it was told; and a destination that is silent beside one that is good.
    let named = out.lines().find(|line| line.contains(": good; ")).and_then(|line| line.split(": ").next());
    let (code, out, err) = verified(&cluster, &[named.expect("it was told")]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = verified(&cluster, &["backups", "nowhere", "--metrics", "verified.prom"]);
    assert_eq!(code, 28, "{out}{err}");
    assert!(out.contains(": good; ") && err.contains("nowhere"), "{out}{err}");
    let metrics = std::fs::read_to_string(cluster.path("verified.prom")).expect("metrics");
    assert!(metrics.contains("windlass_etcd_backup_verified{cluster=\"loopback\"} 0"), "{metrics}");
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn damage_behind_compression_and_encryption_is_found_too() {
    let cluster = Cluster::start();
    assert_eq!(cluster.backup(&[]).0, 0);
    for (code, words, at) in [(20, "cut off", None), (21, "not those that were written", Some(3))] {
        broken(&cluster, ".db.zst", |bytes| match at {
            None => bytes.truncate(bytes.len() - 40),
            Some(part) => {
                let at = bytes.len() / part;
                bytes[at] ^= 0x10;
            }
        });
        let (found, out, err) = verified(&cluster, &["broken"]);
        assert_eq!(found, code, "{out}{err}");
        assert!(err.contains(words), "{err}");
    }
    std::fs::remove_dir_all(cluster.path("backups")).expect("removed");
    let recipient = identity(&cluster, "right");
    identity(&cluster, "wrong");
    let (code, out, err) = cluster.backup(&["--recipient", &recipient, "--no-pki"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, _, err) = verified(&cluster, &["backups"]);
    assert_eq!(code, 25, "{err}");
    assert!(err.contains("no identity was given; as stored it is whole"), "{err}");
    let (code, _, err) = verified(&cluster, &["backups", "--identity", "wrong"]);
    assert_eq!(code, 25, "{err}");
    assert!(err.contains("none of the identities given is one that it was encrypted for"), "{err}");
    assert_eq!(verified(&cluster, &["backups", "--identity", "wrong", "--identity", "right"]).0, 0);
    broken(&cluster, ".age", |bytes| {
        let at = bytes.len() - 100;
        bytes[at] ^= 1;
    });
    let (code, _, err) = verified(&cluster, &["broken", "--identity", "right"]);
    assert_eq!(code, 21, "{err}");
}
