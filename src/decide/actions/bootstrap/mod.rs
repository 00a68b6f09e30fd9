//! A cluster begins: machines are made fit, members of etcd form a cluster, the first control plane is made, others join.

mod joining;
mod machine;
mod manifests;
mod members;

pub use joining::{Introduce, KubeadmInit, KubeadmJoin, Newcomer, RevokeTokens};
pub use machine::{PrepareMachine, SetUpRuntime};
pub use manifests::{ApplyManifest, SendManifest};
pub use members::{FormMember, SettleMember};
