//! Backups of a real etcd of three members: how they are taken, what goes wrong on the way, and what `verify` finds.

mod cluster;
mod everywhere;
mod faults;
mod verifying;

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use self::cluster::{Cluster, UID, files, identity, is_manifest, said};

fn json(cluster: &Cluster, file: &str) -> Value {
    let text = std::fs::read_to_string(cluster.path("backups").join(file)).expect("a manifest");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn a_backup_is_taken_from_a_follower_and_told_in_its_manifest() {
    let cluster = Cluster::start();
    let (code, out, err) = cluster.backup(&[]);
    assert_eq!(code, 0, "{out}{err}");
    eprintln!("{out}");
    let kept = cluster.kept();
    let [database, manifest] = kept.as_slice() else { panic!("{kept:?}") };
    assert!(database.starts_with("loopback-2") && database.ends_with("-r5.db.zst"), "{database}");
    assert_eq!(manifest, &database.replace(".db.zst", ".json"));
    let told = json(&cluster, manifest);
    assert_ne!(told["member"]["name"], format!("m{}", cluster.leader()), "{told}");
    assert_eq!((told["revision"].as_u64(), told["compact_revision"].as_u64()), (Some(5), Some(0)), "{told}");
    assert_eq!((told["keys"].as_u64(), told["registry_keys"].as_u64()), (Some(2), Some(2)), "{told}");
    assert_eq!((told["kube_system_uid"].as_str(), told["emergency"].as_bool()), (Some(UID), Some(false)), "{told}");
    let hashes: Vec<&Value> =
        told["members"].as_array().expect("members").iter().map(|m| &m["hash"]["known"]["hash_kv"]).collect();
    assert!(hashes.len() == 3 && hashes.iter().all(|hash| hash.is_u64() && *hash == hashes[0]), "{told}");
    for name in &kept {
        let mode = std::fs::metadata(cluster.path("backups").join(name)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    // What zstd makes of it is what etcd's own tools read.
    let plain = cluster.path("plain.db");
    let stored = std::fs::File::open(cluster.path("backups").join(database)).expect("it is there");
    zstd::stream::copy_decode(stored, std::fs::File::create(&plain).expect("a file")).expect("zstd's");
    let words = ["snapshot", "status", plain.as_str(), "-w", "json"];
    let status = std::process::Command::new("etcdctl").env("ETCDCTL_API", "3").args(words).output().expect("it runs");
    let status: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(status["revision"], 5, "{status}");

    let (code, out, err) = cluster.windlass(&["etcd", "verify", "backups"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(": good; ") && out.contains("revision 5, compacted to 0, 2 keys; cluster loopback"), "{out}");

    let (code, out, err) = cluster.windlass(&["etcd", "verify", "backups", "--prove"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("proven: restored and started on etcd ") && out.contains("is that of 3 members"), "{out}");
    assert_eq!(files(cluster.path("state/verify").as_std_path()), Vec::<String>::new(), "nothing of the proof is left");
    // A manifest whose hash is another's: only etcd itself can tell.
    let path = cluster.path("backups").join(manifest);
    let hash = hashes[0].to_string();
    let other = std::fs::read_to_string(&path).expect("a manifest").replace(&hash, "4294967295");
    std::fs::write(&path, other).expect("written");
    assert_eq!(cluster.windlass(&["etcd", "verify", "backups"]).0, 0);
    let (code, _, err) = cluster.windlass(&["etcd", "verify", "backups", "--prove"]);
    assert_eq!(code, 26, "{err}");
    assert!(err.contains("it is not proven: restored and started, its HashKV is "), "{err}");
}

/// A proof that is killed takes its etcd with it, and the next one its folder.
#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn a_proof_that_is_killed_leaves_no_etcd_behind() {
    let cluster = Cluster::start();
    assert_eq!(cluster.backup(&[]).0, 0);
    let proofs = cluster.path("state/verify");
    let proof = || {
        let left = files(proofs.as_std_path()).into_iter().find(|name| name.starts_with(".windlass-proof-"));
        left.map(|name| proofs.join(name))
    };
    // Processes whose folder it is: etcd, once it has begun.
    let runs = |at: &camino::Utf8Path| {
        let all = std::fs::read_dir("/proc").expect("processes");
        let cwds = all.filter_map(|process| std::fs::read_link(process.ok()?.path().join("cwd")).ok());
        cwds.filter(|cwd| cwd.starts_with(at)).count()
    };
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        let since = std::time::Instant::now();
        while !holds() {
            assert!(since.elapsed() < std::time::Duration::from_secs(30), "{what}");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    };
    let mut command = cluster.command(&["etcd", "verify", "backups", "--prove"]);
    let mut windlass = command.stdout(std::process::Stdio::null()).spawn().expect("windlass runs");
    until("no etcd was started", &|| proof().is_some_and(|at| at.join("log").exists() && runs(&at) > 0));
    windlass.kill().and_then(|()| windlass.wait()).expect("killed");
    let at = proof().expect("its folder is left");
    until("its etcd runs on", &|| runs(&at) == 0);
    let (code, out, err) = cluster.windlass(&["etcd", "verify", "backups", "--prove"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(files(proofs.as_std_path()), Vec::<String>::new());
}

/// Nothing in the clear is anywhere, at any moment, under a name.
#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn an_encrypted_backup_brings_its_keys_and_leaves_nothing_in_the_clear() {
    let cluster = Cluster::start();
    let marker = "this-is-a-secret-of-the-cluster-2f8a";
    cluster.put("/registry/secrets/default/s", marker);
    for (file, text) in [("pki/ca.crt", "ca"), ("pki/ca.key", marker), ("pki/sa.key", marker), ("pki/sa.pub", "p")] {
        let path = cluster.path("files/etc/kubernetes").join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let recipient = identity(&cluster, "key");
    let (code, out, err) = cluster.backup(&["--recipient", &recipient]);
    assert_eq!(code, 0, "{out}{err}");
    let kept = cluster.kept();
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(kept[0].ends_with(".db.zst.age") && is_manifest(&kept[1]) && kept[2].ends_with(".pki.tar.zst.age"));
    let mut grep = std::process::Command::new("grep");
    grep.args(["-rlF", marker, "backups", "state"]).current_dir(cluster.base());
    assert_eq!(said(&grep.output().expect("grep runs")), (1, String::new(), String::new()));
    assert!(!out.contains(marker) && !err.contains(marker));
    let told = json(&cluster, &kept[1]);
    let remarks = told["pki"]["remarks"].to_string();
    assert!(remarks.contains("front-proxy-ca.key is not on") && remarks.contains("no kubeadm-config"), "{remarks}");

    let (code, out, err) = cluster.windlass(&["etcd", "verify", "backups", "--identity", "key"]);
    assert_eq!(code, 0, "{out}{err}");
    let clear = cluster.backup(&["--with-pki"]);
    assert_eq!(clear.0, 11, "{}", clear.2);
    assert!(clear.2.contains("keys are never stored in the clear"), "{}", clear.2);
    assert_eq!(cluster.kept().len(), 3);
}

/// On an etcd machine itself, with etcdctl's own variables.
#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn a_machine_backs_itself_up_without_ssh() {
    let cluster = Cluster::start();
    let at = cluster.base();
    let mut command =
        cluster.command(&["etcd", "backup", "--local", "--cluster", "own", "--to", "backups", "--no-compress"]);
    command
        .env("ETCDCTL_CACERT", at.join("ca.crt"))
        .env("ETCDCTL_CERT", at.join("node.crt"))
        .env("ETCDCTL_KEY", at.join("node.key"))
        .env("ETCDCTL_ENDPOINTS", format!("https://127.0.0.1:{}", cluster.port));
    let nobody = said(&command.output().expect("windlass runs"));
    assert_eq!(nobody.0, 12, "nobody listens at 127.0.0.1: {}{}", nobody.1, nobody.2);
    command.env("ETCDCTL_ENDPOINTS", format!("https://127.0.0.3:{}", cluster.port));
    let (code, out, err) = said(&command.output().expect("windlass runs"));
    assert_eq!(code, 0, "{out}{err}");
    let kept = cluster.kept();
    assert!(kept[0].starts_with("own-2") && kept[0].ends_with("-r5.db"), "{kept:?}");
    assert_eq!(json(&cluster, &kept[1])["member"]["name"], "m1");
    assert!(cluster.windlass(&["etcd", "verify", "backups"]).1.contains(": good; "));
}
