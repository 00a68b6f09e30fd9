//! The unit files on this machine's disk: written, listed and taken away, only ever Windlass's own.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};

use super::schedule::{MARK, NAMES, Unit};

/// Where an administrator's own units are, below the root of the file system.
const FOLDER: &str = "etc/systemd/system";

/// Why units were not written or taken away.
#[derive(Debug, thiserror::Error)]
pub enum UnitsError {
    /// The disk says no.
    #[error("could not {what}")]
    Io {
        /// What was tried, as `write /etc/systemd/system/x.timer`.
        what: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Somebody else's unit has the name.
    #[error("{0} was not written by windlass")]
    Foreign(Utf8PathBuf),
}

/// The folder of units below `root`.
pub fn folder(root: &Utf8Path) -> Utf8PathBuf {
    root.join(FOLDER)
}

/// The units of Windlass that are there, with their texts.
pub fn installed(root: &Utf8Path) -> Result<Vec<Unit>, UnitsError> {
    let mut units = Vec::new();
    for name in NAMES {
        if let Some(text) = read(&folder(root).join(name))? {
            units.push(Unit { name, text });
        }
    }
    Ok(units)
}

/// Writes the `units`, each whole or not at all, and takes away those of Windlass that are none of them. Changes nothing when
/// one of the names is somebody else's.
pub fn write(root: &Utf8Path, units: &[Unit]) -> Result<(), UnitsError> {
    let old = installed(root)?;
    let folder = folder(root);
    fs::create_dir_all(&folder).map_err(io_error(|| format!("make {folder}")))?;
    for unit in units {
        let at = folder.join(unit.name);
        write_one(&folder, &at, &unit.text).map_err(io_error(|| format!("write {at}")))?;
    }
    for unit in old.iter().filter(|old| units.iter().all(|new| new.name != old.name)) {
        remove_one(&folder, unit.name)?;
    }
    Ok(())
}

/// Takes the `units` away.
pub fn remove(root: &Utf8Path, units: &[Unit]) -> Result<(), UnitsError> {
    units.iter().try_for_each(|unit| remove_one(&folder(root), unit.name))
}

/// The text of a unit of Windlass's; nothing when there is no such file.
fn read(at: &Utf8Path) -> Result<Option<String>, UnitsError> {
    // A link is somebody's decision (a masked unit is one to /dev/null), whatever it leads to.
    match fs::symlink_metadata(at) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(data) if !data.is_file() => return Err(UnitsError::Foreign(at.to_owned())),
        _ => {}
    }
    let text = fs::read_to_string(at).map_err(io_error(|| format!("read {at}")))?;
    if text.starts_with(MARK) { Ok(Some(text)) } else { Err(UnitsError::Foreign(at.to_owned())) }
}

fn write_one(folder: &Utf8Path, at: &Utf8Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o644)).tempfile_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    // The process may have a stricter umask than systemd's other files have.
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(at).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

fn remove_one(folder: &Utf8Path, name: &str) -> Result<(), UnitsError> {
    let at = folder.join(name);
    fs::remove_file(&at).map_err(io_error(|| format!("remove {at}")))
}

fn io_error(what: impl FnOnce() -> String) -> impl FnOnce(io::Error) -> UnitsError {
    move |cause| UnitsError::Io { what: what(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Utf8PathBuf::try_from(folder.path().to_owned()).expect("a path");
        (folder, root)
    }

    fn unit(index: usize, text: &str) -> Unit {
        Unit { name: NAMES[index], text: format!("{MARK}\n{text}\n") }
    }

    #[test]
    fn units_are_written_replaced_and_taken_away() {
        let (_folder, root) = root();
        assert_eq!(installed(&root).expect("read"), []);
        write(&root, &[unit(0, "a"), unit(1, "b"), unit(2, "c")]).expect("written");
        write(&root, &[unit(0, "new"), unit(1, "b")]).expect("written");
        assert_eq!(installed(&root).expect("read"), [unit(0, "new"), unit(1, "b")]);
        let mode = fs::metadata(folder(&root).join(NAMES[0])).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        remove(&root, &installed(&root).expect("read")).expect("taken away");
        assert_eq!(fs::read_dir(folder(&root)).expect("the folder").count(), 0);
    }

    #[test]
    fn a_unit_of_somebody_elses_is_left_and_nothing_is_written_beside_it() {
        let (_folder, root) = root();
        let at = folder(&root).join(NAMES[1]);
        fs::create_dir_all(folder(&root)).expect("made");
        fs::write(&at, "[Timer]\n").expect("written");
        let refused = write(&root, &[unit(0, "a"), unit(1, "b")]).expect_err("refused");
        assert!(matches!(refused, UnitsError::Foreign(ref path) if *path == at), "{refused:?}");
        assert!(!folder(&root).join(NAMES[0]).exists());
        assert_eq!(fs::read_to_string(&at).expect("still there"), "[Timer]\n");
        fs::remove_file(&at).expect("removed");
        std::os::unix::fs::symlink("/dev/null", &at).expect("masked");
        assert!(matches!(installed(&root), Err(UnitsError::Foreign(_))));
    }
}
