//! A stacked member of etcd, and what kubeadm brings to it: kubeadm raises etcd together with Kubernetes, to the release that it
//! knows for that one. It is asked for its choice, and held to what the plan allows, before it may touch anything.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::etcd::EtcdAccess;

/// The member on a control plane that kubeadm is to raise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackedMember {
    /// How to speak to it and to the others.
    pub access: EtcdAccess,
    /// What kubeadm may bring to it.
    pub brings: Brought,
}

/// Which etcd kubeadm may bring to a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brought {
    /// The tag of the image that its manifest names: with that, etcd stays what it is.
    pub tag: String,
    /// The tag that kubeadm-config asks for (`etcd.local.imageTag`), which kubeadm puts above its own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
    /// The first release of each minor that it may bring, ascending.
    pub lowest: Vec<Version>,
}

impl Brought {
    /// As jobs take it: its tag, the pinned one or `-`, the first releases or `-`.
    pub(super) fn args(&self) -> [String; 3] {
        let lowest: Vec<String> = self.lowest.iter().map(ToString::to_string).collect();
        let lowest = if lowest.is_empty() { "-".to_owned() } else { lowest.join(",") };
        [self.tag.clone(), self.pinned.clone().unwrap_or_else(|| "-".to_owned()), lowest]
    }
}

/// No word of a stacked member, as jobs take it.
pub(super) fn no_member() -> [String; 3] {
    ["-".to_owned(), "-".to_owned(), "-".to_owned()]
}

/// The guard of a job that restarts a stacked member, or may: all others healthy, and this one not leading. `-` for none.
pub(super) fn guard(access: Option<&EtcdAccess>) -> String {
    access.map_or_else(|| "-".to_owned(), |access| access.guard("-"))
}
