//! `windlass etcd backup`: one snapshot, verified, at every destination.

use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::backup::choose::Members;
use crate::backup::lock::{Lock, LockError};
use crate::backup::manifest::Manifest;
use crate::backup::seal::Recipients;
use crate::backup::sink::{How, Staged, sweep, temporary};
use crate::backup::take::{self, Order, Snapshot};
use crate::backup::{BackupName, Part, pki};
use crate::cli::run::operator;
use crate::cli::{Format, files};
use crate::error::{Exit, Failure, chain};
use crate::inventory::{Inventory, check_slug};
use crate::remote::here::Here;
use crate::remote::ssh::Fleet;
use crate::remote::store::{Store, StoreError};
use crate::remote::{Clock as _, Streams, SystemClock};
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
    /// Where to put it, a folder; may be given several times [default: `backups` in the state folder]
    #[arg(long, value_name = "DEST")]
    to: Vec<String>,
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
        let folder = read.path.parent().unwrap_or(&read.path);
        let fleet = Fleet::new(&read.inventory, folder).map_err(|error| Failure::of(Exit::Unreachable, &error))?;
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

/// What came of one destination.
#[derive(Debug)]
pub(in crate::cli) struct Delivery {
    store: Store,
    error: Option<StoreError>,
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
    let who = format!("{}, process {}, since {}", operator().name, std::process::id(), clock.now());
    let _lock = Lock::take(&state.join("backup.lock"), &who).map_err(|error| match error {
        LockError::Busy(_) => Failure::of(Exit::Refused, &error).hint("wait for it; nothing was done"),
        LockError::Io { .. } => Failure::of(Exit::StepFailed, &error),
    })?;
    let stores = stores(arguments, &state)?;
    let stage = stage(&stores, &state)?;
    sweep(&stage);
    let how = How { compress: !arguments.no_compress, recipients };
    let order =
        Order { remote, clock: &clock, inventory, members, stage: &stage, how: &how, emergency: arguments.emergency };
    let Snapshot { name, mut manifest, stored, emergency } = take::take(&order).await?;
    let mut lacking = Vec::new();
    let mut pki_staged = None;
    if !how.recipients.is_empty() && !arguments.no_pki {
        match pki::collect(remote, inventory, &name, &stage, &how.recipients).await? {
            Ok((pki, staged)) => (manifest.pki, pki_staged) = (Some(pki), Some(staged)),
            Err(why) => lacking = why,
        }
    }
    let deliveries = deliver(stores, &stage, &name, &manifest, &stored, pki_staged.as_ref()).await?;
    let told: Vec<(String, Option<Vec<String>>)> = deliveries
        .iter()
        .map(|delivery| (delivery.store.to_string(), delivery.error.as_ref().map(|error| chain(error))))
        .collect();
    match arguments.output {
        Format::Text => anstream::print!("{}", report::backup(&manifest, emergency.as_deref(), &lacking, &told)),
        Format::Json => {
            anstream::println!("{:#}", report::backup_json(&manifest, emergency.as_deref(), &lacking, &told));
        }
    }
    ended(arguments, &lacking, &told)
}

/// What is to be said by the exit code.
fn ended(arguments: &Arguments, lacking: &[String], told: &[(String, Option<Vec<String>>)]) -> Result<(), Failure> {
    let failed: Vec<_> = told.iter().filter_map(|(to, error)| Some((to, error.as_ref()?))).collect();
    if !failed.is_empty() {
        let what = format!("{} of {} destinations did not take it", failed.len(), told.len());
        let mut failure = Failure::new(Exit::StepFailed, what);
        failure.causes = failed.iter().map(|(to, error)| format!("{to}: {}", error.join(": "))).collect();
        return Err(failure.hint("put right what is wrong there, then run the same command again"));
    }
    if arguments.with_pki && !lacking.is_empty() {
        let mut failure =
            Failure::new(Exit::StepFailed, "the snapshot is stored, without the keys that were asked for");
        failure.causes = lacking.to_vec();
        return Err(failure);
    }
    Ok(())
}

/// The destinations.
fn stores(arguments: &Arguments, state: &Utf8Path) -> Result<Vec<Store>, Failure> {
    if arguments.to.is_empty() {
        return Store::parse(state.join("backups").as_str())
            .map(|store| vec![store])
            .map_err(|error| Failure::of(Exit::Usage, &error));
    }
    let parse = |text: &String| {
        Store::parse(text).map_err(|error| Failure::of(Exit::Usage, &error).hint("a destination is a folder"))
    };
    arguments.to.iter().map(parse).collect()
}

/// Where to work: in the first folder that is a destination, so that putting it there costs nothing; else in the state folder.
fn stage(stores: &[Store], state: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
    let Some(folder) = stores.iter().find_map(Store::folder) else { return Ok(state.to_owned()) };
    folder.make().map_err(|error| Failure::of(Exit::StepFailed, &error))?;
    Ok(folder.path().to_owned())
}

/// Puts the objects at each destination, the manifest last; what was put before one failed is taken away again.
async fn deliver(
    stores: Vec<Store>,
    stage: &Utf8Path,
    name: &BackupName,
    manifest: &Manifest,
    stored: &Staged,
    pki: Option<&Staged>,
) -> Result<Vec<Delivery>, Failure> {
    let failed = |error: std::io::Error| Failure::of(Exit::StepFailed, &error).because(format!("in {stage}"));
    let mut written = temporary(stage).map_err(failed)?;
    written.write_all(manifest.to_json().as_bytes()).map_err(failed)?;
    let path = |file: &tempfile::NamedTempFile| Utf8PathBuf::try_from(file.path().to_owned());
    let of_path = |error: camino::FromPathBufError| failed(error.into_io_error());
    let mut objects = vec![(manifest.stored.name.clone(), path(&stored.file).map_err(of_path)?)];
    if let (Some(pki), Some(staged)) = (&manifest.pki, pki) {
        objects.push((pki.stored.name.clone(), path(&staged.file).map_err(of_path)?));
    }
    objects.push((name.object(Part::Manifest), path(&written).map_err(of_path)?));
    let mut deliveries = Vec::new();
    for store in stores {
        let error = put_all(&store, &objects).await.err();
        deliveries.push(Delivery { store, error });
    }
    Ok(deliveries)
}

async fn put_all(store: &Store, objects: &[(String, Utf8PathBuf)]) -> Result<(), StoreError> {
    for (index, (name, from)) in objects.iter().enumerate() {
        if let Err(error) = store.put(name, from).await {
            for (name, _) in &objects[..index] {
                // What cannot be taken away has no manifest, and is no backup.
                let _ = store.remove(name).await;
            }
            return Err(error);
        }
    }
    Ok(())
}
