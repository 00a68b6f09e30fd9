//! Three members of a real etcd on this machine, each with a root of its own, its environment file, and a `systemctl` that
//! knows just enough of a service.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use etcd_client::{Certificate, Client, ConnectOptions, GetOptions, Identity, TlsOptions};
use windlass::decide::call::{Call, Script};
use windlass::remote::scripts;

use crate::ports::free_port;

/// The service `etcd` of one root: its process' id in `pid`, its settings in `etc/default/etcd`.
const SYSTEMCTL: &str = r#"#!/bin/sh
runs() { [ -e "$NODE/pid" ] && kill -0 "$(cat "$NODE/pid")" 2>/dev/null; }
case "$*" in
    daemon-reload | reset-failed*) ;;
    'stop etcd')
        ! runs || kill "$(cat "$NODE/pid")"
        while runs; do sleep 0.1; done ;;
    'start --no-block etcd')
        runs || [ -e "$NODE/etc/systemd/system/etcd.service.d/windlass-restore.conf" ] || {
            set -a
            . "$NODE/etc/default/etcd"
            setsid etcd >>"$NODE/log" 2>&1 </dev/null &
            echo $! >"$NODE/pid"
        } ;;
    *MainPID*) if runs; then cat "$NODE/pid"; else echo 0; fi ;;
    *User*) ;;
    *) echo "no such call: $*" >&2; exit 1 ;;
esac
"#;

/// A key with all that etcd keeps of it.
pub(crate) type Key = (Vec<u8>, Vec<u8>, i64, i64, i64);

pub(crate) struct Members {
    folder: tempfile::TempDir,
    /// The programs of the release that is tried out.
    tools: PathBuf,
    pub(crate) urls: Vec<String>,
    pub(crate) peers: Vec<String>,
}

impl Drop for Members {
    fn drop(&mut self) {
        for member in 1..=3 {
            let _ = self.systemctl(member, &["stop", "etcd"]);
        }
    }
}

impl Members {
    /// Three healthy members of this release, which the lab has the packages of.
    pub(crate) async fn start(version: &str) -> Self {
        let printed = Command::new("tests/lab/lab").args(["tools", version]).output().expect("the lab's tools");
        let tools = PathBuf::from(String::from_utf8(printed.stdout).expect("text").trim());
        assert!(tools.join("etcd").exists(), "no etcd {version} in {}", tools.display());
        let url = |_| format!("https://127.0.0.1:{}", free_port());
        let folder = tempfile::Builder::new().prefix("etcd-restore-").tempdir().expect("a folder");
        let members = Self { folder, tools, urls: (0..3).map(url).collect(), peers: (0..3).map(url).collect() };
        members.certificates();
        let systemctl = members.path("systemctl");
        std::fs::write(&systemctl, SYSTEMCTL).expect("written");
        std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755)).expect("executable");
        for member in 1..=3 {
            std::fs::create_dir_all(members.node(member).join("etc/default")).expect("a folder");
            std::fs::write(members.node(member).join("etc/default/etcd"), members.settings(member)).expect("written");
            assert!(members.systemctl(member, &["start", "--no-block", "etcd"]).status.success());
        }
        members.await_health(Duration::from_secs(20)).await;
        members
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn node(&self, member: usize) -> PathBuf {
        self.path(&format!("etcd{member}"))
    }

    pub(crate) fn data(&self, member: usize) -> PathBuf {
        self.node(member).join("data")
    }

    fn certificates(&self) {
        let script = "
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=ca
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout node.key -out node.csr -subj /CN=node
            echo subjectAltName=IP:127.0.0.1 >ext
            openssl x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out node.crt";
        let made = Command::new("sh").args(["-ec", script]).current_dir(self.folder.path()).output().expect("sh runs");
        assert!(made.status.success(), "{made:?}");
    }

    /// `NAME=PEER-URL` of all.
    pub(crate) fn cluster(&self) -> String {
        let named = self.peers.iter().enumerate().map(|(at, peer)| format!("etcd{}={peer}", at + 1));
        named.collect::<Vec<_>>().join(",")
    }

    fn settings(&self, member: usize) -> String {
        let (url, peer) = (&self.urls[member - 1], &self.peers[member - 1]);
        let file = |name: &str| self.path(name).display().to_string();
        let tls = ["", "PEER_"].map(|of| {
            let (ca, cert, key) = (file("ca.crt"), file("node.crt"), file("node.key"));
            format!("ETCD_{of}TRUSTED_CA_FILE={ca}\nETCD_{of}CERT_FILE={cert}\nETCD_{of}KEY_FILE={key}\nETCD_{of}CLIENT_CERT_AUTH=true\n")
        });
        format!(
            "ETCD_NAME=etcd{member}\nETCD_DATA_DIR={}\nETCD_LISTEN_CLIENT_URLS={url}\nETCD_ADVERTISE_CLIENT_URLS={url}\n\
             ETCD_LISTEN_PEER_URLS={peer}\nETCD_INITIAL_ADVERTISE_PEER_URLS={peer}\nETCD_INITIAL_CLUSTER={}\n\
             ETCD_INITIAL_CLUSTER_STATE=new\nETCD_INITIAL_CLUSTER_TOKEN=before\nETCD_LOGGER=zap\n{}",
            self.data(member).display(),
            self.cluster(),
            tls.concat()
        )
    }

    fn command(&self, member: usize, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:{}:/usr/bin:/bin", self.folder.path().display(), self.tools.display());
        command.env("PATH", path).env("NODE", self.node(member)).env("WINDLASS_FROM", self.node(member));
        let windlass = self.node(member).join("windlass");
        command.env("WINDLASS_DIR", &windlass).env("WINDLASS_ROOT", &windlass).stdin(Stdio::null());
        command
    }

    fn systemctl(&self, member: usize, args: &[&str]) -> Output {
        let systemctl = self.path("systemctl");
        self.command(member, &systemctl.display().to_string()).args(args).output().expect("it runs")
    }

    /// A job on the machine of this member: its status, and what it said.
    pub(crate) fn job(&self, member: usize, script: Script, args: &[&str]) -> (i32, String) {
        let text = scripts::text(&Call { script, args: Vec::new() });
        let output = self.command(member, "sh").args(["-c", &text, "windlass"]).args(args).output().expect("sh runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().expect("no signal"), String::from_utf8_lossy(&said).into_owned())
    }

    /// A job that has to end well.
    pub(crate) fn well(&self, member: usize, script: Script, args: &[&str]) -> String {
        let (status, said) = self.job(member, script, args);
        assert_eq!(status, 0, "{script:?} on etcd{member}: {said}");
        said
    }

    /// A client of one member.
    pub(crate) async fn client(&self, member: usize) -> Client {
        let pem = |name: &str| std::fs::read(self.path(name)).expect("a certificate");
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(pem("ca.crt")))
            .identity(Identity::from_pem(pem("node.crt"), pem("node.key")));
        let options = ConnectOptions::new().with_tls(tls).with_timeout(Duration::from_secs(3));
        Client::connect([&self.urls[member - 1]], Some(options)).await.expect("a client")
    }

    /// Every member answers a linearizable read.
    pub(crate) async fn await_health(&self, limit: Duration) {
        let since = Instant::now();
        for member in 1..=3 {
            while !self.answers(member).await {
                assert!(since.elapsed() < limit, "etcd{member}: {}", self.log(member));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    async fn answers(&self, member: usize) -> bool {
        let read = async { self.client(member).await.get("health", None).await.is_ok() };
        tokio::time::timeout(Duration::from_secs(3), read).await == Ok(true)
    }

    fn log(&self, member: usize) -> String {
        let log = std::fs::read_to_string(self.node(member).join("log")).unwrap_or_default();
        log.lines().rev().take(5).collect::<Vec<_>>().join("\n")
    }

    /// All keys that one member has, and the revision that it is at.
    pub(crate) async fn keys(&self, member: usize) -> (Vec<Key>, i64) {
        let all = GetOptions::new().with_all_keys();
        let answer = self.client(member).await.get("", Some(all)).await.expect("an answer");
        let keys = answer
            .kvs()
            .iter()
            .map(|kv| (kv.key().to_vec(), kv.value().to_vec(), kv.create_revision(), kv.mod_revision(), kv.version()));
        (keys.collect(), answer.header().expect("a header").revision())
    }

    /// Puts a snapshot where `put-file` puts it, on every member's machine; returns its SHA-256.
    pub(crate) async fn snapshot(&self, name: &str) -> String {
        // A snapshot is of what its member has applied: a read through it waits for that.
        self.keys(2).await;
        let mut stream = self.client(2).await.snapshot().await.expect("a snapshot");
        let mut bytes = Vec::new();
        while let Some(part) = stream.message().await.expect("a part") {
            bytes.extend_from_slice(part.blob());
        }
        for member in 1..=3 {
            let folder = self.node(member).join("windlass/snapshots");
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(folder.join(name), &bytes).expect("written");
        }
        windlass::decide::plan::digest(&bytes)
    }
}

/// The names in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
