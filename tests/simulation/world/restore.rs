//! A restore: static pods taken away and given back, members stopped for good, their data replaced, all started together.

use std::time::Duration;

use super::jobs::{Op, seconds};
use super::planes::COMPONENTS;
use super::{At, World};

/// One effect of a restore's jobs.
#[derive(Clone, Debug)]
pub(crate) enum Restoring {
    /// Takes a component's manifest away.
    Away(usize),
    /// Waits until these components are gone; tries left.
    Gone(Vec<usize>, u32),
    /// Gives a component's manifest back.
    Back(usize),
    /// Stops the member, and keeps it from being started.
    StopMember,
    /// Replaces the member's data, for a run.
    Data(String),
    /// Lets the member start.
    StartMember,
    /// Waits until the member is gone; tries left.
    MemberGone(u32),
    /// Takes etcd's programs out of its image, for a run.
    FetchTool(String),
    /// Refuses unless a run has taken them.
    HasTool(String),
}

fn component(name: &str) -> usize {
    COMPONENTS.iter().position(|known| *known == name).unwrap_or_else(|| panic!("no component {name}"))
}

/// The effects of a job, when it is a restore's.
pub(super) fn program(job: &str, args: &[String]) -> Option<Vec<(Duration, Op)>> {
    let soon = |op| (Duration::from_millis(300), Op::Restoring(op));
    let components = |pods: &str| pods.split(',').map(component).collect::<Vec<_>>();
    Some(match (job, args) {
        ("fetch-tool", [run, image, purpose]) => {
            assert!(image.contains("/etcd:3.") && ["restore", "ask"].contains(&purpose.as_str()), "{args:?}");
            vec![seconds(1, Op::Begin), seconds(1, Op::Restoring(Restoring::FetchTool(run.clone())))]
        }
        ("stop-static-pods", [_, pods]) if pods == "etcd" => {
            vec![soon(Restoring::StopMember), seconds(1, Op::Restoring(Restoring::MemberGone(150)))]
        }
        ("start-static-pods", [_, pods]) if pods == "etcd" => vec![soon(Restoring::StartMember)],
        ("stop-static-pods", [_, pods]) => {
            let away = components(pods).into_iter().map(|pod| soon(Restoring::Away(pod)));
            let gone = seconds(1, Op::Restoring(Restoring::Gone(components(pods), 150)));
            away.chain([gone]).collect()
        }
        ("start-static-pods", [_, pods]) => {
            components(pods).into_iter().map(|pod| soon(Restoring::Back(pod))).collect()
        }
        ("stop-etcd", [_, service]) if service == "etcd" => vec![seconds(1, Op::Restoring(Restoring::StopMember))],
        ("restore-member", [run, service, data, wal, file, sha256, tool, bump, name, urls, members]) => {
            assert!(data.starts_with('/') && wal == "-" && bump == "-", "{args:?}");
            let fetched = match (service.as_str(), tool.as_str()) {
                ("etcd", "/usr/bin/etcdctl") => None,
                ("-", "tools/restorer") => Some(seconds(1, Op::Restoring(Restoring::HasTool(run.clone())))),
                _ => panic!("{args:?}"),
            };
            assert!(*file == format!("restore-{}.db", &sha256[..16]), "{args:?}");
            assert!(members.split(',').count() == 3 && members.contains(&format!("{name}={urls}")), "{args:?}");
            let restored = [seconds(2, Op::Begin), seconds(1, Op::Restoring(Restoring::Data(run.clone())))];
            fetched.into_iter().chain(restored).collect()
        }
        ("start-etcd", [_, service]) if service == "etcd" => vec![seconds(1, Op::Restoring(Restoring::StartMember))],
        ("restart-containers", [names]) if names == COMPONENTS[0] => {
            let gone = seconds(1, Op::Restoring(Restoring::Gone(vec![0], 150)));
            vec![soon(Restoring::Away(0)), gone, soon(Restoring::Back(0)), seconds(3, Op::Begin)]
        }
        ("restart-containers", [names]) if names.starts_with("kube-proxy,") => vec![seconds(3, Op::Begin)],
        _ => return None,
    })
}

impl World {
    pub(super) fn restoring(&mut self, at: At, key: &str, op: Restoring) -> Result<(), i32> {
        match op {
            Restoring::Away(component) => self.manifest_away(at, component),
            Restoring::Gone(components, tries) => {
                let runs = |component: &usize| self.plane(at).components[*component].runs.is_some();
                if components.iter().any(runs) {
                    if tries == 0 {
                        return Err(1);
                    }
                    self.next(at, key, vec![seconds(1, Op::Restoring(Restoring::Gone(components, tries - 1)))]);
                }
            }
            Restoring::Back(component) => self.manifest_back(at, component),
            Restoring::StopMember => {
                let member = self.member_of(at).expect("a member");
                self.etcd.members[member].blocked = true;
                self.member_stops(member);
            }
            Restoring::MemberGone(tries) => {
                let member = self.member_of(at).expect("a member");
                if self.etcd.members[member].runs.is_some() {
                    if tries == 0 {
                        return Err(1);
                    }
                    self.next(at, key, vec![seconds(1, Op::Restoring(Restoring::MemberGone(tries - 1)))]);
                }
            }
            Restoring::FetchTool(run) => {
                if self.machines[at].full {
                    return Err(1);
                }
                self.machines[at].own.tools.insert(run);
            }
            Restoring::HasTool(run) if !self.machines[at].own.tools.contains(&run) => return Err(1),
            Restoring::HasTool(_) => {}
            Restoring::Data(run) => return self.replace_data(at, run),
            Restoring::StartMember => {
                let member = self.member_of(at).expect("a member");
                self.etcd.members[member].blocked = false;
                self.member_starts_soon(member);
            }
        }
        Ok(())
    }

    /// What it had is aside; what it has is the snapshot's, in a cluster of its own. The snapshot is of the beginning.
    fn replace_data(&mut self, at: At, run: String) -> Result<(), i32> {
        let member = self.member_of(at).expect("a member");
        if self.etcd.members[member].runs.is_some() {
            return Err(75);
        }
        if self.etcd.members.iter().all(|member| member.restored.as_ref() != Some(&run)) {
            // Ids come from the cluster's token: all are new.
            self.etcd.cluster_id += 1;
            self.etcd.acknowledged = 0;
            for member in &mut self.etcd.members {
                member.told.id += 1;
            }
        }
        let known = &mut self.etcd.members[member];
        known.log = 0;
        known.restored = Some(run);
        Ok(())
    }
}
