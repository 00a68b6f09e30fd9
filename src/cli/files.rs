//! Reading and writing the files that commands are given.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

use camino::{Utf8Path, Utf8PathBuf};

use crate::decide::plan::digest;
use crate::document::{Complaints, Parsed};
use crate::error::{Exit, Failure};
use crate::inventory::{self, Inventory};
use crate::playbook::{self, Playbook};
use crate::remote::recorded::Recorded;
use crate::remote::ssh::Fleet;
use crate::remote::{Clock, Remote};

/// An inventory that was read from a file.
pub(super) struct ReadInventory {
    /// The inventory, with its paths resolved.
    pub(super) inventory: Inventory,
    /// Where it is, absolute.
    pub(super) path: Utf8PathBuf,
    /// SHA-256 of the file, hex.
    pub(super) digest: String,
}

impl ReadInventory {
    /// Its machines, to be reached; paths in it are below its own folder.
    pub(super) fn fleet(&self) -> Result<Fleet, Failure> {
        let folder = self.path.parent().unwrap_or(&self.path);
        Fleet::new(&self.inventory, folder).map_err(|error| Failure::of(Exit::Unreachable, &error))
    }
}

/// Reads a text file.
pub(super) fn read(path: &Utf8Path) -> Result<String, Failure> {
    String::from_utf8(read_bytes(path)?).map_err(|_| {
        Failure::new(Exit::InvalidFile, format!("could not read {path}")).because("it is not text in UTF-8")
    })
}

/// Reads a file of any kind.
pub(super) fn read_bytes(path: &Utf8Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::new(Exit::InvalidFile, format!("could not read {path}")).because(error.to_string()))
}

/// Reads an inventory; its warnings go to stderr.
pub(super) fn inventory(path: &Utf8Path) -> Result<ReadInventory, Failure> {
    let text = read(path)?;
    let Parsed { value, warnings } =
        inventory::parse(&text).map_err(|found| refused("inventory", path, &text, &found))?;
    warn(path, &text, &warnings);
    let absolute = camino::absolute_utf8(path).map_err(|error| Failure::of(Exit::InvalidFile, &error))?;
    let folder = absolute.parent().map(Utf8Path::to_owned).unwrap_or_default();
    let home = std::env::var("HOME").ok().map(Utf8PathBuf::from);
    let inventory = value.resolved_against(&folder, home.as_deref());
    Ok(ReadInventory { inventory, path: absolute, digest: digest(text.as_bytes()) })
}

/// Reads a playbook; returns it with its digest.
pub(super) fn playbook(path: &Utf8Path) -> Result<(Playbook, String), Failure> {
    let text = read(path)?;
    let playbook = playbook::parse(&text).map_err(|found| refused("playbook", path, &text, &found))?;
    Ok((playbook, digest(text.as_bytes())))
}

/// The machines as `remote`, written down when a recording is asked for.
pub(super) fn recorded<'a>(
    path: Option<&Utf8Path>,
    remote: &'a dyn Remote,
    clock: &'a dyn Clock,
) -> Result<Option<Recorded<'a>>, Failure> {
    let opened = path.map(|path| {
        Recorded::new(remote, clock, path)
            .map_err(|error| Failure::new(Exit::Usage, format!("could not write {path}")).because(error.to_string()))
    });
    opened.transpose()
}

fn refused(what: &str, path: &Utf8Path, text: &str, found: &Complaints) -> Failure {
    anstream::eprint!("{}", found.render(path.as_str(), text, colour()));
    Failure::new(Exit::InvalidFile, format!("{what} {path} has {found}"))
}

fn warn(path: &Utf8Path, text: &str, warnings: &Complaints) {
    if !warnings.is_empty() {
        anstream::eprint!("{}", warnings.render(path.as_str(), text, colour()));
    }
}

fn colour() -> bool {
    std::io::stderr().is_terminal()
}

/// Writes a file, 0600, under its name only once it is whole and on disk.
pub(super) fn write(path: &Utf8Path, content: &str) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let written = || -> std::io::Result<()> {
        let mut file =
            tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o600)).tempfile_in(folder)?;
        file.write_all(content.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        std::fs::File::open(folder)?.sync_all()
    };
    written().map_err(|error| Failure::new(Exit::Usage, format!("could not write {path}")).because(error.to_string()))
}

/// Where everything that is kept is, also when it is not made yet; absolute.
pub(super) fn state_place(given: Option<&Utf8Path>) -> Result<Utf8PathBuf, Failure> {
    let given = given.map(Utf8Path::to_owned);
    camino::absolute_utf8(state_root(given)?).map_err(|error| Failure::of(Exit::Usage, &error))
}

fn state_root(given: Option<Utf8PathBuf>) -> Result<Utf8PathBuf, Failure> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(Utf8PathBuf::from);
    given
        .or_else(|| variable("XDG_STATE_HOME").map(|folder| folder.join("windlass")))
        .or_else(|| variable("HOME").map(|home| home.join(".local/state/windlass")))
        .ok_or_else(|| Failure::new(Exit::Usage, "there is no place for the journal: give --state FOLDER"))
}

/// The journal of a run of `cluster` on this machine, and the plan file that `--resume` keeps beside it. Makes neither.
pub(super) fn run_files(given: Option<Utf8PathBuf>, cluster: &str, run: &str) -> Result<[Utf8PathBuf; 2], Failure> {
    let folder = state_root(given)?.join(cluster);
    Ok([folder.join(format!("{run}.journal")), folder.join(format!("{run}.plan.json"))])
}

/// A text that may not be there: then it is empty.
pub(super) fn read_if_any(path: &Utf8Path) -> Result<String, Failure> {
    match std::fs::exists(path) {
        Ok(false) => Ok(String::new()),
        _ => read(path),
    }
}

/// The nearest folder that exists above, or at, the place where journals and snapshots are kept.
pub(super) fn state_ancestor(given: Option<Utf8PathBuf>) -> Option<Utf8PathBuf> {
    let root = camino::absolute_utf8(state_root(given).ok()?).ok()?;
    root.ancestors().find(|folder| folder.is_dir()).map(Utf8Path::to_owned)
}

/// The folder for what has to be kept of a cluster (journals, snapshots), 0700: `$WINDLASS_STATE`, or
/// `$XDG_STATE_HOME/windlass`, or `~/.local/state/windlass`. A folder that was there before, and is open to others, is
/// closed: snapshots hold every Secret of the cluster.
pub(super) fn state_folder(given: Option<Utf8PathBuf>, below: &str) -> Result<Utf8PathBuf, Failure> {
    let folder = state_root(given)?.join(below);
    let closed = std::fs::Permissions::from_mode(0o700);
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.and_then(|()| std::fs::set_permissions(&folder, closed))
        .map_err(|error| Failure::new(Exit::Usage, format!("could not make {folder}")).because(error.to_string()))?;
    Ok(folder)
}
