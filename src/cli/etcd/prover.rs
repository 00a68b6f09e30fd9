//! Where `windlass etcd verify --prove` proves: on this machine, or on a machine of etcd.

use camino::{Utf8Path, Utf8PathBuf};

use crate::backup::Manifest;
use crate::backup::prove::{Proof, Unproven, prove};
use crate::backup::prove_on::{Place, prove_on};
use crate::backup::verify::{Fault, Good};
use crate::cli::files::{self, ReadInventory};
use crate::error::{Exit, Failure};
use crate::inventory::{Node, NodeName};
use crate::remote::SystemClock;
use crate::remote::ssh::Fleet;
use crate::remote::throwaway::{Programs, ThrowawayError};
use crate::report::Looked;

/// Where it proves.
pub(super) enum Prover {
    /// On this machine, in a folder of its own below this one.
    Here(Programs, Utf8PathBuf),
    /// On a machine of etcd.
    On(Box<Node>, Box<ReadInventory>, Box<Fleet>),
}

/// Whether both are one backup, and are it to the last byte.
fn is_the_same(one: &Looked, other: &Looked) -> bool {
    let (Ok(this), Ok(that)) = (&one.found, &other.found) else { return false };
    this.inside.contents == that.inside.contents && one.manifest == other.manifest
}

impl Prover {
    /// On this machine, or on the one that was named.
    pub(super) fn new(
        etcd_bin: Option<Utf8PathBuf>,
        folder: &Utf8Path,
        on: Option<(&NodeName, &Utf8Path)>,
    ) -> Result<Self, Failure> {
        let Some((name, inventory)) = on else {
            let programs = Programs::find(etcd_bin, folder).map_err(|error| Failure::of(Exit::StepFailed, &error))?;
            return Ok(Self::Here(programs, folder.to_owned()));
        };
        let read = files::inventory(inventory)?;
        let node = read.inventory.node(name).filter(|node| node.roles.contains(&read.inventory.etcd_role()));
        let Some(node) = node.cloned() else {
            let what = format!("{name} is no machine of etcd in {inventory}");
            let known: Vec<&str> = read.inventory.etcd_nodes().map(|node| node.name.as_str()).collect();
            return Err(Failure::new(Exit::Usage, what).hint(format!("it has {}", crate::text::list(&known, "and"))));
        };
        let fleet = read.fleet()?;
        Ok(Self::On(Box::new(node), Box::new(read), Box::new(fleet)))
    }

    /// Adds their proofs to those that are good. The same backup from several destinations is proven once. Fails with the first
    /// that could not be tried, after the others.
    pub(super) async fn prove(&self, looked: &mut [Looked]) -> Result<(), Failure> {
        let mut untried = None;
        for number in 0..looked.len() {
            let (before, rest) = looked.split_at_mut(number);
            let Some(one) = rest.first_mut() else { break };
            let same = before.iter().find(|earlier| earlier.proof.is_some() && is_the_same(earlier, one));
            match same {
                Some(earlier) => one.proof = earlier.proof.clone(),
                None => untried = untried.or(self.prove_one(one).await.err()),
            }
        }
        untried.map_or(Ok(()), Err)
    }

    async fn prove_one(&self, one: &mut Looked) -> Result<(), Failure> {
        let Ok(good) = &one.found else { return Ok(()) };
        match self.proof(good, one.manifest.as_ref()).await {
            Ok(proof) => one.proof = Some(proof),
            Err(Unproven::Failed(why)) => one.found = Err(Fault::Unproven(why)),
            Err(untried) => {
                let what = format!("{} is good, and could not be proven", one.what);
                let mut failure = Failure::new(Exit::Refused, what);
                failure.causes = crate::error::chain(&untried);
                return Err(match untried {
                    Unproven::Untried(ThrowawayError::Program { .. }) => failure.hint(
                        "give a folder with etcd and etcdctl of its version (--etcd-bin FOLDER), or a machine of etcd to \
                         prove it on (--on NODE -i INVENTORY)",
                    ),
                    _ => failure,
                });
            }
        }
        Ok(())
    }

    async fn proof(&self, good: &Good, manifest: Option<&Manifest>) -> Result<Proof, Unproven> {
        match self {
            Self::Here(programs, folder) => prove(&good.plain, &good.inside, manifest, programs, folder).await,
            Self::On(node, read, fleet) => {
                let clock = SystemClock::start();
                let place = Place { remote: fleet.as_ref(), clock: &clock, inventory: &read.inventory, node };
                prove_on(place, &good.plain, &good.inside, manifest).await
            }
        }
    }

    /// Closes the connections.
    pub(super) async fn close(self) {
        if let Self::On(_, _, fleet) = self {
            fleet.close().await;
        }
    }
}
