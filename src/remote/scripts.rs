//! The scripts that run on nodes: a closed set of constant texts. What varies travels as arguments, never as text that a
//! shell would read.
//!
//! Each file has the shape `main() { …; }; main "$@" </dev/null`, so that a truncated script runs nothing and no child can
//! swallow the rest of it. `quick` scripts only look; `job` scripts change a node and run only as a unit that
//! `unit-start` began under the lock's token. What a script prints and which statuses it ends with is said at its top.

use std::borrow::Cow;

pub use crate::decide::call::{Call, Script};

/// The text of `call`'s script. For `unit-start` it contains the text of the job that its fourth argument names; when that
/// is not a job's name, it contains a job that refuses.
pub fn text(call: &Call) -> Cow<'static, str> {
    if call.script == Script::UnitStart {
        let job = call.args.get(3).and_then(|name| job_text(name)).unwrap_or(NO_JOB);
        Cow::Owned(own_text(call.script).replace("@JOB@", job.trim_end()))
    } else {
        Cow::Borrowed(own_text(call.script))
    }
}

/// The status of a script that refuses a token lower than the one that its machine has stored, and prints that one.
pub const LOWER_TOKEN: i32 = 3;

/// The script's name, as its file is called.
pub fn name(script: Script) -> &'static str {
    match script {
        Script::Probe => "probe",
        Script::Api => "api",
        Script::UnitStatus => "unit-status",
        Script::UnitWait => "unit-wait",
        Script::UnitStart => "unit-start",
        Script::LockTake => "lock-take",
        Script::LockReplace => "lock-replace",
        Script::LockRelease => "lock-release",
        Script::TokenRaise => "token-raise",
        Script::PutFile => "put-file",
        Script::CopyAppend => "copy-append",
        Script::CopyRead => "copy-read",
        Script::EtcdIdentity => "etcd-identity",
        Script::EtcdService => "etcd-service",
        Script::PkiRead => "pki-read",
        Script::ForgetRun => "forget-run",
        Script::Archive => "archive",
        Script::FetchPackages => "fetch-packages",
        Script::FetchArchive => "fetch-archive",
        Script::InstallPrograms => "install-programs",
        Script::RestorePrograms => "restore-programs",
        Script::FetchTool => "fetch-tool",
        Script::PullImages => "pull-images",
        Script::InstallPackages => "install-packages",
        Script::RestorePackages => "restore-packages",
        Script::MoveLeader => "move-leader",
        Script::MemberReady => "member-ready",
        Script::PlaceCertificates => "place-certificates",
        Script::RenewCertificates => "renew-certificates",
        Script::RestoreCertificates => "restore-certificates",
        Script::MemberAdd => "member-add",
        Script::MemberJoin => "member-join",
        Script::MemberKubeadm => "member-kubeadm",
        Script::MemberPromote => "member-promote",
        Script::MemberRemove => "member-remove",
        Script::MemberRetire => "member-retire",
        Script::MemberConfig => "member-config",
        Script::ProveSnapshot => "prove-snapshot",
        Script::Defrag => "defrag",
        Script::KubeadmPlan => "kubeadm-plan",
        Script::KubeadmApply => "kubeadm-apply",
        Script::KubeadmNode => "kubeadm-node",
        Script::Cordon => "cordon",
        Script::Drain => "drain",
        Script::Uncordon => "uncordon",
        Script::KubeletRestart => "kubelet-restart",
        Script::StopStaticPods => "stop-static-pods",
        Script::StartStaticPods => "start-static-pods",
        Script::StopEtcd => "stop-etcd",
        Script::RestoreMember => "restore-member",
        Script::StartEtcd => "start-etcd",
        Script::RestartContainers => "restart-containers",
        Script::ForgetData => "forget-data",
        Script::Introduce => "introduce",
        Script::PrepareMachine => "prepare-machine",
        Script::SetUpRuntime => "set-up-runtime",
        Script::MemberForm => "member-form",
        Script::KubeadmInit => "kubeadm-init",
        Script::KubeadmJoin => "kubeadm-join",
        Script::ApplyManifest => "apply-manifest",
        Script::RevokeTokens => "revoke-tokens",
        Script::SetUpBalancer => "set-up-balancer",
        Script::HandOver => "hand-over",
        Script::DrainServer => "drain-server",
        Script::ReturnServer => "return-server",
        Script::LeaveCluster => "leave-cluster",
        Script::DeleteNode => "delete-node",
        Script::Run => "run",
    }
}

/// What runs instead of an unknown job, and changes nothing. A caller's mistake: job names come from [`Script`].
const NO_JOB: &str = "echo 'no job of this name' >&2; exit 2";

/// The jobs: what `unit-start` may start.
const JOBS: [Script; 49] = [
    Script::Archive,
    Script::FetchArchive,
    Script::InstallPrograms,
    Script::RestorePrograms,
    Script::FetchPackages,
    Script::FetchTool,
    Script::PullImages,
    Script::InstallPackages,
    Script::RestorePackages,
    Script::MoveLeader,
    Script::PlaceCertificates,
    Script::RenewCertificates,
    Script::RestoreCertificates,
    Script::MemberAdd,
    Script::MemberJoin,
    Script::MemberKubeadm,
    Script::MemberPromote,
    Script::MemberRemove,
    Script::MemberRetire,
    Script::MemberConfig,
    Script::ProveSnapshot,
    Script::Defrag,
    Script::KubeadmPlan,
    Script::KubeadmApply,
    Script::KubeadmNode,
    Script::Cordon,
    Script::Drain,
    Script::Uncordon,
    Script::KubeletRestart,
    Script::StopStaticPods,
    Script::StartStaticPods,
    Script::StopEtcd,
    Script::RestoreMember,
    Script::StartEtcd,
    Script::RestartContainers,
    Script::PrepareMachine,
    Script::SetUpRuntime,
    Script::MemberForm,
    Script::KubeadmInit,
    Script::KubeadmJoin,
    Script::ApplyManifest,
    Script::RevokeTokens,
    Script::SetUpBalancer,
    Script::HandOver,
    Script::DrainServer,
    Script::ReturnServer,
    Script::LeaveCluster,
    Script::DeleteNode,
    Script::Run,
];

/// The text of the job called `wanted`; nothing for what is not a job.
fn job_text(wanted: &str) -> Option<&'static str> {
    JOBS.into_iter().find(|job| name(*job) == wanted).map(job_own_text)
}

/// A job that speaks to the API, with the part that finds the node's own API server before it.
macro_rules! with_own_api {
    ($file:literal) => {
        concat!(include_str!("scripts/jobs/own-api.part.sh"), include_str!($file))
    };
}

/// A job with what takes etcd's programs out of a stacked member before it.
macro_rules! with_member_root {
    ($file:literal) => {
        concat!(include_str!("scripts/jobs/member-root.part.sh"), include_str!($file))
    };
}

/// A job that asks etcd, with the part that reads its statuses before it.
macro_rules! with_etcd {
    ($file:literal) => {
        concat!(include_str!("scripts/jobs/etcd.part.sh"), include_str!($file))
    };
}

/// A job that changes etcd's members, with the parts that ask for them and keep data aside before it.
macro_rules! with_members {
    ($file:literal) => {
        concat!(
            include_str!("scripts/jobs/members.part.sh"),
            include_str!("scripts/jobs/aside.part.sh"),
            include_str!($file)
        )
    };
}

/// A job that a member of etcd must not be touched by unless all others are well, with the parts that see to it before it.
macro_rules! with_guard {
    ($file:literal) => {
        concat!(
            include_str!("scripts/jobs/etcd.part.sh"),
            include_str!("scripts/jobs/guard.part.sh"),
            include_str!($file)
        )
    };
}

/// A job in which kubeadm raises a control plane, with the parts that see to its stacked member before it.
macro_rules! with_kubeadm {
    ($file:literal) => {
        concat!(
            include_str!("scripts/jobs/etcd.part.sh"),
            include_str!("scripts/jobs/guard.part.sh"),
            include_str!("scripts/jobs/brought.part.sh"),
            include_str!("scripts/jobs/kubeadm.part.sh"),
            include_str!($file)
        )
    };
}

/// A job that changes packages, with the parts that guard them before it.
macro_rules! with_packages {
    ($($file:literal),+) => {
        concat!(
            include_str!("scripts/jobs/etcd.part.sh"),
            include_str!("scripts/jobs/guard.part.sh"),
            include_str!("scripts/jobs/restart.part.sh"),
            include_str!("scripts/jobs/packages.part.sh"),
            $(include_str!($file)),+
        )
    };
}

/// A job that puts programs of etcd in the place of others, with the parts that guard them before it.
macro_rules! with_programs {
    ($($file:literal),+) => {
        concat!(
            include_str!("scripts/jobs/etcd.part.sh"),
            include_str!("scripts/jobs/guard.part.sh"),
            include_str!("scripts/jobs/restart.part.sh"),
            include_str!("scripts/jobs/programs.part.sh"),
            $(include_str!($file)),+
        )
    };
}

/// A job that looks for containers, with the part that finds them before it.
macro_rules! with_containers {
    ($file:literal) => {
        concat!(include_str!("scripts/jobs/containers.part.sh"), include_str!($file))
    };
}

/// A job that moves manifests of static pods, with the parts that do and that find their containers before it.
macro_rules! with_manifests {
    ($file:literal) => {
        concat!(
            include_str!("scripts/jobs/containers.part.sh"),
            include_str!("scripts/jobs/manifests.part.sh"),
            include_str!($file)
        )
    };
}

/// A job that puts certificates in their places, with the parts that write them before it.
macro_rules! with_certificates {
    ($file:literal) => {
        concat!(
            include_str!("scripts/jobs/owner.part.sh"),
            include_str!("scripts/jobs/certificates.part.sh"),
            include_str!($file)
        )
    };
}

/// A script with its parts before it.
macro_rules! parts {
    ($($file:literal),+) => { concat!($(include_str!(concat!("scripts/", $file))),+) };
}

/// A script with the shared prelude before it.
macro_rules! with_prelude {
    ($($file:literal),+) => { concat!(include_str!("scripts/prelude.sh"), $(include_str!($file)),+) };
}

fn own_text(script: Script) -> &'static str {
    match script {
        Script::Probe => parts!(
            "probe-own.part.sh",
            "kept.part.sh",
            "restores.part.sh",
            "etcd-tool.part.sh",
            "etcd-settings.part.sh",
            "balancer.part.sh",
            "probe.sh"
        ),
        Script::Api => include_str!("scripts/api.sh"),
        Script::UnitStatus => with_prelude!("scripts/unit-state.sh", "scripts/unit-status.sh"),
        Script::UnitWait => with_prelude!("scripts/unit-state.sh", "scripts/unit-wait.sh"),
        Script::UnitStart => with_prelude!("scripts/unit-start.sh"),
        Script::LockTake => with_prelude!("scripts/lock.part.sh", "scripts/lock-take.sh"),
        Script::LockReplace => with_prelude!("scripts/lock.part.sh", "scripts/lock-replace.sh"),
        Script::LockRelease => with_prelude!("scripts/lock-release.sh"),
        Script::TokenRaise => with_prelude!("scripts/token-raise.sh"),
        Script::PutFile => with_prelude!("scripts/put-file.sh"),
        Script::CopyAppend => with_prelude!("scripts/copy-append.sh"),
        Script::CopyRead => with_prelude!("scripts/copy-read.sh"),
        Script::EtcdIdentity => include_str!("scripts/etcd-identity.sh"),
        Script::EtcdService => {
            parts!("etcd-settings.part.sh", "etcd-service.sh")
        }
        Script::PkiRead => include_str!("scripts/pki-read.sh"),
        Script::ForgetRun => with_prelude!("scripts/forget-run.sh"),
        Script::ForgetData => with_prelude!("scripts/forget-data.sh"),
        Script::Introduce => with_prelude!("scripts/introduce.sh"),
        job => job_own_text(job),
    }
}

/// The text of a job; of none for what is not one.
fn job_own_text(script: Script) -> &'static str {
    match script {
        Script::Archive => include_str!("scripts/jobs/archive.sh"),
        Script::FetchPackages => include_str!("scripts/jobs/fetch-packages.sh"),
        Script::FetchTool => {
            parts!("restores.part.sh", "jobs/member-root.part.sh", "jobs/fetch-tool.sh")
        }
        Script::PullImages => {
            parts!("jobs/brought.part.sh", "jobs/pull-images.sh")
        }
        Script::InstallPackages => with_packages!("scripts/jobs/install-packages.sh"),
        Script::RestorePackages => with_packages!("scripts/jobs/back.part.sh", "scripts/jobs/restore-packages.sh"),
        Script::FetchArchive => include_str!("scripts/jobs/fetch-archive.sh"),
        Script::InstallPrograms => with_programs!("scripts/jobs/install-programs.sh"),
        Script::RestorePrograms => with_programs!("scripts/jobs/back.part.sh", "scripts/jobs/restore-programs.sh"),
        Script::MoveLeader => with_etcd!("scripts/jobs/move-leader.sh"),
        Script::MemberReady => include_str!("scripts/member-ready.sh"),
        Script::PlaceCertificates => with_certificates!("scripts/jobs/place-certificates.sh"),
        Script::RenewCertificates => concat!(
            include_str!("scripts/jobs/etcd.part.sh"),
            include_str!("scripts/jobs/guard.part.sh"),
            with_certificates!("scripts/jobs/renew-certificates.sh")
        ),
        Script::RestoreCertificates => with_certificates!("scripts/jobs/restore-certificates.sh"),
        Script::MemberAdd => with_members!("scripts/jobs/member-add.sh"),
        Script::MemberJoin => {
            parts!("jobs/member-file.part.sh", "jobs/members.part.sh", "jobs/aside.part.sh", "jobs/member-join.sh")
        }
        Script::MemberKubeadm => with_members!("scripts/jobs/member-kubeadm.sh"),
        Script::MemberPromote => with_members!("scripts/jobs/member-promote.sh"),
        Script::MemberRemove => with_members!("scripts/jobs/member-remove.sh"),
        Script::MemberRetire => {
            parts!(
                "jobs/members.part.sh",
                "jobs/aside.part.sh",
                "jobs/containers.part.sh",
                "jobs/manifests.part.sh",
                "jobs/member-retire.sh"
            )
        }
        Script::MemberConfig => include_str!("scripts/jobs/member-config.sh"),
        Script::ProveSnapshot => with_member_root!("scripts/jobs/prove-snapshot.sh"),
        Script::Defrag => with_guard!("scripts/jobs/defrag.sh"),
        Script::KubeadmPlan => include_str!("scripts/jobs/kubeadm-plan.sh"),
        Script::KubeadmApply => with_kubeadm!("scripts/jobs/kubeadm-apply.sh"),
        Script::KubeadmNode => with_kubeadm!("scripts/jobs/kubeadm-node.sh"),
        Script::Cordon => with_own_api!("scripts/jobs/cordon.sh"),
        Script::Drain => with_own_api!("scripts/jobs/drain.sh"),
        Script::Uncordon => with_own_api!("scripts/jobs/uncordon.sh"),
        Script::KubeletRestart => with_guard!("scripts/jobs/kubelet-restart.sh"),
        Script::StopStaticPods => with_manifests!("scripts/jobs/stop-static-pods.sh"),
        Script::StartStaticPods => with_manifests!("scripts/jobs/start-static-pods.sh"),
        Script::StopEtcd => include_str!("scripts/jobs/stop-etcd.sh"),
        Script::RestoreMember => {
            parts!("jobs/aside.part.sh", "jobs/containers.part.sh", "jobs/restore-member.sh")
        }
        Script::StartEtcd => include_str!("scripts/jobs/start-etcd.sh"),
        Script::RestartContainers => with_containers!("scripts/jobs/restart-containers.sh"),
        Script::SetUpBalancer => include_str!("scripts/jobs/set-up-balancer.sh"),
        Script::HandOver => include_str!("scripts/jobs/hand-over.sh"),
        Script::DrainServer => {
            parts!("balancer.part.sh", "jobs/drain-server.sh")
        }
        Script::ReturnServer => {
            parts!("balancer.part.sh", "jobs/return-server.sh")
        }
        Script::PrepareMachine => include_str!("scripts/jobs/prepare-machine.sh"),
        Script::SetUpRuntime => include_str!("scripts/jobs/set-up-runtime.sh"),
        Script::MemberForm => {
            parts!("jobs/owner.part.sh", "jobs/member-file.part.sh", "jobs/aside.part.sh", "jobs/member-form.sh")
        }
        Script::KubeadmInit => include_str!("scripts/jobs/kubeadm-init.sh"),
        Script::KubeadmJoin => include_str!("scripts/jobs/kubeadm-join.sh"),
        Script::ApplyManifest => with_own_api!("scripts/jobs/apply-manifest.sh"),
        Script::RevokeTokens => include_str!("scripts/jobs/revoke-tokens.sh"),
        Script::LeaveCluster => {
            parts!("jobs/aside.part.sh", "jobs/containers.part.sh", "jobs/manifests.part.sh", "jobs/leave-cluster.sh")
        }
        Script::DeleteNode => with_own_api!("scripts/jobs/delete-node.sh"),
        Script::Run => include_str!("scripts/jobs/run.sh"),
        _ => NO_JOB,
    }
}

#[cfg(test)]
mod back_tests;
#[cfg(test)]
mod balancer_tests;
#[cfg(test)]
mod bootstrap_tests;
#[cfg(test)]
mod brought_tests;
#[cfg(test)]
mod job_tests;
#[cfg(test)]
mod member_tests;
#[cfg(test)]
mod node_tests;
#[cfg(test)]
mod operator_tests;
#[cfg(test)]
mod program_tests;
#[cfg(test)]
mod proof_tests;
#[cfg(test)]
mod restore_tests;
#[cfg(test)]
mod stacked_tests;
#[cfg(test)]
mod tests;
