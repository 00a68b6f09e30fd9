//! The vocabulary of what is run on nodes: a closed set of scripts, and a script with its arguments. Plain data; the
//! scripts' texts are in the `remote` room.

use serde::{Deserialize, Serialize};

/// A script by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Script {
    /// Quick: everything a plan needs to know of a machine; see `facts::probe`.
    Probe,
    /// Quick: what the API says, through a control plane's own API server; see `facts::api`.
    Api,
    /// Quick: what a unit is doing.
    UnitStatus,
    /// Quick: waits for a unit to end, a bounded time; prints its state and the new lines of its log.
    UnitWait,
    /// Manages: checks and stores the token under a lock, then starts a job script as a transient unit.
    UnitStart,
    /// Manages: takes the lock file on this node.
    LockTake,
    /// Manages: takes the lock file on this node from whoever holds it, when that is still who was seen to.
    LockReplace,
    /// Manages: gives the lock file back.
    LockRelease,
    /// Manages: stores the token on a node that holds no lock file, so that lower ones are refused there too.
    TokenRaise,
    /// Manages: writes stdin to a file below Windlass's folder, 0600, after checking the token and a SHA-256.
    PutFile,
    /// Manages: puts a piece of a run's journal or plan to the copy that this node keeps, after checking the token.
    CopyAppend,
    /// Quick: prints which runs this node keeps copies of, or one of a run's copies.
    CopyRead,
    /// Quick: prints etcd's client certificate, key and CA as PEM.
    EtcdIdentity,
    /// Quick: prints how this machine's etcd is run: unit, packages, certificates.
    EtcdService,
    /// Quick: prints what a snapshot of etcd does not bring back: CAs, keys, configuration.
    PkiRead,
    /// Manages: takes away what was kept for going back in a run that is over.
    ForgetRun,
    /// Manages: deletes what a restore has set aside of a member's data.
    ForgetData,
    /// Manages: introduces a machine to the cluster, on a control plane; prints secrets.
    Introduce,
    /// Job: makes a machine fit for Kubernetes.
    PrepareMachine,
    /// Job: gives containerd its configuration and starts it.
    SetUpRuntime,
    /// Job: makes a machine's etcd a member of a cluster that begins.
    MemberForm,
    /// Job: kubeadm init.
    KubeadmInit,
    /// Job: kubeadm join.
    KubeadmJoin,
    /// Job: applies a manifest that was sent.
    ApplyManifest,
    /// Job: takes the bootstrap tokens of a run back.
    RevokeTokens,
    /// Job: makes a machine leave its cluster.
    LeaveCluster,
    /// Job: deletes a node that has left, and its pods.
    DeleteNode,
    /// Job: archives a node's configuration before anything on it is changed.
    Archive,
    /// Job: downloads packages, and keeps them and the former versions of them.
    FetchPackages,
    /// Job: takes etcd's programs for clients out of a stacked member's image.
    FetchTool,
    /// Job: pulls images as the target's own kubeadm lists them.
    PullImages,
    /// Job: installs packages at a version and puts their holds back.
    InstallPackages,
    /// Job: puts the former versions of packages, and their holds, back.
    RestorePackages,
    /// Job: downloads an archive of etcd's programs.
    FetchArchive,
    /// Job: puts etcd's programs from an archive in the place of a node's, and restarts the member.
    InstallPrograms,
    /// Job: puts a node's former programs of etcd back.
    RestorePrograms,
    /// Job: moves etcd's leadership off this member.
    MoveLeader,
    /// Quick: what a machine that is to become a member of etcd has for it.
    MemberReady,
    /// Job: puts certificates and keys that were sent in their places.
    PlaceCertificates,
    /// Job: puts renewed certificates and keys in the places of the former ones, and sees that they are used.
    RenewCertificates,
    /// Job: puts the former certificates and keys back.
    RestoreCertificates,
    /// Job: puts a member on etcd's list.
    MemberAdd,
    /// Job: makes this node's etcd the member that was added for it.
    MemberJoin,
    /// Job: has kubeadm make this control plane's member.
    MemberKubeadm,
    /// Job: lets a learner vote.
    MemberPromote,
    /// Job: takes a member off etcd's list.
    MemberRemove,
    /// Job: stops the etcd of a member that was removed.
    MemberRetire,
    /// Job: writes the members into etcd's environment file.
    MemberConfig,
    /// Job: restores a snapshot into a throw-away etcd of this node, and asks what it has.
    ProveSnapshot,
    /// Job: defragments this node's member of etcd.
    Defrag,
    /// Job: `kubeadm upgrade plan`.
    KubeadmPlan,
    /// Job: `kubeadm upgrade apply`.
    KubeadmApply,
    /// Job: `kubeadm upgrade node`.
    KubeadmNode,
    /// Job: cordons a node as ours, in one conditional patch.
    Cordon,
    /// Job: evicts what runs on a node.
    Drain,
    /// Job: uncordons a node that is cordoned as ours, in one conditional patch.
    Uncordon,
    /// Job: restarts the kubelet.
    KubeletRestart,
    /// Job: takes static pods' manifests away, and waits until their containers are gone.
    StopStaticPods,
    /// Job: gives static pods' manifests back.
    StartStaticPods,
    /// Job: stops etcd and keeps it from being started.
    StopEtcd,
    /// Job: sets a member's data aside and restores a snapshot in their place.
    RestoreMember,
    /// Job: lets etcd run again, and starts it.
    StartEtcd,
    /// Job: ends containers, so that the kubelet starts them anew.
    RestartContainers,
    /// Job: gives a load balancer its configuration.
    SetUpBalancer,
    /// Job: has a load balancer give the shared address to the other one.
    HandOver,
    /// Job: takes an API server out of service at a load balancer.
    DrainServer,
    /// Job: gives it back.
    ReturnServer,
    /// Job: a command of the operator's.
    Run,
}

/// A script with its arguments, ready to be run on some node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Which script.
    pub script: Script,
    /// Its positional arguments, passed as they are.
    pub args: Vec<String>,
}
