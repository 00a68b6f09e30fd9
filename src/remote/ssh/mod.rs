//! [`Fleet`]: the machines of an inventory over SSH, through the system's own `ssh` and one master process a node.
//!
//! It runs what it is given and says what is certain about it; it decides nothing and repeats nothing that might have been
//! started.

mod config;
mod here;
mod link;
mod timings;
mod trouble;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::mpsc::Sender;

use self::link::{Answer, Failure, Ways};
use super::etcd::{EtcdDoor, Way};
use super::nameless::Nameless;
use super::scripts::LOWER_TOKEN;
use super::{
    Call, HashKv, MemberList, Output, Remote, RemoteError, Script, Secret, SnapshotContents, SnapshotWanted, Streams,
    Turns, scripts,
};
use crate::facts::MemberStatus;
use crate::inventory::{Etcd, Inventory, NodeName};

pub use config::UnfitWord;
pub use here::run as run_here;
pub(super) use link::{IDLE_SECONDS, Link, forward};
pub use timings::{NodeTime, Timings};
pub(super) use trouble::chain;
pub use trouble::{Reason, SshTrouble};

/// The longest path of a folder for sockets: 104 bytes is what a socket's path may have on macOS (108 on Linux), and
/// `/.ssh-connectionXXXXXX/master` with ssh's own temporary ending takes 46 of them.
const LONGEST_FOLDER: usize = 57;

/// Longest wait for a script that looks at everything: it asks mirrors for package lists, and those can be slow.
const LOOK_LIMIT: Duration = Duration::from_secs(300);

/// Longest wait for the small scripts, over what they were told to wait: ten seconds for the flock, and a few syncs on a
/// disk that may be busy with etcd.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// Longest wait for a file to be sent: a playbook's file is small, a package's tens of megabytes on a slow line.
const SEND_LIMIT: Duration = Duration::from_secs(1800);

/// The machines of an inventory.
pub struct Fleet {
    nodes: BTreeMap<NodeName, Machine>,
    etcd: Etcd,
    timings: Timings,
    // Last, so that it is removed after the sessions in it were closed.
    folder: tempfile::TempDir,
}

/// One machine.
struct Machine {
    link: Link,
    etcd: EtcdDoor,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("nodes", &self.nodes.keys()).field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Fleet {
    /// Makes ready to reach the inventory's machines; connects to none yet. Relative paths of the inventory are below
    /// `base`, its folder. Fails when a temporary folder cannot be made, or a path cannot be given to ssh.
    pub fn new(inventory: &Inventory, base: &Utf8Path) -> Result<Self, RemoteError> {
        let base = camino::absolute_utf8(base).map_err(local("find the inventory's folder"))?;
        let config = config::ssh_config(inventory, &base)
            .map_err(|unfit| local("write an ssh configuration")(std::io::Error::other(unfit)))?;
        let folder = private_folder().map_err(local("make a folder for ssh's sockets"))?;
        let path = Utf8PathBuf::try_from(folder.path().to_owned())
            .map_err(|error| local("use the folder for ssh's sockets")(error.into_io_error()))?;
        let config_file = path.join("config");
        write_private(&config_file, &config).map_err(local("write an ssh configuration"))?;
        let timings = Timings::new(inventory.nodes.iter().map(|node| node.name.clone()));
        let ways = Arc::new(Ways::new(&inventory.ssh, &config_file, &path, timings.clone()));
        let machine = |(index, node): (usize, &crate::inventory::Node)| {
            let etcd = EtcdDoor::new(node, path.join(format!("e{index}")));
            (node.name.clone(), Machine { link: Link::new(node.name.clone(), Arc::clone(&ways)), etcd })
        };
        Ok(Self {
            nodes: inventory.nodes.iter().enumerate().map(machine).collect(),
            etcd: inventory.etcd.clone(),
            timings,
            folder,
        })
    }

    /// Where the time goes; the handle stays valid and keeps counting.
    pub fn timings(&self) -> Timings {
        self.timings.clone()
    }

    /// Ends all connections. Calls made later open new ones.
    pub async fn close(&self) {
        for machine in self.nodes.values() {
            machine.etcd.close().await;
            machine.link.close().await;
        }
    }

    fn machine(&self, node: &NodeName) -> Result<&Machine, RemoteError> {
        let unknown = || SshTrouble::new(Reason::Other, "the inventory has no such node");
        self.nodes.get(node).ok_or_else(|| RemoteError::NotStarted { node: node.clone(), cause: Box::new(unknown()) })
    }

    /// Says and counts what a call came to; never what it printed, nor its arguments.
    fn note<T>(&self, node: &NodeName, what: &str, args: usize, since: Instant, status: Result<i32, &T>)
    where
        T: std::fmt::Debug,
    {
        let took = since.elapsed();
        self.timings.add(node, took);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match status {
            Ok(status) => tracing::debug!(%node, call = what, args, status, millis, "answered"),
            Err(failure) => tracing::debug!(%node, call = what, args, ?failure, millis, "failed"),
        }
    }

    /// Notes what a script's call came to, and makes an answer of it.
    fn answered(
        &self,
        node: &NodeName,
        call: &Call,
        since: Instant,
        result: Result<Answer, Failure>,
    ) -> Result<Output, RemoteError> {
        let status = result.as_ref().map(|answer| answer.status);
        self.note(node, scripts::name(call.script), call.args.len(), since, status);
        outcome(node, result)
    }

    /// Waits for etcd's answer, and notes it.
    async fn noted<T>(
        &self,
        node: &NodeName,
        what: &str,
        asking: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        let since = Instant::now();
        let result = asking.await;
        self.note(node, what, 0, since, result.as_ref().map(|_| 0));
        result
    }
}

#[async_trait]
impl Remote for Fleet {
    async fn call(&self, node: &NodeName, call: &Call) -> Result<Output, RemoteError> {
        let machine = self.machine(node)?;
        let since = Instant::now();
        let result = machine.link.run_script(&scripts::text(call), &call.args, limit(call)).await;
        self.answered(node, call, since, result)
    }

    async fn send(&self, node: &NodeName, call: &Call, from: &Utf8Path) -> Result<Output, RemoteError> {
        let machine = self.machine(node)?;
        let file = std::fs::File::open(from).map_err(local(&format!("read {from}")))?;
        let since = Instant::now();
        let result = machine.link.run_with_file(&scripts::text(call), &call.args, &file, SEND_LIMIT).await;
        self.answered(node, call, since, result)
    }

    async fn carry(
        &self,
        host: &NodeName,
        call: &Call,
        node: &NodeName,
        token: String,
        name: String,
    ) -> Result<Output, RemoteError> {
        let secret = self.secret(host, call).await?;
        if secret.status != 0 {
            // The token that was refused is no secret, and the first thing that a script says.
            let stdout = if secret.status == LOWER_TOKEN { text(&secret.bytes) } else { String::new() };
            return Ok(Output { status: secret.status, stdout, stderr: secret.complaint });
        }
        let held = Nameless::of(&secret.bytes).map_err(local("make a file"))?;
        self.send(node, &Call { script: Script::PutFile, args: held.announced(token, name) }, &held.path()).await
    }

    async fn run_here(&self, argv: &[String], limit: Duration) -> Result<Output, RemoteError> {
        here::run(argv, limit).await
    }

    async fn etcd_members(&self, node: &NodeName) -> Result<MemberList, RemoteError> {
        let machine = self.machine(node)?;
        self.noted(node, "etcd-members", Box::pin(machine.etcd.members(Way::Over(&machine.link), &self.etcd))).await
    }

    async fn etcd_status(&self, node: &NodeName) -> Result<MemberStatus, RemoteError> {
        let machine = self.machine(node)?;
        self.noted(node, "etcd-status", Box::pin(machine.etcd.status(Way::Over(&machine.link), &self.etcd))).await
    }

    async fn etcd_hash(&self, node: &NodeName, revision: u64) -> Result<HashKv, RemoteError> {
        let machine = self.machine(node)?;
        self.noted(node, "etcd-hash", Box::pin(machine.etcd.hash(Way::Over(&machine.link), &self.etcd, revision))).await
    }

    async fn etcd_snapshot(
        &self,
        node: &NodeName,
        into: &Utf8Path,
        wanted: &SnapshotWanted,
    ) -> Result<SnapshotContents, RemoteError> {
        let machine = self.machine(node)?;
        self.noted(
            node,
            "etcd-snapshot",
            Box::pin(machine.etcd.snapshot(Way::Over(&machine.link), &self.etcd, into, wanted)),
        )
        .await
    }
}

#[async_trait]
impl Turns for Fleet {
    async fn etcd_cluster_id(&self, node: &NodeName) -> Result<u64, RemoteError> {
        let machine = self.machine(node)?;
        let asking = machine.etcd.cluster_id(Way::Over(&machine.link), &self.etcd);
        self.noted(node, "etcd-cluster-id", Box::pin(asking)).await
    }

    async fn etcd_take_turn(&self, node: &NodeName, time: Duration) -> Result<bool, RemoteError> {
        let machine = self.machine(node)?;
        let taking = machine.etcd.take_turn(Way::Over(&machine.link), &self.etcd, time);
        self.noted(node, "etcd-take-turn", Box::pin(taking)).await
    }

    async fn etcd_keep_turn(&self, node: &NodeName) -> Result<bool, RemoteError> {
        let machine = self.machine(node)?;
        let keeping = machine.etcd.keep_turn(Way::Over(&machine.link), &self.etcd);
        self.noted(node, "etcd-keep-turn", Box::pin(keeping)).await
    }

    async fn etcd_end_turn(&self, node: &NodeName) -> Result<(), RemoteError> {
        let machine = self.machine(node)?;
        let ending = machine.etcd.end_turn(Way::Over(&machine.link), &self.etcd);
        self.noted(node, "etcd-end-turn", Box::pin(ending)).await
    }
}

#[async_trait]
impl Streams for Fleet {
    async fn etcd_stream(&self, node: &NodeName, into: &Sender<Vec<u8>>) -> Result<(), RemoteError> {
        let machine = self.machine(node)?;
        let streaming = machine.etcd.stream(Way::Over(&machine.link), &self.etcd, into);
        self.noted(node, "etcd-stream", Box::pin(streaming)).await
    }

    async fn kube_system_uid(&self, node: &NodeName) -> Result<Option<String>, RemoteError> {
        let machine = self.machine(node)?;
        let asking = machine.etcd.kube_system_uid(Way::Over(&machine.link), &self.etcd);
        self.noted(node, "etcd-kube-system-uid", Box::pin(asking)).await
    }

    async fn secret(&self, node: &NodeName, call: &Call) -> Result<Secret, RemoteError> {
        let machine = self.machine(node)?;
        let since = Instant::now();
        let result = machine.link.run_script(&scripts::text(call), &call.args, limit(call)).await;
        let status = result.as_ref().map(|answer| answer.status);
        self.note(node, scripts::name(call.script), call.args.len(), since, status);
        let Answer { status, stdout, stderr } = result.map_err(|failure| failed(node, failure))?;
        Ok(Secret { status, bytes: stdout, complaint: String::from_utf8_lossy(&stderr).into_owned() })
    }
}

fn limit(call: &Call) -> Duration {
    match call.script {
        Script::Probe | Script::Api => LOOK_LIMIT,
        Script::UnitWait => {
            let own = call.args.get(2).and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
            CALL_LIMIT.saturating_add(Duration::from_secs(own))
        }
        _ => CALL_LIMIT,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn outcome(node: &NodeName, result: Result<Answer, Failure>) -> Result<Output, RemoteError> {
    match result {
        Ok(answer) => Ok(Output { status: answer.status, stdout: text(&answer.stdout), stderr: text(&answer.stderr) }),
        Err(failure) => Err(failed(node, failure)),
    }
}

pub(super) fn failed(node: &NodeName, failure: Failure) -> RemoteError {
    match failure {
        Failure::NotStarted(trouble) => RemoteError::NotStarted { node: node.clone(), cause: Box::new(trouble) },
        Failure::InDoubt(trouble) => RemoteError::InDoubt { node: node.clone(), cause: Box::new(trouble) },
    }
}

/// A folder of ours alone, with a path short enough for sockets.
pub(super) fn private_folder() -> std::io::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let usual = std::env::temp_dir();
    let parent = if usual.as_os_str().len() + "/wl-XXXXXX".len() > LONGEST_FOLDER { "/tmp".into() } else { usual };
    tempfile::Builder::new().prefix("wl-").permissions(std::fs::Permissions::from_mode(0o700)).tempdir_in(parent)
}

fn write_private(path: &Utf8Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn local(what: &str) -> impl FnOnce(std::io::Error) -> RemoteError {
    let what = what.to_owned();
    move |cause| RemoteError::Local { what, cause }
}
