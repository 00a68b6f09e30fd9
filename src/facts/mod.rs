//! What was seen: the types. What could not be seen is [`Seen::Unknown`] with its reason, never a default.
//!
//! Pure. The parsers of what commands print are beside the types; nothing here asks a machine. Facts are saved as JSON
//! (`--save-facts`) and read again (`--facts`), so that planning works offline.

pub mod api;
pub mod ask;
pub mod balancer;
mod certificates;
mod cluster;
pub mod copies;
mod etcd;
pub mod found;
pub mod ground;
pub mod health;
mod kept;
mod kubeadm;
pub mod load;
pub mod lock;
pub mod measured;
mod packages;
pub mod probe;
pub mod proof;
pub mod ready;
mod saved;
mod sections;
pub mod unit;
pub mod version;
pub mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::inventory::NodeName;
use balancer::Balancer;
use ground::Ground;

pub(crate) use etcd::{DEFAULT_QUOTA, FETCHED_TOOL};
pub use lock::RunningUnit;
use measured::Measured;

pub use cluster::{
    Alarm, ApiFacts, EtcdFacts, EtcdMember, KubeNode, KubeadmConfig, MemberStatus, NodeCondition, Replicas,
};

pub use kept::{Archive, Kept};
pub use saved::{FactsError, from_json, to_json};

/// The format number of saved facts that this Windlass writes.
pub const FORMAT: u32 = 1;

/// The annotation on a Node object that says which run of Windlass cordoned it.
pub const CORDON_ANNOTATION: &str = "windlass.dev/cordoned-by";

/// Something that was looked for: seen, or not seen and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen<T> {
    /// It was seen.
    Known(T),
    /// It was not, because…
    Unknown(String),
}

impl<T> Seen<T> {
    /// The value, when it was seen.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// A reference to what was seen.
    pub fn as_ref(&self) -> Seen<&T> {
        match self {
            Self::Known(value) => Seen::Known(value),
            Self::Unknown(why) => Seen::Unknown(why.clone()),
        }
    }
}

/// What was not asked, now or when it was saved.
pub(crate) fn unasked<T>() -> Seen<T> {
    Seen::Unknown("not asked".to_owned())
}

fn is_unasked<T>(seen: &Seen<T>) -> bool {
    matches!(seen, Seen::Unknown(_))
}

/// Everything seen of one cluster at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Format number, [`FORMAT`].
    pub format: u32,
    /// The operator's clock when looking ended.
    pub taken_at: Timestamp,
    /// The inventory's cluster name.
    pub cluster: String,
    /// Each machine of the inventory, in its order.
    pub nodes: Vec<NodeFacts>,
    /// What the Kubernetes API says, asked on the first control plane whose own API server is ready.
    pub api: Seen<ApiFacts>,
    /// What etcd's members say of themselves.
    pub etcd: Seen<EtcdFacts>,
    /// Room on the operator's machine, where snapshots go.
    #[serde(default = "operator_disk_unseen")]
    pub operator_disk: Seen<Disk>,
}

/// Facts that were saved before this was looked at.
fn operator_disk_unseen() -> Seen<Disk> {
    Seen::Unknown("it was not looked at".to_owned())
}

impl Facts {
    /// The machine called `name`, when it answered.
    pub fn machine(&self, name: &NodeName) -> Option<&MachineFacts> {
        self.nodes.iter().find(|node| &node.name == name).and_then(|node| node.machine.known())
    }
}

/// One machine of the inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFacts {
    /// Its name in the inventory.
    pub name: NodeName,
    /// What its probe told; unknown when it could not be reached, with ssh's reason.
    pub machine: Seen<MachineFacts>,
}

/// What one probe of a machine tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineFacts {
    /// What the machine calls itself.
    pub hostname: String,
    /// `/etc/machine-id`.
    pub machine_id: Seen<String>,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Seen<String>,
    /// The operating system.
    pub os: Seen<Os>,
    /// How packages are managed here.
    pub package_manager: Seen<PackageManager>,
    /// Packages that an upgrade may touch, by name; only names that were asked for.
    pub packages: BTreeMap<String, PackageFacts>,
    /// Node's clock minus operator's clock in milliseconds, the least that it can be; 0 when they may agree.
    pub clock_skew_ms: Seen<i64>,
    /// Free space, by path (`/`, `/var/lib`, `/var/lib/etcd`, `/var/cache/apt/archives`, …); only paths that exist.
    pub disks: BTreeMap<String, Disk>,
    /// Version of the kubelet process that is running; `None` when none runs.
    pub kubelet_running: Seen<Option<Version>>,
    /// Image of each static pod's first container by component (`kube-apiserver`, …), from the manifests.
    pub static_pods: Seen<BTreeMap<String, String>>,
    /// Containers running, from the container runtime.
    pub containers: Seen<Vec<Container>>,
    /// What this machine's own API server answers at `/version`; `None` when the machine runs none, unknown when
    /// `/readyz` fails.
    pub api_server: Seen<Option<Version>>,
    /// Certificates below /etc/kubernetes/pki, of kubelet, of etcd, and those inside kubeadm's kubeconfig files.
    pub certificates: Seen<Vec<Certificate>>,
    /// The etcd service of this machine; `None` when it runs none.
    pub etcd: Seen<Option<EtcdProcess>>,
    /// The highest lock token this machine has stored; 0 when none.
    pub token: u64,
    /// The lock file on this machine, as its JSON text, when there is one.
    pub lock: Option<String>,
    /// What is kept for going back. It is looked at when it is needed, and not saved.
    #[serde(skip, default = "unasked")]
    pub kept: Seen<Kept>,
    /// What restores a member's data here. It is looked at when it is needed, and not saved.
    #[serde(skip, default = "unasked")]
    pub etcd_tool: Seen<EtcdTool>,
    /// What it is worth and how its servers fare. It is looked at when it is needed, and not saved.
    #[serde(skip)]
    pub measured: Measured,
    /// What it is before a cluster stands on it. It is looked at when it is needed, and not saved.
    #[serde(skip, default = "unasked")]
    pub ground: Seen<Ground>,
    /// What its haproxy says of the API servers behind it; `None` when it does not run. Only asked of load balancers.
    #[serde(default = "unasked", skip_serializing_if = "is_unasked")]
    pub balancer: Seen<Option<Balancer>>,
    /// Units of Windlass that run on it, of any run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<RunningUnit>,
}

impl MachineFacts {
    /// The file system that has the data of this machine's member, of those that were looked at: its path, and its room.
    pub fn data_disk(&self) -> Option<(&str, Disk)> {
        let data = self.etcd.known()?.as_ref()?.data_dir.known()?;
        let holds = |path: &str| path == "/" || data == path || data.starts_with(&format!("{path}/"));
        let disks = self.disks.iter().filter(|(path, _)| holds(path));
        disks.max_by_key(|(path, _)| path.len()).map(|(path, disk)| (path.as_str(), *disk))
    }
}

/// The program that restores a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdTool {
    /// Where it is: `etcdutl`, or an `etcdctl` that still can. Of one in an image, where a job of the run puts it.
    pub path: String,
    /// The image of the stacked member that it has to be taken out of first.
    pub image: Option<String>,
    /// Its version.
    pub version: Version,
    /// Whether it can raise revisions (`--bump-revision`, from 3.4.27 and 3.5.10 on).
    pub bumps: bool,
}

/// An operating system, from `/etc/os-release`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Os {
    /// `debian`, `ubuntu`, `rocky`, …
    pub id: String,
    /// `12`, `22.04`, … empty when rolling.
    pub version: String,
    /// For people.
    pub pretty: String,
}

/// How packages are managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageManager {
    /// apt and dpkg.
    Apt,
    /// dnf, yum and rpm.
    Dnf,
    /// zypper and rpm.
    Zypper,
}

impl PackageManager {
    /// Its name, as people write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
            Self::Zypper => "zypper",
        }
    }
}

/// One package on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageFacts {
    /// Version installed, as the package manager writes it, with dpkg's state behind it when that is a broken one
    /// (`1.21.14-00 (half-configured)`); `None` when it is not installed.
    pub installed: Option<String>,
    /// Whether it is held at its version.
    pub held: bool,
    /// Versions to be had from the repositories, newest first as the package manager lists them, looked up afresh.
    pub candidates: Seen<Vec<String>>,
}

impl PackageFacts {
    /// The version that is installed, also when its installation was interrupted.
    pub fn version(&self) -> Option<&str> {
        self.installed.as_deref().map(begun_version)
    }

    /// Whether its installation was begun and not finished.
    pub fn interrupted(&self) -> bool {
        self.installed.as_deref().is_some_and(|installed| begun_version(installed) != installed)
    }
}

/// The version in `1.21.14-00 (half-configured)`.
pub fn begun_version(installed: &str) -> &str {
    installed.split_once(" (").map_or(installed, |(version, _)| version)
}

/// Room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Bytes that root may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

impl Disk {
    /// Reads the one file system that `df -Pk PATH` prints.
    pub fn from_df(printed: &str) -> Option<Self> {
        let mut words = printed.lines().nth(1)?.split_whitespace().skip(1);
        let kibibytes = |word: Option<&str>| word?.parse::<u64>().ok()?.checked_mul(1024);
        let total_bytes = kibibytes(words.next())?;
        Some(Self { total_bytes, free_bytes: kibibytes(words.nth(1))? })
    }
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// Its name in the pod.
    pub name: String,
    /// Its image.
    pub image: String,
}

/// A certificate's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Where it is.
    pub path: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// Whether it signs others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub authority: bool,
}

/// The etcd server process of a machine: its settings as it runs, and its own HTTP answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EtcdProcess {
    /// Whether the service or static pod runs.
    pub running: bool,
    /// Member name.
    pub name: Seen<String>,
    /// Data directory.
    pub data_dir: Seen<String>,
    /// Heartbeat interval in milliseconds.
    pub heartbeat_ms: Seen<u64>,
    /// Election timeout in milliseconds.
    pub election_ms: Seen<u64>,
    /// Backend quota in bytes (etcd's default when it is not set; `u64::MAX` when it is switched off).
    pub quota_bytes: Seen<u64>,
    /// Whether the v2 API is switched on.
    pub enable_v2: Seen<bool>,
    /// Its other settings that Windlass knows, as they run, by the names of etcd's flags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Names of the settings that are flags on its command line: it does not start with one that it does not know.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub flags: BTreeSet<String>,
    /// The members that its environment file names (`ETCD_INITIAL_CLUSTER`), when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured_members: Option<String>,
    /// Whether keys of the v2 API exist; unknown where that API is off (until 3.6, which refuses to start on any).
    pub v2_keys: Seen<bool>,
    /// `etcdserver` of `GET /version`.
    pub server_version: Seen<Version>,
    /// `etcdcluster` of `GET /version`.
    pub cluster_version: Seen<Version>,
    /// SHA-256 of the environment file or manifest, hex.
    pub config_digest: Seen<String>,
}
