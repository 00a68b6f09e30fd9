//! Actions: a closed enum over the kinds, with one delegating match. What an action does in particular is in its own file
//! below `actions/`; all of it is pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::actions::archive::ArchiveNode;
use super::actions::balancer::{AwaitServers, DrainServer, HandOver, ReturnServer, SetUpBalancer};
use super::actions::bootstrap::{
    ApplyManifest, FormMember, Introduce, KubeadmInit, KubeadmJoin, PrepareMachine, RevokeTokens, SendManifest,
    SetUpRuntime, SettleMember,
};
use super::actions::brought::Brought;
use super::actions::certificates::{Order, PlaceCertificates, SendCertificates};
use super::actions::command::{Gate, RunCommand};
use super::actions::cordon::{Cordon, Drain, Uncordon};
use super::actions::defrag::DefragMember;
use super::actions::etcd::{AwaitClusterVersion, AwaitEtcd, EtcdAccess, MoveLeader, Snapshot, SwapEtcd};
use super::actions::fetch_tool::FetchTool;
use super::actions::kubeadm::{AwaitApiServers, KubeadmApply, KubeadmNode, KubeadmPlan};
use super::actions::kubelet::{AwaitReady, RestartKubelet};
use super::actions::members::{
    AddMember, AwaitMembers, JoinMember, KubeadmMember, PromoteMember, RemoveMember, RetireMember, WriteMembers,
};
use super::actions::nodes::{DeleteNode, LeaveCluster};
use super::actions::packages::{FetchPackages, InstallPackages, PullImages};
use super::actions::programs::FetchArchive;
use super::actions::renew::{AwaitHeard, RenewKubelet, RestartContainers, StartStaticPods, StopStaticPods};
use super::actions::renewal::RenewCertificates;
use super::actions::restore::{AwaitRestored, RestoreMember, SaveWhatLives, SendSnapshot, StartEtcd, StopEtcd};
use super::call::{Call, Script};
use super::look::{Look, Question, Sight};
use super::plan::RunId;
use crate::inventory::NodeName;

/// Where an action is carried out: the run, and the lane's node.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The run, which owns cordons.
    pub run: &'a RunId,
    /// The lane's node; `None` for the cluster as a whole.
    pub node: Option<&'a NodeName>,
}

impl Site<'_> {
    /// The node's name, or `cluster`.
    pub fn subject(&self) -> &str {
        self.node.map_or("cluster", NodeName::as_str)
    }
}

/// What has to happen outside for an action: the closed set that the engine knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A job script, as a unit.
    Job {
        /// On which machine.
        on: On,
        /// The job.
        call: Call,
    },
    /// A verified snapshot of etcd to the operator's machine, and a copy to a control plane.
    Snapshot {
        /// Whether a throw-away etcd on a member's machine has to come to life on it.
        proven: bool,
    },
    /// A snapshot of every member of etcd that still answers to the operator's machine.
    Salvage,
    /// A file of the operator's, to the lane's node.
    Send {
        /// The file, absolute.
        file: String,
        /// What it is called below Windlass's folder on the node.
        name: String,
        /// SHA-256 of the file, hex.
        sha256: String,
        /// Its size in bytes.
        bytes: u64,
    },
    /// Keys and certificates, made and signed on the operator's machine, to the lane's node.
    Certify {
        /// What is made.
        order: Order,
        /// What it is called below Windlass's folder on the node.
        name: String,
    },
    /// What a healthy control plane prints to introduce the lane's node, to a file below Windlass's folder there. It is
    /// secret, and only in memory on its way.
    Introduce {
        /// Arguments of [`Script::Introduce`] behind the lock's token.
        script: Vec<String>,
        /// What it is called below Windlass's folder on the node.
        name: String,
    },
    /// A command on the operator's machine.
    Operator {
        /// Program and arguments; no shell.
        argv: Vec<String>,
    },
    /// Nothing is done; the action only waits.
    Wait,
}

/// On which machine a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    /// The lane's node.
    Lane,
    /// A healthy control plane other than the lane's node.
    AnotherControlPlane,
    /// This machine.
    Machine(NodeName),
}

/// When an action's success may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before anything was done.
    Before,
    /// After its effect ended well.
    After,
}

/// What every kind of action can say of itself.
pub(crate) trait Act {
    /// In words, for the plan: what happens to the lane's node.
    fn describe(&self) -> String;
    /// What has to be seen before and after; nothing where only the exit status tells.
    fn question(&self, _site: Site<'_>) -> Question {
        Question::default()
    }
    /// What the sight means.
    fn look(&self, site: Site<'_>, moment: Moment, sight: &Sight) -> Look;
    /// What has to be done; nothing where it only waits.
    fn effect(&self, _site: Site<'_>) -> Effect {
        Effect::Wait
    }
    /// How going back works, in words.
    fn undo(&self) -> String {
        "nothing to undo".to_owned()
    }
    /// What Windlass does by itself when a try has failed for sure; nothing where going back is not automatic.
    fn way_back(&self, _site: Site<'_>) -> Option<Call> {
        None
    }
    /// Whether everything is as it was before the act. Asked only where there is a way back.
    fn look_back(&self, _sight: &Sight) -> Look {
        Look::Unseen("there is no way back to look for".to_owned())
    }
    /// Whether that earlier action of the lane is taken back when this one fails.
    fn takes_back(&self, _earlier: &Action) -> bool {
        false
    }
    /// Seconds it usually takes, measured on a small cluster.
    fn estimate(&self) -> u64;
    /// How long a good sight has to hold before it is believed.
    fn steady(&self) -> Duration {
        Duration::ZERO
    }
    /// What must not change while a good sight holds.
    fn fingerprint(&self, _sight: &Sight) -> String {
        String::new()
    }
    /// Whether a later step leans on the effect of this one, which does not last by itself.
    fn serves(&self, _later: &Action) -> bool {
        false
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $kind:ident),* $(,)?) => {
        /// One thing to be done, with everything it needs to know.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
        pub enum Action {
            $($(#[$doc])* $kind($kind),)*
        }

        impl Action {
            fn act(&self) -> &dyn Act {
                match self {
                    $(Self::$kind(action) => action,)*
                }
            }
        }

        $(impl From<$kind> for Action {
            fn from(action: $kind) -> Self {
                Self::$kind(action)
            }
        })*
    };
}

actions! {
    /// Archive a node's configuration.
    ArchiveNode,
    /// Download packages.
    FetchPackages,
    /// Bring an archive of etcd's programs to a node.
    FetchArchive,
    /// Take etcd's programs out of its image.
    FetchTool,
    /// Pull images.
    PullImages,
    /// Install packages.
    InstallPackages,
    /// Snapshot etcd.
    Snapshot,
    /// Move leadership off a member.
    MoveLeader,
    /// Install a member's package, which restarts it.
    SwapEtcd,
    /// Wait for etcd to be whole.
    AwaitEtcd,
    /// Wait for the cluster version of etcd.
    AwaitClusterVersion,
    /// Make certificates and send them.
    SendCertificates,
    /// Put certificates in their places.
    PlaceCertificates,
    /// Put renewed certificates in the places of the former ones.
    RenewCertificates,
    /// Put a member on the list.
    AddMember,
    /// Make a machine's etcd the member that was added for it.
    JoinMember,
    /// Have kubeadm make a control plane's member.
    KubeadmMember,
    /// Let a learner vote.
    PromoteMember,
    /// Take a member off the list.
    RemoveMember,
    /// Stop the etcd of a member that was removed.
    RetireMember,
    /// Write the members into an environment file.
    WriteMembers,
    /// Defragment a member.
    DefragMember,
    /// Wait for the members to be whole.
    AwaitMembers,
    /// `kubeadm upgrade plan`.
    KubeadmPlan,
    /// `kubeadm upgrade apply`.
    KubeadmApply,
    /// `kubeadm upgrade node`.
    KubeadmNode,
    /// Wait for every API server.
    AwaitApiServers,
    /// Cordon as ours.
    Cordon,
    /// Evict pods.
    Drain,
    /// Restart the kubelet.
    RestartKubelet,
    /// Wait for a node.
    AwaitReady,
    /// Uncordon if ours.
    Uncordon,
    /// Send the snapshot that is to be restored.
    SendSnapshot,
    /// Snapshot what still lives of etcd.
    SaveWhatLives,
    /// Take static pods away.
    StopStaticPods,
    /// Stop a member and keep it from being started.
    StopEtcd,
    /// Replace a member's data.
    RestoreMember,
    /// Start a member.
    StartEtcd,
    /// Wait for the restored members.
    AwaitRestored,
    /// Give static pods back.
    StartStaticPods,
    /// Restart the kubelet as it is.
    RenewKubelet,
    /// Wait for a kubelet's own word.
    AwaitHeard,
    /// Restart containers.
    RestartContainers,
    /// Make a machine fit for Kubernetes.
    PrepareMachine,
    /// Set up the container runtime.
    SetUpRuntime,
    /// Begin a cluster of etcd.
    FormMember,
    /// Write down that it exists.
    SettleMember,
    /// `kubeadm init`.
    KubeadmInit,
    /// Send a manifest.
    SendManifest,
    /// Apply a manifest.
    ApplyManifest,
    /// Introduce a machine to the cluster.
    Introduce,
    /// `kubeadm join`.
    KubeadmJoin,
    /// Take tokens back.
    RevokeTokens,
    /// Set up a load balancer.
    SetUpBalancer,
    /// Wait until a load balancer leads to every API server.
    AwaitServers,
    /// Give a shared address away.
    HandOver,
    /// Take an API server out of service at a load balancer.
    DrainServer,
    /// Give it back.
    ReturnServer,
    /// Make a machine leave its cluster.
    LeaveCluster,
    /// Delete a node that has left.
    DeleteNode,
    /// Wait for a condition of the cluster.
    Gate,
    /// A command of the operator's.
    RunCommand,
}

impl Action {
    /// In words, for the plan.
    pub fn describe(&self) -> String {
        self.act().describe()
    }

    /// What has to be seen before and after.
    pub fn question(&self, site: Site<'_>) -> Question {
        self.act().question(site)
    }

    /// What the sight means.
    pub fn look(&self, site: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        self.act().look(site, moment, sight)
    }

    /// What has to be done.
    pub fn effect(&self, site: Site<'_>) -> Effect {
        self.act().effect(site)
    }

    /// How going back works, in words.
    pub fn undo(&self) -> String {
        self.act().undo()
    }

    /// What Windlass does by itself when a try has failed for sure: a job on the lane's node.
    pub fn way_back(&self, site: Site<'_>) -> Option<Call> {
        self.act().way_back(site)
    }

    /// Whether everything is as it was before the act.
    pub fn look_back(&self, sight: &Sight) -> Look {
        self.act().look_back(sight)
    }

    /// Whether `earlier`, a step before this one in its lane, is taken back when this one fails.
    pub fn takes_back(&self, earlier: &Self) -> bool {
        self.act().takes_back(earlier)
    }

    /// Seconds it usually takes.
    pub fn estimate(&self) -> u64 {
        self.act().estimate()
    }

    /// How long a good sight has to hold before it is believed.
    pub fn steady(&self) -> Duration {
        self.act().steady()
    }

    /// What must not change while a good sight holds.
    pub fn fingerprint(&self, sight: &Sight) -> String {
        self.act().fingerprint(sight)
    }

    /// Whether `later` leans on the effect of this one, which does not last by itself: on resume it is looked at again.
    pub fn serves(&self, later: &Self) -> bool {
        self.act().serves(later)
    }

    /// How to speak to the stacked member that it restarts, or may restart, and to the others.
    pub fn stacked_member(&self) -> Option<&EtcdAccess> {
        match self {
            Self::KubeadmApply(apply) => apply.member.as_ref().map(|member| &member.access),
            Self::KubeadmNode(node) => node.member.as_ref().map(|member| &member.access),
            Self::InstallPackages(install) => install.member.as_ref(),
            Self::RestartKubelet(restart) => restart.member.as_ref(),
            _ => None,
        }
    }

    /// Whether it restarts its node's API server where there is one, or may: a kubelet may start its static pods anew.
    pub fn restarts_api_server(&self) -> bool {
        match self {
            Self::KubeadmApply(_) | Self::RestartKubelet(_) => true,
            Self::KubeadmNode(node) => node.control_plane,
            Self::InstallPackages(install) => install.packages.iter().any(|package| package.name == "kubelet"),
            _ => false,
        }
    }

    /// Which etcd kubeadm may bring with it to a stacked member.
    pub fn stacked_brings(&self) -> Option<&Brought> {
        match self {
            Self::PullImages(pull) => pull.brings.as_ref(),
            Self::KubeadmApply(apply) => apply.member.as_ref().map(|member| &member.brings),
            Self::KubeadmNode(node) => node.member.as_ref().map(|member| &member.brings),
            _ => None,
        }
    }

    /// Whether it only makes ready: nothing of the cluster is touched, and it may be done long before the rest.
    pub fn prepares(&self) -> bool {
        matches!(
            self,
            Self::ArchiveNode(_)
                | Self::FetchPackages(_)
                | Self::FetchArchive(_)
                | Self::FetchTool(_)
                | Self::PullImages(_)
                | Self::SendSnapshot(_)
                | Self::SendCertificates(_)
                | Self::SendManifest(_)
        )
    }

    /// Changes something of the cluster (downloads, snapshots and waits do not).
    pub fn changes_cluster(&self) -> bool {
        !matches!(
            self,
            Self::ArchiveNode(_)
                | Self::FetchPackages(_)
                | Self::FetchArchive(_)
                | Self::FetchTool(_)
                | Self::PullImages(_)
                | Self::Snapshot(_)
                | Self::SendSnapshot(_)
                | Self::SendCertificates(_)
                | Self::SendManifest(_)
                | Self::SaveWhatLives(_)
                | Self::AwaitRestored(_)
                | Self::AwaitHeard(_)
                | Self::AwaitEtcd(_)
                | Self::AwaitMembers(_)
                | Self::AwaitClusterVersion(_)
                | Self::AwaitApiServers(_)
                | Self::AwaitReady(_)
                | Self::AwaitServers(_)
                | Self::Gate(_)
        )
    }
}

/// A job of `script` with `args`.
pub(crate) fn job<I, S>(on: On, script: Script, args: I) -> Effect
where
    I: IntoIterator<Item = S>,
    S: Into<String>,
{
    Effect::Job { on, call: Call { script, args: args.into_iter().map(Into::into).collect() } }
}
