//! Watchers: the StatefulSet's ready replicas as a watch tells them, and the API through the load balancer.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::lab::{api, state};
use super::run::folder;

const SET: &str = "apis/apps/v1/namespaces/default/statefulsets";

/// Watches until it is asked what it saw.
pub(crate) struct Watcher {
    stop: Arc<AtomicBool>,
    fewest: Arc<Mutex<Vec<u64>>>,
    longest_away_millis: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// What was seen.
pub(crate) struct Watch {
    /// Every count of ready replicas, in order.
    pub(crate) ready: Vec<u64>,
    /// The longest stretch for which the API through the load balancer was away.
    pub(crate) longest_away: Duration,
}

impl Watch {
    /// The counts without repetition, for people.
    pub(crate) fn ready_in_turn(&self) -> Vec<u64> {
        let mut counts = self.ready.clone();
        counts.dedup();
        counts
    }
}

/// curl with the administrator's certificates against the load balancer.
fn curl(path: &str, patience: &str) -> Command {
    let pem = |name: &str| credentials().join(name);
    let mut command = Command::new("curl");
    command.args(["--silent", "--fail", "--no-buffer", "--connect-timeout", "1", "--max-time", patience]);
    command.arg("--cacert").arg(pem("ca.crt")).arg("--cert").arg(pem("client.crt")).arg("--key").arg(pem("client.key"));
    command.arg(format!("https://{}/{path}", api()));
    command
}

fn credentials() -> PathBuf {
    folder().join("credentials")
}

/// Writes the kubeconfig's certificates as files: those of the lab as it is now, which may be newer than an earlier chapter's.
fn write_credentials() {
    let folder = credentials();
    std::fs::create_dir_all(&folder).expect("a folder");
    let kubeconfig = std::fs::read_to_string(state().join("kubeconfig")).expect("the kubeconfig");
    let pairs = [
        ("certificate-authority-data", "ca.crt"),
        ("client-certificate-data", "client.crt"),
        ("client-key-data", "client.key"),
    ];
    for (word, name) in pairs {
        let line = kubeconfig.lines().find(|line| line.trim().starts_with(word)).expect("a certificate");
        let data = line.rsplit(' ').next().expect("its data");
        let decoded = Command::new("sh")
            .args(["-c", "printf %s \"$1\" | base64 -d > \"$2\"", "sh", data])
            .arg(folder.join(name))
            .status();
        assert!(decoded.expect("base64 runs").success());
    }
}

impl Watcher {
    /// Begins to watch.
    pub(crate) fn start() -> Self {
        write_credentials();
        let (stop, away) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let fewest = Arc::new(Mutex::new(Vec::new()));
        let set = {
            let (stop, fewest) = (Arc::clone(&stop), Arc::clone(&fewest));
            std::thread::spawn(move || watch_set(&stop, &fewest))
        };
        let api = {
            let (stop, away) = (Arc::clone(&stop), Arc::clone(&away));
            std::thread::spawn(move || watch_api(&stop, &away))
        };
        Self { stop, fewest, longest_away_millis: away, threads: vec![set, api] }
    }

    /// Stops, and says what was seen.
    pub(crate) fn finish(self) -> Watch {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("a watcher");
        }
        let ready = self.fewest.lock().expect("the counts").clone();
        assert!(!ready.is_empty(), "the StatefulSet was never seen");
        Watch { ready, longest_away: Duration::from_millis(self.longest_away_millis.load(Ordering::SeqCst)) }
    }
}

/// Gets the set, then watches from the version that it had; begins again when the watch ends.
fn watch_set(stop: &AtomicBool, counts: &Mutex<Vec<u64>>) {
    while !stop.load(Ordering::SeqCst) {
        let Ok(got) = curl(&format!("{SET}/db"), "5").output() else { continue };
        let Some(object) = json(&String::from_utf8_lossy(&got.stdout)) else {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        note(&object, counts);
        let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let query =
            format!("{SET}?watch=true&fieldSelector=metadata.name%3Ddb&resourceVersion={version}&timeoutSeconds=10");
        let mut child = curl(&query, "15").stdout(Stdio::piped()).spawn().expect("curl runs");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        for event in lines.map_while(Result::ok).filter_map(|line| json(&line)) {
            note(&event["object"], counts);
        }
        let _ = child.wait();
    }
}

fn json(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str(text).ok()
}

fn note(object: &serde_json::Value, counts: &Mutex<Vec<u64>>) {
    if object["kind"] == "StatefulSet" {
        counts.lock().expect("the counts").push(object["status"]["readyReplicas"].as_u64().unwrap_or(0));
    }
}

/// Asks `/readyz` ten times a second; the longest time between two answers that said yes, less the pause.
fn watch_api(stop: &AtomicBool, longest: &AtomicU64) {
    const PAUSE: Duration = Duration::from_millis(100);
    let mut last = Instant::now();
    loop {
        let over = stop.load(Ordering::SeqCst);
        let answers = curl("readyz", "2").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
        if answers || over {
            let away = last.elapsed().saturating_sub(PAUSE).as_millis();
            longest.fetch_max(u64::try_from(away).unwrap_or(u64::MAX), Ordering::SeqCst);
            last = Instant::now();
        }
        if over {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}
