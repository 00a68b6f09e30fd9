//! What goes wrong while a backup is taken: each ends in its own words, and nothing is left under any name.

use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, files, is_manifest, pause, said};
use crate::server::eventually;

/// How many bytes of a stream of 24 MB have come when something happens to it.
const MIDDLE: usize = 6 << 20;

/// The message behind `error: `, and all of it.
fn failed(cluster: &Cluster, ran: &(i32, String, String), code: i32, words: &[&str]) {
    let (found, out, err) = ran;
    assert_eq!(*found, code, "{out}{err}");
    for word in words {
        assert!(err.contains(word), "{word}: {err}");
    }
    assert_eq!(cluster.kept(), Vec::<String>::new(), "{err}");
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn a_member_that_stops_or_dies_in_mid_stream_leaves_nothing() {
    let cluster = Cluster::start();
    cluster.fill(24);
    for (signal, words) in [("STOP", "nothing came for 10 s"), ("KILL", "the stream broke off")] {
        // Whichever it is taken from: the relay does not say, so all are met at once.
        let pids: Vec<String> = (0..3).map(|number| cluster.pid(number).to_string()).collect();
        let mut done = false;
        cluster.on_the_way(move |count| {
            if count > MIDDLE && !done {
                done = true;
                let _ = Command::new("kill").arg(format!("-{signal}")).args(&pids).status();
            }
        });
        let ran = cluster.backup(&[]);
        failed(&cluster, &ran, 13, &["no backup of etcd was taken", words, "nothing is left of it"]);
        if signal == "STOP" {
            (0..3).for_each(|number| cluster.signal(number, "CONT"));
            cluster.on_the_way(|_| ());
            assert!(eventually(|| cluster.etcdctl(&["endpoint", "health", "--cluster"], "").status.success()));
        }
    }
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn without_quorum_only_an_emergency_takes_what_there_is_and_marks_it() {
    let cluster = Cluster::start();
    let leader = cluster.leader();
    // One away is no reason to go without a backup.
    cluster.signal((leader + 1) % 3, "KILL");
    let (code, out, err) = cluster.backup(&[]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(" on 2 of 3 at this revision; "), "{out}");
    let first = cluster.kept();

    cluster.signal((leader + 2) % 3, "KILL");
    let (code, out, err) = cluster.backup(&[]);
    assert_eq!(code, 11, "{out}{err}");
    assert!(err.contains("this etcd is in no state for an ordinary backup") && err.contains("--emergency"), "{err}");
    assert_eq!(cluster.kept(), first);
    pause(1_000); // A name has its time to the second.
    let (code, out, err) = cluster.backup(&["--emergency"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("EMERGENCY"), "{out}");
    let kept = cluster.kept();
    let manifest = kept.iter().find(|name| is_manifest(name) && !first.contains(name)).expect("a new one");
    assert_eq!(super::json(&cluster, manifest)["emergency"], true);
    let (code, out, err) = cluster.windlass(&["etcd", "verify", "backups"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("taken in an EMERGENCY: it may be stale"), "{out}");

    cluster.signal(leader, "KILL");
    let (code, out, err) = cluster.backup(&["--emergency"]);
    assert_eq!(code, 12, "{out}{err}");
    assert!(err.contains("no member of etcd answers") && err.contains("e0"), "{err}");
    assert_eq!(cluster.kept(), kept);
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn a_database_that_is_full_is_taken_in_an_emergency_only() {
    let cluster = Cluster::start_with(&["--quota-backend-bytes", "8388608"]);
    let word = "a".repeat(1_000_000);
    let refused = (0..12).map(|more| cluster.etcdctl(&["put", &format!("/registry/more/{more}")], &word));
    let refused = refused.map(|put| String::from_utf8_lossy(&put.stderr).into_owned());
    assert!(refused.into_iter().any(|said| said.contains("database space exceeded")), "etcd is full");
    let ran = cluster.backup(&[]);
    failed(
        &cluster,
        &ran,
        11,
        &["this etcd is in no state for an ordinary backup", "has raised the alarm NOSPACE", "--emergency"],
    );
    let (code, out, err) = cluster.backup(&["--emergency"]);
    assert_eq!(code, 0, "{out}{err}");
    let kept = cluster.kept();
    let manifest = kept.iter().find(|name| is_manifest(name)).expect("it has one");
    assert_eq!(super::json(&cluster, manifest)["emergency"], true);
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn a_full_disk_is_told_and_nothing_is_left_on_it() {
    let cluster = Cluster::start();
    cluster.fill(12);
    std::fs::create_dir(cluster.path("small")).expect("a folder");
    // A disk of its own, which goes with the namespace.
    let script = "mount -t tmpfs -o size=4m windlass small || exit 99
        \"$1\" etcd backup -i inventory.toml --to small --no-compress; code=$?
        ls -A small >listing; exit $code";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_windlass")]);
    command.current_dir(cluster.base()).env("WINDLASS_STATE", "state").stdin(Stdio::null());
    let (code, out, err) = said(&command.output().expect("unshare runs"));
    assert_eq!(code, 13, "{out}{err}");
    assert!(err.contains("could not write to small") && err.contains("No space left on device"), "{err}");
    assert_eq!(std::fs::read_to_string(cluster.path("listing")).expect("it was listed"), "");
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn a_slow_link_takes_its_time_and_a_second_backup_is_told_of_the_first() {
    let cluster = Cluster::start();
    cluster.fill(12);
    let (tell, told) = mpsc::channel();
    cluster.on_the_way(move |count| {
        if count > 1 << 20 {
            let _ = tell.send(());
            // Eleven mebibytes in 64 KiB: longer than the longest silence that is allowed, and never silent.
            pause(65);
        }
    });
    let since = Instant::now();
    let first = cluster.command(&["etcd", "backup", "-i", "inventory.toml", "--to", "backups"]);
    let mut first = { first }.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("windlass starts");
    told.recv_timeout(Duration::from_secs(20)).expect("it streams");
    let (code, out, err) = cluster.backup(&[]);
    assert_eq!(code, 11, "{out}{err}");
    assert!(err.contains("another backup of this cluster runs: "), "{err}");
    assert!(err.contains(&format!("process {}", first.id())), "{err}");
    let code = first.wait().expect("it ends").code();
    assert_eq!((code, since.elapsed() > Duration::from_secs(10)), (Some(0), true));
    assert_eq!(cluster.kept().len(), 2, "{:?}", cluster.kept());
}

/// Whose state is elsewhere, as on another machine: etcd itself says that somebody is at it.
#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn a_backup_from_another_place_waits_for_the_first_to_end_or_to_be_killed() {
    let cluster = Cluster::start();
    cluster.fill(12);
    for killed in [false, true] {
        let (tell, told) = mpsc::channel();
        cluster.on_the_way(move |count| {
            if count > 1 << 20 {
                let _ = tell.send(());
                pause(30);
            }
        });
        let mut first = cluster.command(&["etcd", "backup", "-i", "inventory.toml", "--to", "first"]);
        let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("windlass starts");
        told.recv_timeout(Duration::from_secs(20)).expect("it streams");
        if killed {
            first.kill().expect("it is killed");
            cluster.on_the_way(|_| ());
        }
        let (since, kept) = (Instant::now(), cluster.kept().len());
        let (code, out, err) = cluster.backup(&["--state", "elsewhere"]);
        assert_eq!(code, 0, "{out}{err}");
        assert_eq!(err, "another backup of this cluster runs, from another place: waiting for it\n");
        assert_eq!(cluster.kept().len(), kept + 2);
        let ended = first.wait().expect("it ends");
        if killed {
            assert!(since.elapsed() < Duration::from_secs(60), "who was killed holds nobody up for long");
        } else {
            assert_eq!(ended.code(), Some(0));
        }
    }
    let leases = cluster.etcdctl(&["lease", "list"], "").stdout;
    assert_eq!(String::from_utf8_lossy(&leases), "found 0 leases\n", "nothing is left of turns");
}

/// A member whose disk has changed a letter: etcd does not notice, and the hashes do.
#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn data_that_differ_are_taken_in_an_emergency_only() {
    let mut cluster = Cluster::start();
    cluster.put("/registry/secrets/default/word", "a-word-to-be-found");
    cluster.restart_after(2, |data| {
        let path = data.join("member/snap/db");
        let mut bytes = std::fs::read(&path).expect("its database");
        let word = b"a-word-to-be-found";
        let places: Vec<usize> = (0..bytes.len() - word.len()).filter(|at| bytes[*at..].starts_with(word)).collect();
        assert!(!places.is_empty(), "it is in the database");
        for at in places {
            bytes[at] = b'A';
        }
        std::fs::write(&path, bytes).expect("written");
    });
    let ran = cluster.backup(&[]);
    failed(&cluster, &ran, 11, &["no backup was taken of data that differ", "m2", "--emergency takes what one has"]);
    let (code, out, err) = cluster.backup(&["--emergency"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("EMERGENCY"), "{out}");
    let kept = cluster.kept();
    let manifest = kept.iter().find(|name| is_manifest(name)).expect("it has one");
    assert_eq!(super::json(&cluster, manifest)["emergency"], true);
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn a_destination_that_fails_does_not_keep_the_others_from_theirs() {
    let cluster = Cluster::start();
    std::fs::write(cluster.path("file"), "in the way").expect("written");
    let (code, out, err) = cluster.backup(&["--to", "file/below", "--to", "third"]);
    assert_eq!(code, 13, "{out}{err}");
    assert!(
        err.contains("the backup is at 2 of 3 destinations")
            && err.contains("could not make file/below: Not a directory"),
        "{err}"
    );
    assert!(out.contains("NOT WRITTEN  file/below"), "{out}");
    assert_eq!(cluster.kept().len(), 2);
    assert_eq!(files(cluster.path("third").as_std_path()), cluster.kept());
}
