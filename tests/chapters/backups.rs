//! A backup of the lab's etcd to a folder, a node's SFTP server and an S3 server at once: encrypted, with the cluster's keys,
//! pruned, verified and proven on a member's machine, and planned from. Leaves the lab as it was.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::lab::{all_ready, lab_ok, on, state};
use super::run::{Ran, folder, windlass_with};
use super::s3;

/// Where the node `w1` keeps them.
const VAULT: &str = "/home/ops/vault";

/// What is the same for every command here: what the bucket wants, and how the node is reached.
struct Everywhere {
    cluster: &'static str,
    environment: Vec<(&'static str, String)>,
    destinations: [String; 3],
    config: String,
    key: String,
}

/// Backs up everywhere, external or stacked; `member` is a machine of etcd.
pub(crate) fn backups_go_everywhere(inventory: &str, cluster: &'static str, member: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let bucket = runtime.block_on(s3::Server::start());
    let (here, config, key) = (folder().join("everywhere"), folder().join("ssh-config"), folder().join("age-key"));
    let (recipient, another) = (identity(&key), identity(&folder().join("another-key")));
    assert_ne!(recipient, another);
    let (id, known) = (state().join("id_ed25519"), state().join("known_hosts"));
    let text = format!(
        "Host *\n  User ops\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n",
        id.display(),
        known.display()
    );
    std::fs::write(&config, text).expect("written");
    on("w1", &format!("rm -rf {VAULT}"));
    let _ = std::fs::remove_dir_all(&here);
    let all = Everywhere {
        cluster,
        environment: vec![
            ("AWS_ENDPOINT", format!("http://{}", bucket.at)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ],
        destinations: [
            here.to_string_lossy().into_owned(),
            format!("ssh://172.30.0.31{VAULT}"),
            "s3://backups/etcd/lab".to_owned(),
        ],
        config: config.to_string_lossy().into_owned(),
        key: key.to_string_lossy().into_owned(),
    };
    for _ in 0..2 {
        let ran = all.backup(inventory, &recipient);
        assert_eq!(ran.code, 0, "{}", ran.text);
    }
    let there = on("w1", &format!("ls -A {VAULT}"));
    let mut names: Vec<String> = there.lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names.len(), 3, "the newest alone: its snapshot, its keys, its manifest: {there}");
    for ending in [".db.zst.age", ".json", ".pki.tar.zst.age"] {
        assert!(names.iter().any(|name| name.ends_with(ending)), "{there}");
    }
    assert_eq!(listed(&here), names);
    assert_eq!(bucket.files().iter().map(|path| last(path)).collect::<Vec<_>>(), names);

    let ran = all.verify(&["--identity", &all.key, "--prove", "--on", member, "-i", inventory]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    assert_eq!(ran.text.matches("proven: restored and started").count(), 3, "{}", ran.text);
    assert!(ran.text.contains(" is that of 3 members"), "{}", ran.text);
    let ran = all.verify(&["--identity", &folder().join("another-key").to_string_lossy()]);
    assert_eq!(ran.code, 25, "{}", ran.text);

    // One that does not answer keeps no other from its own.
    let ran = all.windlass(&[
        &["etcd", "backup", "-i", inventory, "--no-pki", "--to", &all.destinations[0], "--to", "ssh://172.30.0.99/srv"]
            [..],
        &["--ssh-config", &all.config],
    ]);
    assert_eq!(ran.code, 13, "{}", ran.text);
    assert!(ran.text.contains("the backup is at 1 of 2 destinations"), "{}", ran.text);

    let out = folder().join("from-everywhere.json").to_string_lossy().into_owned();
    for from in &all.destinations[1..] {
        let words = ["etcd", "restore", "plan", "-i", inventory, "--from", from, "--identity", &all.key, "--out", &out];
        let ran = all.windlass(&[&words, &["--ssh-config", &all.config]]);
        assert_eq!(ran.code, 0, "{}", ran.text);
        let plan = std::fs::read_to_string(&out).expect("a plan");
        assert!(plan.contains("restore-member"), "{plan}");
        std::fs::remove_file(&out).expect("removed");
    }
    on("w1", &format!("rm -rf {VAULT}"));
    damaged_ones_are_caught(inventory);
    control_planes_that_disagree_are_said(&all, inventory, &recipient);
    without_quorum_only_an_emergency(inventory);
}

/// What is done to a file.
type Damage = fn(&mut Vec<u8>);

/// Of a backup of the lab's, each thing that can be wrong with it has its code.
fn damaged_ones_are_caught(inventory: &str) {
    let (good, bad) = (folder().join("good"), folder().join("damaged"));
    let _ = std::fs::remove_dir_all(&good);
    let to = good.to_string_lossy().into_owned();
    let ran = windlass_with(&[], &["etcd", "backup", "-i", inventory, "--no-pki", "--no-compress", "--to", &to]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    let names = listed(&good);
    let [database, manifest] = &names[..] else { panic!("a database and its manifest, in this order: {names:?}") };
    let edit = |from: &'static str, to: &'static str| move |text: &str| text.replacen(from, to, 1);
    let of_database: [(&str, i32, Damage); 4] = [
        ("a bit", 21, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }),
        ("cut off", 20, |bytes| bytes.truncate(bytes.len() / 2 + 7)),
        ("without its hash", 20, |bytes| bytes.truncate(bytes.len() - 32)),
        ("0 bytes", 20, Vec::clear),
    ];
    let verified = |what: &str, code: i32| {
        let ran = windlass_with(&[], &["etcd", "verify", &bad.to_string_lossy()]);
        assert_eq!(ran.code, code, "{what}: {}", ran.text);
    };
    let afresh = || {
        let _ = std::fs::remove_dir_all(&bad);
        std::fs::create_dir(&bad).expect("a folder");
        for name in [database, manifest] {
            std::fs::copy(good.join(name), bad.join(name)).expect("copied");
        }
    };
    for (what, code, damage) in of_database {
        afresh();
        let mut bytes = std::fs::read(bad.join(database)).expect("read");
        damage(&mut bytes);
        std::fs::write(bad.join(database), bytes).expect("written");
        verified(what, code);
    }
    let text = std::fs::read_to_string(good.join(manifest)).expect("a manifest");
    let lie = edit("\"keys\": ", "\"keys\": 1");
    let foreign = edit("\"cluster\": \"lab", "\"cluster\": \"other");
    for (what, code, edited) in [("a lie", 23, lie(&text)), ("another cluster's", 24, foreign(&text))] {
        assert_ne!(text, edited, "{what}");
        afresh();
        std::fs::write(bad.join(manifest), edited).expect("written");
        verified(what, code);
    }
    afresh();
    std::fs::remove_file(bad.join(manifest)).expect("removed");
    verified("no manifest", 27);
}

/// The key of service accounts is another one on one of them.
fn control_planes_that_disagree_are_said(all: &Everywhere, inventory: &str, recipient: &str) {
    let (key, kept) = ("/etc/kubernetes/pki/sa.pub", "/root/sa.pub");
    on("cp3", &format!("cp -p {key} {kept} && echo >>{key}"));
    let ran = all.backup(inventory, recipient);
    on("cp3", &format!("mv {kept} {key}"));
    assert_eq!(ran.code, 0, "{}", ran.text);
    let wanted = "control planes disagree about /etc/kubernetes/pki/sa.pub: cp1 and cp2 against cp3";
    assert!(ran.text.contains(wanted), "{}", ran.text);
    on("w1", &format!("rm -rf {VAULT}"));
}

/// Two of three machines of etcd are away from the network.
fn without_quorum_only_an_emergency(inventory: &str) {
    let text = std::fs::read_to_string(super::lab::root().join(inventory)).expect("an inventory");
    let role = if text.contains("topology = \"stacked\"") { "cp" } else { "etcd" };
    let away = [format!("{role}2"), format!("{role}3")];
    let place = folder().join("emergency");
    let _ = std::fs::remove_dir_all(&place);
    let (to, words) = (place.to_string_lossy().into_owned(), ["etcd", "backup", "--no-pki", "-i", inventory]);
    for node in &away {
        lab_ok(&["cut", node]);
    }
    let refused = windlass_with(&[], &[&words[..], &["--to", &to]].concat());
    let left = listed(&place);
    // Without quorum a kubelet restarts a stacked member every minute and a half: then it is said, and the same command is run again.
    let tries = (0..3).map(|_| windlass_with(&[], &[&words[..], &["--to", &to, "--emergency"]].concat()));
    let taken = tries.into_iter().find(|ran| ran.code != 13).expect("a try that is not cut off");
    for node in &away {
        lab_ok(&["heal", node]);
    }
    assert_eq!((refused.code, left), (11, Vec::new()), "{}", refused.text);
    assert!(refused.text.contains("1 of 3 members answer, which is no quorum"), "{}", refused.text);
    assert_eq!(taken.code, 0, "{}", taken.text);
    assert!(taken.text.contains("EMERGENCY"), "{}", taken.text);
    assert_eq!(listed(&place).len(), 2, "a snapshot and its manifest, which says what it is");
    all_ready();
}

/// While a member sends its database, of 100 MB and more: the disk here fills up, the link is slow, every member stops, or dies.
/// Nothing is left under a final name but by the slow link, which takes its time.
pub(crate) fn streams_in_trouble(inventory: &str, nodes: [&str; 3]) {
    let place = folder().join("mid-stream");
    let to = place.to_string_lossy().into_owned();
    let backup = ["etcd", "backup", "-i", inventory, "--no-pki", "--no-compress", "--to", &to];
    a_full_disk(&backup, &place);
    a_slow_link(&backup, &place, nodes);
    for (strike, words) in
        [("pkill -STOP -x etcd", "nothing came for 10 s"), ("pkill -KILL -x etcd", "the stream broke off")]
    {
        let _ = std::fs::remove_dir_all(&place);
        let ran = std::thread::scope(|scope| {
            let backup = scope.spawn(|| windlass_with(&[], &backup));
            let since = Instant::now();
            while in_use(&place) < 4 << 20 {
                assert!(since.elapsed() < Duration::from_secs(60), "nothing is streamed");
                std::thread::sleep(Duration::from_millis(10));
            }
            on_each(nodes, strike);
            backup.join().expect("it ends")
        });
        on_each(nodes, "pkill -CONT -x etcd || true");
        assert_eq!(ran.code, 13, "{}", ran.text);
        assert!(ran.text.contains(words), "{}", ran.text);
        assert_eq!(listed(&place), Vec::<String>::new());
        let since = Instant::now();
        while windlass_with(&[], &["etcd", "status", "-i", inventory]).code != 0 {
            assert!(since.elapsed() < Duration::from_secs(180), "etcd does not come back");
            std::thread::sleep(Duration::from_secs(2));
        }
    }
}

/// The place is a disk of its own, of 8 MiB.
fn a_full_disk(backup: &[&str], place: &Path) {
    let _ = std::fs::remove_dir_all(place);
    std::fs::create_dir(place).expect("a folder");
    let did = |command: &mut Command| assert!(command.status().expect("it runs").success(), "{command:?}");
    did(Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "windlass"]).arg(place));
    let (ran, left) = (windlass_with(&[], backup), listed(place));
    did(Command::new("umount").arg(place));
    assert_eq!((ran.code, left), (13, Vec::new()), "{}", ran.text);
    assert!(ran.text.contains("No space left on device"), "{}", ran.text);
}

/// 5 MB a second: longer than a silence may last, and never silent.
fn a_slow_link(backup: &[&str], place: &Path, nodes: [&str; 3]) {
    let _ = std::fs::remove_dir_all(place);
    // A node that was cut off and healed has another device.
    on_each(
        nodes,
        "tc qdisc add dev $(ip -o route get 172.30.0.1 | grep -oE \"eth[0-9]+\") root tbf rate 40mbit burst 64kb latency 400ms",
    );
    let since = Instant::now();
    let ran = windlass_with(&[], backup);
    let took = since.elapsed();
    on_each(nodes, "tc qdisc del dev $(ip -o route get 172.30.0.1 | grep -oE \"eth[0-9]+\") root");
    assert_eq!(ran.code, 0, "{}", ran.text);
    println!("--- over 40 Mbit/s: {:.1} s", took.as_secs_f64());
    assert!(took > Duration::from_secs(15), "the link was not slow: {took:?}");
    assert_eq!(listed(place).len(), 2, "a snapshot and its manifest");
}

/// Runs a command on all of them at once.
fn on_each(nodes: [&str; 3], command: &'static str) {
    std::thread::scope(|scope| nodes.iter().for_each(|node| drop(scope.spawn(move || on(node, command)))));
}

/// How many bytes of open files, without a name or with one, are in a folder of this machine's.
fn in_use(folder: &Path) -> u64 {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let open = processes.filter_map(|process| std::fs::read_dir(process.path().join("fd")).ok()).flatten().flatten();
    let ours = open.filter(|file| std::fs::read_link(file.path()).is_ok_and(|path| path.starts_with(folder)));
    ours.filter_map(|file| std::fs::metadata(file.path()).ok()).map(|data| data.len()).max().unwrap_or(0)
}

impl Everywhere {
    fn windlass(&self, words: &[&[&str]]) -> Ran {
        windlass_with(&self.environment, &words.concat())
    }

    fn backup(&self, inventory: &str, recipient: &str) -> Ran {
        let mut words = vec!["etcd", "backup", "-i", inventory, "--recipient", recipient, "--keep-last", "1"];
        words.extend(["--ssh-config", &self.config]);
        words.extend(self.destinations.iter().flat_map(|to| ["--to", to]));
        // A name has its time to the second.
        std::thread::sleep(Duration::from_millis(1_100));
        self.windlass(&[&words])
    }

    fn verify(&self, more: &[&str]) -> Ran {
        let destinations: Vec<&str> = self.destinations.iter().map(String::as_str).collect();
        self.windlass(&[
            &["etcd", "verify", "--cluster", self.cluster, "--ssh-config", &self.config],
            more,
            &destinations,
        ])
    }
}

/// A key pair of age's: its secret half goes into the file, its recipient is returned.
fn identity(path: &Path) -> String {
    use age::secrecy::ExposeSecret as _;
    let identity = age::x25519::Identity::generate();
    std::fs::write(path, format!("{}\n", identity.to_string().expose_secret())).expect("written");
    identity.to_public().to_string()
}

fn listed(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn last(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}
