//! etcd's programs from an archive: brought, put in the place of others, kept, and put back.

use std::time::Duration;

use semver::Version;

use super::jobs::{Op, guarded, seconds};
use super::{At, Machine, World};
use crate::lab::{ARCHIVE_SHA256, ARCHIVE_URL, PROGRAM};

/// One effect of these jobs.
#[derive(Clone, Debug)]
pub(crate) enum Programs {
    /// Downloads the archive to this place.
    Fetch(String),
    /// Refuses unless the archive is there; unpacks it.
    Unpack(String),
    /// Keeps what is in place, once for a run.
    Keep(String),
    /// Writes the new programs beside those that are in place.
    Beside,
    /// Puts them in place.
    Put(String),
    /// Refuses unless the former ones are kept for the run.
    AreKept(String),
    /// Puts those in place.
    PutBack(String),
    /// Restarts the member unless it runs on what is in place; systemd waits for it to say that it is up.
    Restart(Vec<String>),
    /// Whether it is.
    Up,
}

/// Where the archive is, below Windlass's folder.
fn place(run: &str) -> String {
    format!("packages/{run}/{}.tar.gz", &ARCHIVE_SHA256[..16])
}

/// The effects of a job, when it is one of these.
pub(super) fn program(job: &str, args: &[String]) -> Option<Vec<(Duration, Op)>> {
    let soon = |op| (Duration::from_millis(300), Op::Programs(op));
    Some(match (job, args) {
        ("fetch-archive", [at, sha256, url]) => {
            let run = at.split('/').nth(1).expect("a run");
            assert!(*at == place(run) && sha256 == ARCHIVE_SHA256 && url == ARCHIVE_URL, "{args:?}");
            vec![seconds(3, Op::Programs(Programs::Fetch(at.clone())))]
        }
        ("install-programs", [run, guard, at, sha256, version, path]) => {
            assert!(*at == place(run) && sha256 == ARCHIVE_SHA256 && path == PROGRAM, "{args:?}");
            let others = guarded(guard).expect("a guard");
            let guard = (Duration::from_millis(200), Op::Guard(others.clone()));
            vec![
                guard.clone(),
                soon(Programs::Unpack(at.clone())),
                soon(Programs::Keep(run.clone())),
                soon(Programs::Beside),
                guard,
                soon(Programs::Put(version.clone())),
                soon(Programs::Restart(others)),
            ]
        }
        ("restore-programs", [run, guard, cluster, path]) => {
            assert_eq!(path, PROGRAM);
            let others = guarded(guard).expect("a guard");
            let asks = [Op::OthersAt(others.clone(), cluster.clone()), Op::GuardIfRuns(others.clone())];
            let asks = asks.map(|op| (Duration::from_millis(200), op));
            let mut ops = asks.to_vec();
            ops.extend([soon(Programs::AreKept(run.clone())), soon(Programs::Beside)]);
            ops.extend(asks);
            ops.extend([soon(Programs::PutBack(run.clone())), soon(Programs::Restart(others))]);
            ops
        }
        _ => return None,
    })
}

impl Machine {
    /// The etcd that is installed, as a package or as a program; none where it is in an image.
    pub(super) fn etcd(&self) -> Option<Version> {
        ["etcd-server", PROGRAM]
            .into_iter()
            .find(|name| self.packages.contains_key(*name))
            .map(|name| self.upstream(name))
    }
}

impl World {
    pub(super) fn programs(&mut self, at: At, key: &str, op: Programs) -> Result<(), i32> {
        let member = self.member_of(at).expect("a member");
        let machine = &mut self.machines[at];
        match op {
            Programs::Fetch(_) | Programs::Unpack(_) | Programs::Keep(_) | Programs::Beside if machine.full => {
                return Err(1);
            }
            Programs::Fetch(place) => {
                machine.own.files.insert(place);
            }
            Programs::Unpack(place) if !machine.own.files.contains(&place) => return Err(75),
            Programs::Keep(run) => {
                let former = machine.packages[PROGRAM].version.clone();
                machine.own.programs.entry(run).or_insert(former);
            }
            Programs::Put(version) => machine.packages.get_mut(PROGRAM).expect("a program").version = version,
            Programs::AreKept(run) if !machine.own.programs.contains_key(&run) => return Err(77),
            Programs::PutBack(run) => {
                let former = machine.own.programs[&run].clone();
                machine.packages.get_mut(PROGRAM).expect("a program").version = former;
            }
            Programs::Restart(others) => {
                let runs = self.etcd.members[member].runs.clone();
                if runs == self.machines[at].etcd() {
                    return Ok(());
                }
                if runs.is_some() {
                    self.guard(at, &others)?;
                }
                self.member_restarts(member);
                self.next(at, key, vec![seconds(2, Op::Programs(Programs::Up))]);
            }
            Programs::Up if self.etcd.members[member].runs.is_none() => return Err(1),
            Programs::Beside | Programs::Unpack(_) | Programs::AreKept(_) | Programs::Up => {}
        }
        Ok(())
    }
}
