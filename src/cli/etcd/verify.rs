//! `windlass etcd verify`: reads backups and says whether they are good, with an exit code for each thing that can be wrong.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::backup::seal::Identities;
use crate::backup::sink::{sweep, temporary_folder};
use crate::backup::verify::{Fault, Files, check};
use crate::backup::{BackupName, Manifest, Part, metrics_file};
use crate::cli::etcd::destinations::usual;
use crate::cli::etcd::prover::Prover;
use crate::cli::{Format, files};
use crate::error::{Exit, Failure};
use crate::inventory::NodeName;
use crate::remote::store::Store;
use crate::remote::{Clock as _, SystemClock};
use crate::report::{self, Looked};

/// Arguments of `windlass etcd verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 good, 10 not readable, or several backups bad in different ways, 11 not to be proven here, 12 \
                        the destination does not answer, 20 cut off or empty, 21 bits changed, 22 pages broken, 23 the manifest \
                        lies, 24 of another cluster, 25 not to be opened with the identities given, 26 restored and started, it \
                        is not what it should be, 27 no manifest, 28 no backup."
)]
pub(in crate::cli) struct Arguments {
    /// Snapshots, or destinations: then the newest backup of each [default: with --cluster, where `windlass etcd backup` puts them
    /// by itself]
    #[arg(value_name = "FILE|DEST", required_unless_present = "cluster")]
    what: Vec<String>,
    /// Every backup at the destinations
    #[arg(long)]
    all: bool,
    /// Only backups of the cluster of this name
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Open what is encrypted with the age identities in this file
    #[arg(long, value_name = "FILE")]
    identity: Vec<Utf8PathBuf>,
    /// Restore it into a throw-away etcd of this machine, start that, and compare
    #[arg(long)]
    prove: bool,
    /// Where etcd, and etcdutl or etcdctl, of the snapshot's version are [default: as PATH says, else those of the
    /// member that runs on this machine]
    #[arg(long, value_name = "FOLDER", requires = "prove")]
    etcd_bin: Option<Utf8PathBuf>,
    /// Prove it on this machine of etcd instead, apart from its member
    #[arg(long, value_name = "NODE", value_parser = |name: &str| NodeName::new(name), requires_all = ["prove", "inventory"], conflicts_with = "etcd_bin")]
    on: Option<NodeName>,
    /// The inventory with that machine
    #[arg(short, long, value_name = "FILE", requires = "on")]
    inventory: Option<Utf8PathBuf>,
    /// A configuration of ssh for ssh:// destinations, in place of the user's own
    #[arg(long, value_name = "FILE", env = "WINDLASS_SSH_CONFIG")]
    ssh_config: Option<Utf8PathBuf>,
    /// Tell node exporter's textfile collector, in this file (….prom), one for each cluster
    #[arg(long, value_name = "FILE")]
    metrics: Option<Utf8PathBuf>,
    /// Where to work on what has to be opened [default: $XDG_STATE_HOME/windlass or ~/.local/state/windlass]
    #[arg(long, value_name = "FOLDER", env = "WINDLASS_STATE")]
    state: Option<Utf8PathBuf>,
    /// How to show what was found
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Verifies what is asked for.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let identities = identities(&arguments.identity)?;
    let folder = files::state_folder(arguments.state.clone(), "verify")?;
    sweep(&folder);
    let (mut looked, mut silent) = (Vec::new(), None);
    for what in &places(&arguments)? {
        let path = Utf8Path::new(what);
        if path.is_file() && !arguments.all {
            looked.push(one_file(path, &identities, &folder));
            continue;
        }
        let place = Destination {
            what,
            cluster: arguments.cluster.as_deref(),
            which: if arguments.all { Which::All } else { Which::Newest },
            ssh_config: arguments.ssh_config.as_deref(),
        };
        match at_destination(place, &identities, &folder).await {
            Ok(found) => looked.extend(found),
            // The others are worth a look all the same.
            Err(failure) => silent = silent.or(Some(failure)),
        }
    }
    if looked.is_empty()
        && let Some(failure) = silent
    {
        return Err(failure);
    }
    let mut untried = None;
    if arguments.prove {
        let on = arguments.on.as_ref().zip(arguments.inventory.as_deref());
        let prover = Prover::new(arguments.etcd_bin.clone(), &folder, on)?;
        untried = prover.prove(&mut looked).await.err();
        prover.close().await;
    }
    match arguments.output {
        Format::Text => anstream::print!("{}", report::verified(&looked)),
        Format::Json => anstream::println!("{:#}", report::verified_json(&looked)),
    }
    if let Some(path) = &arguments.metrics {
        tell(&arguments, path, &looked, silent.is_some())?;
    }
    ended(&looked)?;
    untried.or(silent).map_or(Ok(()), Err)
}

/// What is to be looked at.
fn places(arguments: &Arguments) -> Result<Vec<String>, Failure> {
    match &arguments.cluster {
        Some(cluster) if arguments.what.is_empty() => {
            let state = files::state_folder(arguments.state.clone(), cluster)?;
            Ok(vec![usual(&state).into_string()])
        }
        _ => Ok(arguments.what.clone()),
    }
}

/// Leaves what was found where node exporter picks it up.
fn tell(arguments: &Arguments, path: &Utf8Path, looked: &[Looked], some_silent: bool) -> Result<(), Failure> {
    let told = looked.iter().find_map(|one| one.manifest.as_ref()).map(|manifest| &manifest.cluster);
    let Some(cluster) = arguments.cluster.as_ref().or(told) else {
        return Err(
            Failure::new(Exit::Usage, "no metrics: no manifest says which cluster it is").hint("give --cluster")
        );
    };
    let mut metrics = metrics_file::read(path, cluster).map_err(|error| Failure::of(Exit::Usage, &error))?;
    let broken = |one: &Looked| one.found.as_ref().is_err_and(|fault| !matches!(fault, Fault::Unproven(_)));
    metrics.verified = Some(!some_silent && !looked.iter().any(broken));
    if arguments.prove {
        let proven = !some_silent && looked.iter().all(|one| one.found.is_ok() && one.proof.is_some());
        metrics.proven = Some(proven);
        if proven {
            metrics.last_proven = Some(SystemClock::start().now());
        }
    }
    metrics_file::write(path, &metrics).map_err(|error| Failure::of(Exit::StepFailed, &error))
}

pub(super) fn identities(paths: &[Utf8PathBuf]) -> Result<Identities, Failure> {
    let mut identities = Identities::default();
    for path in paths {
        let text = std::fs::read(path).map(zeroize::Zeroizing::new).map_err(|error| {
            Failure::new(Exit::InvalidFile, format!("could not read {path}")).because(error.to_string())
        })?;
        identities
            .add_file(&text)
            .map_err(|why| Failure::new(Exit::InvalidFile, format!("{path} is no file of identities")).because(why))?;
    }
    Ok(identities)
}

/// The exit code of the only fault there is; of several, none would be right.
fn ended(looked: &[Looked]) -> Result<(), Failure> {
    let faults: Vec<(&str, &Fault)> =
        looked.iter().filter_map(|one| Some((one.what.as_str(), one.found.as_ref().err()?))).collect();
    let Some((first, fault)) = faults.first() else { return Ok(()) };
    let exit = exit(fault);
    let exit = if faults.iter().all(|(_, other)| self::exit(other) == exit) { exit } else { Exit::InvalidFile };
    let what = match faults.len() {
        1 => format!("{first} is not a good backup"),
        several => format!("{several} of {} backups are not good", looked.len()),
    };
    let mut failure = Failure::new(exit, what);
    failure.causes = match faults.as_slice() {
        [(_, fault)] => vec![fault.to_string()],
        several => several.iter().map(|(what, fault)| format!("{what}: {fault}")).collect(),
    };
    Err(match exit {
        Exit::BackupLocked => failure.hint("give the identity that it was encrypted for: --identity FILE"),
        _ => failure,
    })
}

pub(super) fn exit(fault: &Fault) -> Exit {
    match fault {
        Fault::Unread(_) => Exit::InvalidFile,
        Fault::Manifest(_) => Exit::BackupManifest,
        Fault::CutOff(_) => Exit::BackupCutOff,
        Fault::Hash(_) => Exit::BackupChanged,
        Fault::Pages(_) => Exit::BackupPages,
        Fault::Lie(_) => Exit::BackupLie,
        Fault::Foreign(_) => Exit::BackupForeign,
        Fault::Locked(_) => Exit::BackupLocked,
        Fault::Unproven(_) => Exit::BackupUnproven,
    }
}

/// A file by its path: one of ours with its manifest beside it, or any other snapshot.
pub(super) fn one_file(path: &Utf8Path, identities: &Identities, folder: &Utf8Path) -> Looked {
    let object = path.file_name().unwrap_or_default();
    let ours = BackupName::parse(object);
    let beside = |name: &str| path.with_file_name(name);
    let Some((name, part)) = &ours else {
        let endings = Part::ALL.into_iter().filter(|part| matches!(part, Part::Database { .. }));
        let plain = Part::Database { compressed: false, encrypted: false };
        // `.db.zst.age` ends with `.age`, too: the longest that fits.
        let fits = |part: &Part| object.ends_with(part.ending().trim_start_matches(".db")) && *part != plain;
        let part = endings.filter(fits).max_by_key(|part| part.ending().len()).unwrap_or(plain);
        let files = Files { database: path, part, name: None, manifest: None, pki: None };
        return Looked {
            what: path.to_string(),
            manifest: None,
            found: check(&files, identities, folder),
            proof: None,
        };
    };
    let manifest = read_manifest(&beside(&name.object(Part::Manifest)));
    let pki = beside(&name.object(Part::Pki));
    let (database, part) = match (part, &manifest) {
        (Part::Database { .. }, _) | (_, Err(_)) => (path.to_owned(), *part),
        // The manifest or the keys were named: the snapshot is what the manifest says.
        (_, Ok(manifest)) => {
            let part = BackupName::parse(&manifest.stored.name).map_or(*part, |(_, part)| part);
            (beside(&manifest.stored.name), part)
        }
    };
    look(&Here { what: path.to_string(), name, database: &database, part, pki: &pki }, manifest, identities, folder)
}

/// A backup's files, brought to this machine.
struct Here<'a> {
    what: String,
    name: &'a BackupName,
    database: &'a Utf8Path,
    part: Part,
    pki: &'a Utf8Path,
}

fn look(here: &Here<'_>, manifest: Result<Manifest, Fault>, identities: &Identities, folder: &Utf8Path) -> Looked {
    let what = here.what.clone();
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(fault) => return Looked { what, manifest: None, found: Err(fault), proof: None },
    };
    let pki = here.pki.is_file().then_some(here.pki);
    let files =
        Files { database: here.database, part: here.part, name: Some(here.name), manifest: Some(&manifest), pki };
    let found = check(&files, identities, folder);
    Looked { what, manifest: Some(manifest), found, proof: None }
}

fn read_manifest(path: &Utf8Path) -> Result<Manifest, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Fault::Manifest(format!("{path} is not there; the backup was not finished")),
        _ => Fault::Manifest(format!("{path}: {error}")),
    })?;
    Manifest::from_json(&text).map_err(|error| {
        let causes = crate::error::chain(&error).join(": ");
        Fault::Manifest(format!("{path}: {causes}"))
    })
}

/// Which backups of a destination.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// All of them, oldest first.
    All,
    /// The newest.
    Newest,
    /// The newest that was not taken in an emergency.
    NewestOrdinary,
}

/// Backups that are asked for.
#[derive(Clone, Copy)]
pub(super) struct Destination<'a> {
    /// A destination; or one and `/NAME`, for the backup of that name.
    pub(super) what: &'a str,
    /// Only of the cluster of this name.
    pub(super) cluster: Option<&'a str>,
    /// Which of them, where none is named.
    pub(super) which: Which,
    /// The configuration of ssh, in place of the user's own.
    pub(super) ssh_config: Option<&'a Utf8Path>,
}

/// The newest backup at a destination, the one that is named, or all of them, oldest first.
pub(super) async fn at_destination(
    place: Destination<'_>,
    identities: &Identities,
    folder: &Utf8Path,
) -> Result<Vec<Looked>, Failure> {
    // As Windlass prints it, or as one of its objects.
    let called = |object: &str| {
        BackupName::parse(object).or_else(|| BackupName::parse(&format!("{object}.json"))).map(|(name, _)| name)
    };
    let (destination, named) = match place.what.rsplit_once('/') {
        Some((destination, object)) if called(object).is_some() => (destination, called(object)),
        _ => (place.what, None),
    };
    let store = Store::parse(destination).map_err(|error| Failure::of(Exit::Usage, &error))?;
    let store = store.with_ssh_config(place.ssh_config);
    let entries = store.list().await.map_err(|error| Failure::of(Exit::Unreachable, &error))?;
    let mut backups: BTreeMap<BackupName, Vec<(Part, String)>> = BTreeMap::new();
    for entry in entries {
        match BackupName::parse(&entry.name) {
            Some((name, part))
                if place.cluster.is_none_or(|cluster| cluster == name.cluster)
                    && named.as_ref().is_none_or(|named| *named == name) =>
            {
                backups.entry(name).or_default().push((part, entry.name));
            }
            _ => {}
        }
    }
    let mut all: Vec<_> = backups.into_iter().collect();
    all.sort_by_key(|(name, _)| (name.taken, name.cluster.clone(), name.revision));
    let which = if named.is_some() { Which::Newest } else { place.which };
    match which {
        Which::All => {}
        Which::Newest => all = all.pop().into_iter().collect(),
        Which::NewestOrdinary => all.reverse(),
    }
    if all.is_empty() {
        let of = place.cluster.map_or(String::new(), |cluster| format!(" of {cluster}"));
        let called = named.map_or(String::new(), |name| format!(" {name}"));
        return Err(Failure::new(Exit::BackupNone, format!("{store} has no backup{called}{of}")));
    }
    let mut looked = Vec::new();
    for (name, parts) in all {
        let one = fetched(&store, &name, &parts, identities, folder).await?;
        let emergency = one.manifest.as_ref().is_some_and(|manifest| manifest.emergency);
        if which == Which::NewestOrdinary && emergency {
            anstream::eprintln!("{} is left alone: it was taken in an emergency, and may be stale", one.what);
            continue;
        }
        looked.push(one);
        if which == Which::NewestOrdinary {
            break;
        }
    }
    if looked.is_empty() {
        let why = format!("{store} has no backup but of emergencies");
        return Err(
            Failure::new(Exit::InvalidFile, why).hint("name the one that is to be taken all the same: DEST/NAME")
        );
    }
    Ok(looked)
}

/// Looks at one backup of a destination; what is elsewhere is fetched, and gone again afterwards.
async fn fetched(
    store: &Store,
    name: &BackupName,
    parts: &[(Part, String)],
    identities: &Identities,
    folder: &Utf8Path,
) -> Result<Looked, Failure> {
    let unmade = |error: std::io::Error| Failure::of(Exit::StepFailed, &error).because(format!("in {folder}"));
    let what = format!("{store}/{name}");
    let fetched = temporary_folder(folder).map_err(unmade)?;
    let at = if let Some(folder) = store.folder() {
        folder.path().to_owned()
    } else {
        let at = Utf8PathBuf::try_from(fetched.path().to_owned()).map_err(|e| unmade(e.into_io_error()))?;
        for (_, object) in parts {
            let got = store.get(object, &at.join(object)).await;
            got.map_err(|error| Failure::of(Exit::Unreachable, &error))?;
        }
        at
    };
    let database = parts.iter().find(|(part, _)| matches!(part, Part::Database { .. }));
    let Some((part, object)) = database else {
        let fault = Fault::Unread("its snapshot is not there".to_owned());
        return Ok(Looked { what, manifest: None, found: Err(fault), proof: None });
    };
    let manifest = read_manifest(&at.join(name.object(Part::Manifest)));
    let (database, pki) = (at.join(object), at.join(name.object(Part::Pki)));
    Ok(look(&Here { what, name, database: &database, part: *part, pki: &pki }, manifest, identities, folder))
}
