//! What can be asked of a machine and of the API: the sections of the probes, by the words that the scripts know them by.

/// A section of the probe; each fills the fields of [`MachineFacts`] that it is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Host name, machine id, boot id, operating system.
    Identity,
    /// Package manager, versions installed, holds.
    Packages,
    /// Versions to be had, asked of the repositories (a second or more); only beside [`Section::Packages`].
    Candidates,
    /// Room on file systems.
    Disks,
    /// Version of the running kubelet.
    Kubelet,
    /// Images in the static pods' manifests.
    StaticPods,
    /// What the container runtime runs.
    Containers,
    /// Version of this machine's own API server, when it is ready.
    ApiServer,
    /// Ends of certificates.
    Certificates,
    /// The etcd process.
    Etcd,
    /// Windlass's own lock and token.
    Windlass,
    /// What is kept for going back: archives, packages, copies of snapshots.
    Kept,
    /// What restores a member's data.
    EtcdTool,
    /// Processors and memory.
    Size,
    /// How the member of etcd fares, from its metrics.
    EtcdPace,
    /// What the API server has to do, from its metrics.
    ApiRequests,
    /// What a machine is before a cluster stands on it.
    Ground,
    /// What haproxy says of the API servers behind it.
    Balancer,
}

impl Section {
    /// Everything that a plan needs except [`Section::Candidates`], which goes over the network.
    pub const ALL: [Self; 10] = [
        Self::Identity,
        Self::Packages,
        Self::Disks,
        Self::Kubelet,
        Self::StaticPods,
        Self::Containers,
        Self::ApiServer,
        Self::Certificates,
        Self::Etcd,
        Self::Windlass,
    ];

    /// The word that the script knows it by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Packages => "packages",
            Self::Candidates => "candidates",
            Self::Disks => "disks",
            Self::Kubelet => "kubelet",
            Self::StaticPods => "static-pods",
            Self::Containers => "containers",
            Self::ApiServer => "api-server",
            Self::Certificates => "certificates",
            Self::Etcd => "etcd",
            Self::Windlass => "windlass",
            Self::Kept => "kept",
            Self::EtcdTool => "etcd-tool",
            Self::Size => "size",
            Self::EtcdPace => "etcd-pace",
            Self::ApiRequests => "api-requests",
            Self::Ground => "ground",
            Self::Balancer => "balancer",
        }
    }
}

/// What can be asked of the Kubernetes API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiSection {
    /// Only whether it is ready, which every call asks first anyway.
    Ready,
    /// Names, labels and addresses of the nodes.
    Addresses,
    /// Node objects.
    Nodes,
    /// kubeadm-config.
    Kubeadm,
    /// Images of kube-proxy and CoreDNS.
    Addons,
    /// Names of the kubelet-config ConfigMaps.
    KubeletConfigs,
    /// Replicas of the StatefulSets.
    StatefulSets,
    /// How full the nodes are.
    Load,
    /// What pods keep on nodes.
    Volumes,
}

impl ApiSection {
    /// Everything.
    pub const ALL: [Self; 5] = [Self::Nodes, Self::Kubeadm, Self::Addons, Self::KubeletConfigs, Self::StatefulSets];

    /// The word that the script knows it by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "readyz",
            Self::Addresses => "addresses",
            Self::Nodes => "nodes",
            Self::Kubeadm => "kubeadm",
            Self::Addons => "addons",
            Self::KubeletConfigs => "kubelet-configs",
            Self::StatefulSets => "stateful-sets",
            Self::Load => "load",
            Self::Volumes => "volumes",
        }
    }
}
