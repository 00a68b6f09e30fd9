//! `windlass etcd backup`: one snapshot, verified, at every destination.

use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use tempfile::NamedTempFile;

use super::destinations::Destinations;
use super::prune;
use crate::backup::choose::Members;
use crate::backup::deliver::{Delivered, Parcel, Retention, deliver};
use crate::backup::keep::Keep;
use crate::backup::lock::{Lock, LockError};
use crate::backup::manifest::Manifest;
use crate::backup::metrics::Metrics;
use crate::backup::prune::Whose;
use crate::backup::seal::Recipients;
use crate::backup::sink::{How, sweep, temporary};
use crate::backup::take::{self, Order, Snapshot};
use crate::backup::turn::in_turn;
use crate::backup::{BackupName, Part, metrics_file, pki};
use crate::cli::run::operator;
use crate::cli::{Format, files};
use crate::error::{Exit, Failure};
use crate::inventory::{Inventory, check_slug};
use crate::remote::here::Here;
use crate::remote::store::Store;
use crate::remote::{Clock as _, Streams, SystemClock, Turns as _};
use crate::report;

/// Arguments of `windlass etcd backup`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(in crate::cli) struct Arguments {
    /// The cluster's inventory
    #[arg(short, long, value_name = "FILE", required_unless_present = "local", conflicts_with = "local")]
    inventory: Option<Utf8PathBuf>,
    /// Back up the etcd of this machine, without SSH and without an inventory
    #[arg(long)]
    local: bool,
    /// What to call the cluster [default: `etcd-` and the id of the etcd cluster]
    #[arg(long, value_name = "NAME", requires = "local", value_parser = cluster)]
    cluster: Option<String>,
    #[command(flatten)]
    pub(super) destinations: Destinations,
    /// Take no backup: say what retention would remove, and why the others stay
    #[arg(long)]
    dry_run: bool,
    /// Tell node exporter's textfile collector, in this file (….prom), one for each cluster
    #[arg(long, value_name = "FILE")]
    metrics: Option<Utf8PathBuf>,
    /// Encrypt it for this age recipient, as age1…; may be given several times
    #[arg(long, value_name = "AGE")]
    recipient: Vec<String>,
    /// Encrypt it for the age recipients in this file, one a line
    #[arg(long, value_name = "FILE")]
    recipients_file: Vec<Utf8PathBuf>,
    /// Store it as etcd sends it
    #[arg(long)]
    no_compress: bool,
    /// Add CAs, keys and configuration, which a snapshot does not bring back; needs recipients, and is then the default
    #[arg(long, conflicts_with = "no_pki")]
    with_pki: bool,
    /// Do not add them
    #[arg(long)]
    no_pki: bool,
    /// Without quorum or under an alarm, take what one member has; it is marked, and may be stale
    #[arg(long)]
    emergency: bool,
    /// Where locks, and backups without a destination, are kept [default: $XDG_STATE_HOME/windlass or ~/.local/state/windlass]
    #[arg(long, value_name = "FOLDER", env = "WINDLASS_STATE")]
    state: Option<Utf8PathBuf>,
    /// How to show what was done
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

fn cluster(word: &str) -> Result<String, String> {
    check_slug(word).map(|()| word.to_owned()).map_err(|error| error.to_string())
}

/// Takes it and puts it everywhere.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let recipients = recipients(&arguments)?;
    if arguments.with_pki && recipients.is_empty() {
        return Err(Failure::new(Exit::Refused, "keys are never stored in the clear: --with-pki needs a recipient")
            .hint("give one with --recipient age1… (`age-keygen` makes a pair)"));
    }
    if let Some(path) = &arguments.inventory {
        let read = files::inventory(path)?;
        let fleet = read.fleet()?;
        let done = back_up(&arguments, recipients, &fleet, &read.inventory, Members::Quorum).await;
        fleet.close().await;
        return done;
    }
    let mut here = Here::find().map_err(|error| {
        Failure::of(Exit::Unreachable, &error)
            .hint("say where its certificates are: ETCDCTL_CACERT, ETCDCTL_CERT, ETCDCTL_KEY and ETCDCTL_ENDPOINTS")
    })?;
    let cluster = if let Some(name) = &arguments.cluster {
        name.clone()
    } else {
        let id = here.etcd_cluster_id(here.node()).await;
        format!("etcd-{:x}", id.map_err(|error| Failure::of(Exit::Unreachable, &error))?)
    };
    here.call_cluster(cluster);
    back_up(&arguments, recipients, &here, here.inventory(), Members::Own).await
}

fn recipients(arguments: &Arguments) -> Result<Recipients, Failure> {
    let mut recipients = Recipients::default();
    for word in &arguments.recipient {
        recipients.add(word).map_err(|error| Failure::of(Exit::Usage, &error))?;
    }
    for path in &arguments.recipients_file {
        let none_yet = recipients.count();
        recipients.add_lines(&files::read(path)?).map_err(|error| {
            Failure::new(Exit::InvalidFile, format!("{path} is no file of recipients")).because(error.to_string())
        })?;
        if recipients.count() == none_yet {
            // Whoever asks for encryption must not get a backup in the clear.
            return Err(Failure::new(Exit::InvalidFile, format!("{path} holds no recipient")));
        }
    }
    Ok(recipients)
}

async fn back_up(
    arguments: &Arguments,
    recipients: Recipients,
    remote: &dyn Streams,
    inventory: &Inventory,
    members: Members,
) -> Result<(), Failure> {
    let clock = SystemClock::start();
    let state = files::state_folder(arguments.state.clone(), &inventory.name)?;
    let _lock = lock(&state)?;
    let stores = arguments.destinations.stores(&state)?;
    if arguments.dry_run {
        let keep = arguments.destinations.keep();
        let whose = prune::whose(remote, inventory).await?;
        return prune::everywhere(&stores, &whose, keep, prune::How::Say { coming: Some(clock.now()) }).await;
    }
    if let Some(path) = &arguments.metrics {
        // A file that cannot be used is told before anything is done.
        metrics_file::read(path, &inventory.name).map_err(|error| Failure::of(Exit::Usage, &error))?;
    }
    let stage = stage(&stores, &state)?;
    sweep(&stage);
    let how = How { compress: !arguments.no_compress, recipients };
    let order =
        Order { remote, clock: &clock, inventory, members, stage: &stage, how: &how, emergency: arguments.emergency };
    if arguments.emergency {
        // Whose turn it is may be nobody's to say, and the member may not last.
        return taken(arguments, &order, &stores).await;
    }
    let waits = || anstream::eprintln!("another backup of this cluster runs, from another place: waiting for it");
    in_turn(remote, &clock, inventory, waits, taken(arguments, &order, &stores)).await?
}

/// One run at a time for each state folder: who has it is told.
pub(super) fn lock(state: &Utf8Path) -> Result<Lock, Failure> {
    let now = SystemClock::start().now();
    let who = format!("{}, process {}, since {now}", operator().name, std::process::id());
    Lock::take(&state.join("backup.lock"), &who).map_err(|error| match error {
        LockError::Busy(_) => Failure::of(Exit::Refused, &error).hint("wait for it; nothing was done"),
        LockError::Io { .. } => Failure::of(Exit::StepFailed, &error),
    })
}

/// Takes it, puts it everywhere, and tells of it.
async fn taken(arguments: &Arguments, order: &Order<'_>, stores: &[Store]) -> Result<(), Failure> {
    let Order { remote, clock, inventory, stage, how, .. } = *order;
    let since = clock.elapsed();
    let Snapshot { name, mut manifest, stored, emergency } = take::take(order).await?;
    let mut lacking = Vec::new();
    let mut pki_staged = None;
    if !how.recipients.is_empty() && !arguments.no_pki {
        match pki::collect(remote, inventory, &name, stage, &how.recipients).await? {
            Ok((pki, staged)) => (manifest.pki, pki_staged) = (Some(pki), Some(staged)),
            Err(why) => lacking = why,
        }
    }
    let written = write_manifest(&manifest, &name, stage)?;
    let mut parcels = vec![Parcel::new(&manifest.stored.name, path(&stored.file)?)];
    if let (Some(pki), Some(staged)) = (&manifest.pki, &pki_staged) {
        parcels.push(Parcel::new(&pki.stored.name, path(&staged.file)?));
    }
    parcels.push(Parcel::new(name.object(Part::Manifest), path(&written)?));
    // Nothing goes for the sake of what may be stale.
    let keep = if manifest.emergency { Keep::default() } else { arguments.destinations.keep() };
    let told = deliver(stores, &parcels, &Retention { whose: Whose::of(&manifest), keep, just: name }).await;
    match arguments.output {
        Format::Text => anstream::print!("{}", report::backup(&manifest, emergency.as_deref(), &lacking, &told)),
        Format::Json => {
            anstream::println!("{:#}", report::backup_json(&manifest, emergency.as_deref(), &lacking, &told));
        }
    }
    if let (Some(path), false) = (&arguments.metrics, manifest.emergency)
        && told.iter().all(|store| store.put.is_ok())
    {
        let last_success = Some(manifest.taken_at);
        let (size, duration) = (Some(manifest.stored.bytes), Some(clock.elapsed().saturating_sub(since)));
        let metrics = metrics_file::read(path, &inventory.name).map_err(|error| Failure::of(Exit::Usage, &error))?;
        let metrics = Metrics { last_success, size, duration, verified: Some(true), ..metrics };
        metrics_file::write(path, &metrics).map_err(|error| Failure::of(Exit::StepFailed, &error))?;
    }
    ended(arguments, &lacking, &told)
}

/// What is to be said by the exit code.
fn ended(arguments: &Arguments, lacking: &[String], told: &[Delivered]) -> Result<(), Failure> {
    if let Some(failure) = report::undelivered(told) {
        return Err(failure);
    }
    if arguments.with_pki && !lacking.is_empty() {
        let mut failure =
            Failure::new(Exit::StepFailed, "the snapshot is stored, without the keys that were asked for");
        failure.causes = lacking.to_vec();
        return Err(failure);
    }
    Ok(())
}

/// Where to work: in the first folder that is a destination, so that putting it there costs nothing; else in the state folder.
fn stage(stores: &[Store], state: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
    let Some(folder) = stores.iter().find_map(Store::folder) else { return Ok(state.to_owned()) };
    folder.make().map_err(|error| Failure::of(Exit::StepFailed, &error))?;
    Ok(folder.path().to_owned())
}

/// The manifest as a file of its own.
fn write_manifest(manifest: &Manifest, name: &BackupName, stage: &Utf8Path) -> Result<NamedTempFile, Failure> {
    let written = temporary(stage).and_then(|mut file| {
        file.write_all(manifest.to_json().as_bytes())?;
        Ok(file)
    });
    written.map_err(|error| Failure::of(Exit::StepFailed, &error).because(format!("for {name} in {stage}")))
}

fn path(file: &NamedTempFile) -> Result<&Utf8Path, Failure> {
    let path = Utf8Path::from_path(file.path());
    path.ok_or_else(|| Failure::new(Exit::Usage, format!("{} is not UTF-8", file.path().display())))
}

impl Arguments {
    /// Every path in them but the destinations': what a timer has to be told from the root on.
    pub(super) fn paths(&self) -> Vec<&Utf8Path> {
        let one = [&self.inventory, &self.metrics, &self.state, &self.destinations.ssh_config];
        one.into_iter().flatten().chain(&self.recipients_file).map(Utf8PathBuf::as_path).collect()
    }

    /// What the cluster is called, where that is known beforehand.
    pub(super) fn called(&self) -> Result<Option<String>, Failure> {
        match &self.inventory {
            Some(path) => Ok(Some(files::inventory(path)?.inventory.name)),
            None => Ok(self.cluster.clone()),
        }
    }

    /// Whether only who has a key can read what is stored.
    pub(super) fn encrypts(&self) -> bool {
        !self.recipient.is_empty() || !self.recipients_file.is_empty()
    }

    /// Where the metrics go.
    pub(super) fn metrics(&self) -> Option<&Utf8Path> {
        self.metrics.as_deref()
    }

    /// Where the state is, when it is said.
    pub(super) fn state(&self) -> Option<&Utf8Path> {
        self.state.as_deref()
    }
}
