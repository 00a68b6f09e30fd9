//! Members that are static pods: kubeadm raises them before the rest of their control plane, to the release that it brings, and
//! their kubelet restarts them with everything else.

use std::time::Duration;

use semver::Version;
use windlass::facts::version::parse_version;

use super::jobs::{Op, seconds};
use super::{At, Later, SECOND, World};

/// Between a manifest's change and the old pod's end, and from there to the new one's start.
const NOTICED_MS: u64 = 900;
const STARTS: u32 = 3;
/// How long kubeadm waits for a member, in seconds.
const PATIENCE: u32 = 300;

/// One effect of kubeadm's on a stacked member.
#[derive(Clone, Debug)]
pub(crate) enum Raising {
    /// Refuses unless the etcd of this version's kubeadm fits: the tag of now, and the first releases.
    Fits(Version, String, String),
    /// Raises its manifest to what this version's kubeadm brings, unless it is there already.
    Manifest(Version),
    /// Waits until it is healthy at this tag; the one to go back to, and tries left.
    Settled(String, String, u32),
}

/// What has to be so before kubeadm touches anything, from a job's guard and releases.
pub(super) fn before(version: &Version, guard: &str, [now, pinned, first]: [&String; 3]) -> Vec<(Duration, Op)> {
    let Some(others) = super::jobs::guarded(guard) else {
        assert!([now, pinned, first].iter().all(|word| *word == "-"), "{now} {pinned} {first}");
        return Vec::new();
    };
    let soon = Duration::from_millis(200);
    let guard = Op::Guard(others);
    fits(version, now, pinned, first).into_iter().chain([(soon, guard)]).collect()
}

/// That the etcd that comes fits, where there is a member.
pub(super) fn fits(version: &Version, now: &str, pinned: &str, first: &str) -> Option<(Duration, Op)> {
    assert_eq!(pinned, "-", "the simulation's kubeadm-config pins nothing");
    let fits = || Op::Raising(Raising::Fits(version.clone(), now.to_owned(), first.to_owned()));
    (now != "-").then(|| (Duration::from_millis(200), fits()))
}

fn of_tag(tag: &str) -> Version {
    parse_version(tag).unwrap_or_else(|| panic!("the tag {tag} has no version"))
}

impl World {
    pub(super) fn raising(&mut self, at: At, key: &str, op: Raising) -> Result<(), i32> {
        match op {
            Raising::Fits(version, now, first) => {
                let brought = self.brought(&version);
                let release = of_tag(&brought);
                let from = |first: &str| {
                    let first = of_tag(first);
                    (first.major, first.minor) == (release.major, release.minor) && first.patch <= release.patch
                };
                if brought != now && !first.split(',').filter(|first| *first != "-").any(from) {
                    return Err(75);
                }
            }
            Raising::Manifest(version) => {
                let Some(member) = self.member_of(at) else { return Ok(()) };
                // kubeadm asks the whole of etcd first, and keeps a copy of this member's data.
                let healthy = (0..self.etcd.members.len()).all(|member| self.member_healthy(member));
                if !healthy || self.machines[at].full {
                    return Err(1);
                }
                let (tag, before) = (self.brought(&version), self.etcd.members[member].manifest.clone());
                let before = before.expect("a manifest");
                if tag != before {
                    self.member_manifest(at, &tag);
                    self.next(at, key, vec![seconds(1, Op::Raising(Raising::Settled(tag, before, PATIENCE)))]);
                }
            }
            Raising::Settled(tag, before, tries) => {
                let member = self.member_of(at).expect("a member");
                if self.etcd.members[member].runs == Some(of_tag(&tag)) && self.member_healthy(member) {
                    return Ok(());
                }
                if tries == 0 {
                    self.member_manifest(at, &before);
                    return Err(1);
                }
                self.next(at, key, vec![seconds(1, Op::Raising(Raising::Settled(tag, before, tries - 1)))]);
            }
        }
        Ok(())
    }

    /// The tag of the etcd that this version's kubeadm brings.
    fn brought(&self, version: &Version) -> String {
        let known = self.kubeadm_etcd.get(&version.minor);
        (*known.unwrap_or_else(|| panic!("which etcd does kubeadm {version} bring?"))).to_owned()
    }

    /// The image that the member's manifest names.
    pub(super) fn member_image(&self, at: At) -> Option<String> {
        let tag = self.stacked(at)?.manifest.as_ref()?;
        Some(format!("k8s.gcr.io/etcd:{tag}"))
    }

    /// The member on the machine, when it is a static pod.
    pub(super) fn stacked(&self, at: At) -> Option<&super::etcd::Member> {
        self.machines[at].plane.as_ref()?;
        Some(&self.etcd.members[self.member_of(at)?])
    }

    /// The machine's API server has an etcd to ask: a stacked one asks its own member.
    pub(super) fn has_etcd(&self, at: At) -> bool {
        self.etcd_serves() && self.stacked(at).is_none_or(|member| member.runs.is_some() && !member.away)
    }

    /// The manifest names another image; the kubelet notices.
    fn member_manifest(&mut self, at: At, tag: &str) {
        let member = self.member_of(at).expect("a member");
        self.etcd.members[member].manifest = Some(tag.to_owned());
        if self.machines[at].kubelet.is_some() {
            self.member_pod_restarts(at, Duration::from_millis(NOTICED_MS));
        }
    }

    /// Its kubelet restarts the member's pod after a while, because of whoever acts.
    pub(super) fn member_pod_restarts(&mut self, at: At, after: Duration) {
        let (member, boot) = (self.member_of(at).expect("a member"), self.machines[at].boot);
        self.etcd.members[member].stopped_by = self.acting;
        self.after(after, Later::MemberPodStops(member, boot));
    }

    pub(super) fn member_pod_stops(&mut self, member: usize, boot: u32) {
        let known = &mut self.etcd.members[member];
        let (at, by) = (known.at, known.stopped_by.take());
        if self.machines[at].boot == boot && self.machines[at].up {
            self.acting = by;
            self.member_stops(member);
            self.acting = None;
            self.after(SECOND * STARTS, Later::MemberStarts(member, boot));
        }
    }
}
