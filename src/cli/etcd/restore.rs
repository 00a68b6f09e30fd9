//! `windlass etcd restore plan|apply|finish`: etcd back to a snapshot, planned, read and carried out as an upgrade is.

use std::fs::File;
use std::io::Seek as _;

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Subcommand};

use super::verify;
use crate::backup::sink::{sweep, temporary};
use crate::cli::plan::{Shown, refuse, show};
use crate::cli::run::Arguments;
use crate::cli::{Format, apply, files, finish};
use crate::decide::actions::restore::sent_name;
use crate::decide::plan::{Sources, digest};
use crate::decide::restore::{self, Snapshot, Wanted};
use crate::error::{Exit, Failure};
use crate::facts;
use crate::inventory::NodeName;
use crate::observe::{Ask, observe};
use crate::remote::{Clock as _, SnapshotContents, SystemClock, snapshot};
use crate::report;

/// Planned, carried out, ended.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Restore {
    /// Read the snapshot, look at the cluster, dead or alive, and write down what a restore will do; changes nothing
    Plan(Planned),
    /// Carry out a plan, or go on with it
    Apply(Arguments),
    /// Take away what nodes keep of a restore that is over; the members' former data only when told to
    Finish(Finished),
}

/// Arguments of `windlass etcd restore plan`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Planned {
    /// The cluster's inventory
    #[arg(short, long, value_name = "FILE")]
    inventory: Utf8PathBuf,
    /// The snapshot, as `windlass etcd backup`, an upgrade or etcdctl wrote it; or a destination of backups, for this
    /// cluster's newest there, or with /NAME for that one
    #[arg(long, value_name = "SNAPSHOT|DEST")]
    from: String,
    /// A configuration of ssh for an ssh:// destination, in place of the user's own
    #[arg(long, value_name = "FILE", env = "WINDLASS_SSH_CONFIG")]
    ssh_config: Option<Utf8PathBuf>,
    /// Open what is encrypted with the age identities in this file
    #[arg(long, value_name = "FILE")]
    identity: Vec<Utf8PathBuf>,
    /// Where snapshots are kept: one that is compressed or encrypted is opened there [default: as for `apply`]
    #[arg(long, value_name = "FOLDER", env = "WINDLASS_STATE")]
    state: Option<Utf8PathBuf>,
    /// A control plane or machine of etcd that does not answer and cannot act any more, by name: you have cut it off
    #[arg(long, value_name = "NODE", value_parser = |name: &str| NodeName::new(name))]
    fenced: Vec<NodeName>,
    /// Write the plan here, for `windlass etcd restore apply`
    #[arg(long, value_name = "FILE")]
    out: Option<Utf8PathBuf>,
    /// How to show the plan; as JSON it is the plan file itself, or the findings against one
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Arguments of `windlass etcd restore finish`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Finished {
    #[command(flatten)]
    run: Arguments,
    /// Delete what every member had before the restore, too: there is no way back to it then
    #[arg(long)]
    forget_old_data: bool,
}

/// Plans, carries out or ends a restore.
pub(super) async fn run(restore: Restore) -> Result<(), Failure> {
    match restore {
        Restore::Plan(planned) => plan(planned).await,
        Restore::Apply(arguments) => apply::run(arguments, "etcd restore apply").await,
        Restore::Finish(finished) => finish::run(finished.run, "etcd restore finish", finished.forget_old_data).await,
    }
}

async fn plan(planned: Planned) -> Result<(), Failure> {
    let read = files::inventory(&planned.inventory)?;
    let snapshot = open(&planned, &read.inventory.name).await?;
    let fleet = read.fleet()?;
    let clock = SystemClock::start();
    let ask = Ask { etcd_tool: true, ..Ask::about(&read.inventory, false) };
    let seen = observe(&fleet, &clock, &read.inventory, &ask).await;
    anstream::eprintln!("{}", report::looked(clock.elapsed(), &fleet.timings().so_far()));
    fleet.close().await;
    let sources = Sources {
        inventory: read.path.to_string(),
        inventory_digest: read.digest.clone(),
        facts_digest: digest(facts::to_json(&seen).as_bytes()),
        ..Sources::default()
    };
    let wanted = Wanted {
        inventory: &read.inventory,
        facts: &seen,
        snapshot: &snapshot,
        fenced: &planned.fenced,
        sources: &sources,
    };
    match restore::plan(wanted) {
        Ok(plan) => show(&Shown { out: planned.out.as_deref(), output: planned.output }, &plan),
        Err(findings) => Err(refuse(planned.output, &findings)),
    }
}

/// Reads the whole snapshot, with what its manifest says where it has one; what is compressed or encrypted is opened to a
/// file beside the other snapshots, from where it is sent; so is what is elsewhere.
async fn open(planned: &Planned, cluster: &str) -> Result<Snapshot, Failure> {
    let folder = files::state_folder(planned.state.clone(), &format!("{cluster}/snapshots"))?;
    sweep(&folder);
    let identities = verify::identities(&planned.identity)?;
    let here = Utf8Path::new(&planned.from);
    let (looked, plain) = if planned.from.contains("://") || !here.is_file() {
        let place = verify::Destination {
            what: &planned.from,
            cluster: Some(cluster),
            which: verify::Which::NewestOrdinary,
            ssh_config: planned.ssh_config.as_deref(),
        };
        let newest = verify::at_destination(place, &identities, &folder).await?.pop();
        (newest.ok_or_else(|| Failure::new(Exit::Bug, "no backup was looked at"))?, None)
    } else {
        let from = camino::absolute_utf8(here).map_err(|error| Failure::of(Exit::InvalidFile, &error))?;
        let plain = (from.extension() == Some("db")).then(|| from.clone());
        (verify::one_file(&from, &identities, &folder), plain)
    };
    let from = looked.what;
    let good = looked.found.map_err(|fault| {
        Failure::new(verify::exit(&fault), format!("{from} is not a snapshot that can be restored"))
            .because(fault.to_string())
            .hint("nothing was changed; `windlass etcd verify` tells more, and finds others")
    })?;
    if looked.manifest.as_ref().is_some_and(|manifest| manifest.emergency) {
        anstream::eprintln!("{from} was taken in an EMERGENCY: it may be stale");
    }
    if let Some(manifest) = looked.manifest.filter(|manifest| manifest.cluster != cluster) {
        return Err(Failure::new(Exit::Refused, format!("{from} is of another cluster"))
            .because(format!("its manifest says {}, and the inventory is of {cluster}", manifest.cluster))
            .hint("nothing was changed"));
    }
    let SnapshotContents { bytes, file_sha256: sha256, revision, registry_keys, members, .. } = good.inside.contents;
    let file = match plain {
        Some(file) => file,
        None => opened(good.plain, &folder, &sent_name(&sha256))?,
    };
    let kube_system_uid = good.inside.kube_system_uid;
    Ok(Snapshot { file: file.to_string(), sha256, bytes, revision, registry_keys, members, kube_system_uid })
}

/// A snapshot that was opened, as a file of that name, 0600.
fn opened(mut plain: File, folder: &Utf8Path, name: &str) -> Result<Utf8PathBuf, Failure> {
    let path = camino::absolute_utf8(folder.join(name)).map_err(|error| Failure::of(Exit::Usage, &error))?;
    let mut written = || -> std::io::Result<()> {
        let mut file = temporary(folder)?;
        plain.rewind()?;
        std::io::copy(&mut plain, file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    match written() {
        Ok(()) => Ok(path),
        Err(error) => Err(Failure::new(Exit::Usage, format!("could not write {path}")).because(error.to_string())),
    }
}

/// Reads the whole snapshot: its hash and its pages.
fn verified(file: &Utf8Path) -> Result<SnapshotContents, Failure> {
    snapshot::verify(file).map_err(|bad| {
        Failure::new(Exit::InvalidFile, format!("{file} is not a snapshot that can be restored"))
            .because(bad.to_string())
            .hint("nothing was changed; take another one")
    })
}

/// That the snapshot still is the one that was planned with: whole, and the very file.
pub(in crate::cli) fn still_the_same(restore: &crate::decide::plan::Restore) -> Result<(), Failure> {
    let contents = verified(Utf8Path::new(&restore.file))?;
    if contents.file_sha256 == restore.sha256 {
        return Ok(());
    }
    Err(Failure::new(Exit::Drifted, format!("{} is another snapshot than the plan was made with", restore.file))
        .because(format!("its SHA-256 is {}, and was {}", contents.file_sha256, restore.sha256))
        .hint("nothing was changed; put the one back that was planned with, or make a new plan"))
}
