//! What must stay where it is while a cluster is raised: the keys that lie on the nodes, and the operator's own. Looked for in
//! every command line of this machine (the nodes' processes are among them) from before the plan to after the end, in
//! whatever the operator keeps, and in whatever a node keeps, logs or is told by systemd.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::lab::{NODES, on, state};
use super::run::folder;

/// A part of each private key of a machine: of a long one from behind its modulus, of a short one its first line.
const KEYS: &str = r"
files=$(find /etc/kubernetes /etc/etcd /var/lib/kubelet/pki -type f 2>/dev/null)
cat $files | awk '
  /BEGIN.*PRIVATE KEY/ { inside = 1; count = 0; next }
  /END.*PRIVATE KEY/ { inside = 0; print (count > 10 ? line[10] : line[1]) }
  inside { line[++count] = $0 }
  /client-key-data:/ { print substr($2, length($2) / 2, 64) }'
";

/// What Windlass and its units left on a machine, without what is kept closed there: archives, packages, snapshots.
const LEFT: &str = "
find /var/lib/windlass /run/systemd/transient -type f \
  -not -path '*/archives/*' -not -path '*/packages/*' -not -path '*/snapshots/*' -exec cat {} +
journalctl --no-pager -u 'windlass-*'
systemctl show 'windlass-*'
";

/// Looks for secrets in command lines, in a thread, until it is asked what it found.
pub(crate) struct Secrets {
    looked_for: Arc<Vec<String>>,
    over: Arc<AtomicBool>,
    watching: JoinHandle<(Vec<String>, usize)>,
}

impl Secrets {
    /// Gathers them from the machines, and begins to watch.
    pub(crate) fn watch() -> Self {
        let mut secrets: Vec<String> = NODES.iter().flat_map(|node| lines(&on(node, KEYS))).collect();
        secrets.extend(own_keys(&state()));
        secrets.sort_unstable();
        secrets.dedup();
        // Three control planes with their own keys and conf files, three members, two workers.
        assert!(secrets.len() >= 30, "only {} secrets were found to look for", secrets.len());
        assert!(secrets.iter().all(|secret| secret.len() >= 40), "a secret is too short to be looked for");
        let (secrets, over) = (Arc::new(secrets), Arc::new(AtomicBool::new(false)));
        let (known, stop) = (Arc::clone(&secrets), Arc::clone(&over));
        let watching = std::thread::spawn(move || {
            let (mut told, mut looks) = (Vec::new(), 0);
            while !stop.load(Ordering::SeqCst) {
                told.extend(command_lines().filter(|line| known.iter().any(|secret| line.contains(secret.as_str()))));
                looks += 1;
                std::thread::sleep(Duration::from_millis(200));
            }
            (told, looks)
        });
        Self { looked_for: secrets, over, watching }
    }

    /// None was anywhere that it should not be.
    pub(crate) fn assert_untold(self, output: &str) {
        self.over.store(true, Ordering::SeqCst);
        let (told, looks) = self.watching.join().expect("it ends");
        assert!(told.is_empty(), "in command lines: {told:?}");
        let mut places = vec![("what was printed".to_owned(), output.to_owned())];
        places.extend(files(&folder()));
        places.extend(NODES.iter().map(|node| ((*node).to_owned(), on(node, LEFT))));
        for (place, text) in &places {
            assert!(!self.looked_for.iter().any(|secret| text.contains(secret.as_str())), "a secret is in {place}");
        }
        for node in NODES {
            let open = on(node, "find /var/lib/windlass ! -type l -perm /077 -not -path '*/packages*'");
            assert_eq!(open, "", "others can read on {node}");
        }
        println!(
            "{} secrets looked for: {looks} times in command lines, in {} places",
            self.looked_for.len(),
            places.len()
        );
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// The bodies of the operator's private keys.
fn own_keys(folder: &Path) -> Vec<String> {
    let keys = files(folder).into_iter().filter(|(_, text)| text.contains("PRIVATE KEY"));
    // An unencrypted OpenSSH key: the secret half is in the last third.
    keys.filter_map(|(_, text)| text.lines().rev().filter(|line| line.len() >= 60).nth(1).map(str::to_owned)).collect()
}

fn command_lines() -> impl Iterator<Item = String> {
    let processes = std::fs::read_dir("/proc").expect("a /proc").flatten();
    let read = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    read.map(|words| String::from_utf8_lossy(&words).replace('\0', " "))
}

/// Every file below, with its path.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else if let Ok(bytes) = std::fs::read(entry.path()) {
            found.push((entry.path().display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    found
}
