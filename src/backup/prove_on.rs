//! The proof of a backup on a machine of etcd, for who has no etcd of its version: sent there, proven by the same job as a
//! run's snapshot, and gone again. No lock is held, since it changes nothing; a machine that was told of a newer operator
//! meanwhile refuses it all the same.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use camino::Utf8PathBuf;
use semver::Version;

use super::Manifest;
use super::prove::{Proof, Unproven, compare, job};
use crate::decide::call::{Call, Script};
use crate::error::chain;
use crate::facts::ask::Section;
use crate::facts::proof::{disk, parse, room};
use crate::facts::unit::{UnitReport, UnitState, report};
use crate::facts::{MachineFacts, Seen};
use crate::inventory::{Inventory, Node};
use crate::observe;
use crate::remote::snapshot::Inside;
use crate::remote::{Clock, Output, Remote, RemoteError, scripts};
use crate::text;

/// How long one question for the unit's end stays open, in seconds.
const WAIT_SECONDS: u64 = 5;
/// How long a proof may take: its own limits, and the unit's, end before.
const LIMIT: Duration = Duration::from_secs(3900);
/// Between two questions to a machine that does not answer.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long it may be silent.
const LOST_AFTER: Duration = Duration::from_secs(60);
/// The job refused, and has started nothing.
const REFUSED: i32 = 75;
/// The unit's name within its run.
const UNIT: &str = "prove";

/// Where a backup is proven.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The machines.
    pub remote: &'a dyn Remote,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The cluster.
    pub inventory: &'a Inventory,
    /// The machine.
    pub node: &'a Node,
}

/// Proves the snapshot in `file`, which was found to have this inside.
pub async fn prove_on(
    place: Place<'_>,
    file: &File,
    inside: &Inside,
    manifest: Option<&Manifest>,
) -> Result<Proof, Unproven> {
    let since = place.clock.elapsed();
    let machine = place.look().await?;
    let wanted =
        version(&machine, manifest).ok_or_else(|| place.untried("its etcd does not tell its version".to_owned()))?;
    let (free, needed) = (disk(&machine).map_or(0, |disk| disk.free_bytes), room(inside.contents.bytes));
    if free < needed {
        let (free, needed) = (text::bytes(free), text::bytes(needed));
        return Err(place.untried(format!("it has {free} free below /var/lib, and a proof needs {needed}")));
    }
    let token = machine.token.to_string();
    let stamp = place.clock.now().strftime("%Y%m%dt%H%M%S%3fz").to_string();
    let run = format!("proof.{}.{stamp}", &inside.contents.file_sha256[..12]);
    let name = format!("{run}.db");
    let contents = &inside.contents;
    let put =
        [&token, &format!("proofs/{name}"), &contents.file_sha256, &contents.bytes.to_string()].map(String::clone);
    // The file has no name, and needs none.
    let from = Utf8PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
    place.done(
        place.remote.send(&place.node.name, &Call { script: Script::PutFile, args: put.to_vec() }, &from).await,
    )?;
    let job = job(&name, contents, &wanted);
    let mut args = vec![token.clone(), run.clone(), UNIT.to_owned(), scripts::name(job.script).to_owned()];
    args.extend(job.args);
    place.done(place.call(Script::UnitStart, args).await)?;
    let ended = place.ended(&run).await;
    // What it printed is here; its folder is not needed any more. One that is left is no harm.
    let _ = place.call(Script::ForgetRun, vec![token, run]).await;
    let (status, log) = ended?;
    let last =
        || log.lines().rfind(|line| !line.trim().is_empty()).map_or("it said nothing".to_owned(), text::printable);
    match status {
        0 => {}
        REFUSED => return Err(place.untried(last())),
        _ => return Err(Unproven::Failed(last())),
    }
    let (etcd, said) = parse(&log).map_err(Unproven::Failed)?;
    let members = manifest.map_or(&[][..], |manifest| &manifest.members);
    let members = compare(&said, contents, members).map_err(Unproven::Failed)?;
    Ok(Proof { said, etcd, took: place.clock.elapsed().saturating_sub(since), members })
}

/// The version that the backup's member ran, or else that of the machine.
fn version(machine: &MachineFacts, manifest: Option<&Manifest>) -> Option<Version> {
    let told = manifest.and_then(|manifest| Version::parse(&manifest.member.version).ok());
    told.or_else(|| machine.etcd.known()?.as_ref()?.server_version.known().cloned())
}

impl Place<'_> {
    fn untried(&self, why: String) -> Unproven {
        Unproven::On { node: self.node.name.clone(), why }
    }

    async fn look(&self) -> Result<MachineFacts, Unproven> {
        let sections = vec![Section::Windlass, Section::Disks, Section::Etcd];
        let look = observe::Look { sections, packages: Vec::new() };
        match observe::machine(self.remote, self.clock, self.inventory, self.node, &look).await {
            Seen::Known(machine) => Ok(machine),
            Seen::Unknown(why) => Err(self.untried(why)),
        }
    }

    async fn call(&self, script: Script, args: Vec<String>) -> Result<Output, RemoteError> {
        self.remote.call(&self.node.name, &Call { script, args }).await
    }

    fn done(&self, answer: Result<Output, RemoteError>) -> Result<(), Unproven> {
        match answer {
            Ok(output) if output.status == 0 => Ok(()),
            Ok(Output { status: 3, .. }) => {
                Err(self.untried("another operator has taken the lock just now".to_owned()))
            }
            Ok(output) => Err(self.untried(format!("status {}: {}", output.status, output.stderr.trim()))),
            Err(error) => Err(self.untried(chain(&error).join(": "))),
        }
    }

    /// How the unit ended, and all that it printed.
    async fn ended(&self, run: &str) -> Result<(i32, String), Unproven> {
        let began = self.clock.elapsed();
        let (mut heard, mut offset, mut log) = (began, 0, String::new());
        loop {
            let args = vec![run.to_owned(), UNIT.to_owned(), WAIT_SECONDS.to_string(), offset.to_string()];
            let now = self.clock.elapsed();
            match self.report(args).await {
                Ok(UnitReport { state, log: more, size, next }) => {
                    heard = now;
                    log.push_str(&more);
                    offset = next;
                    match state {
                        UnitState::Exited(status) if size <= next => return Ok((status, log)),
                        UnitState::Exited(_) => continue,
                        UnitState::Running => {}
                        UnitState::Never | UnitState::Gone => {
                            return Err(self.untried("it was rebooted in the middle of it".to_owned()));
                        }
                    }
                }
                Err(why) if now.saturating_sub(heard) > LOST_AFTER => return Err(self.untried(why)),
                Err(_) => self.clock.sleep(ASK_AGAIN_AFTER).await,
            }
            if now.saturating_sub(began) > LIMIT {
                return Err(self.untried("it does not end".to_owned()));
            }
        }
    }

    async fn report(&self, args: Vec<String>) -> Result<UnitReport, String> {
        let output = self.call(Script::UnitWait, args).await.map_err(|error| chain(&error).join(": "))?;
        report(&output.stdout).map_err(|error| format!("{error}: {}", output.stderr.trim()))
    }
}
