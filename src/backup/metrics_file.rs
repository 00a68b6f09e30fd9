//! The file of metrics on this machine's disk: read before a run, replaced after it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};

use super::metrics::{Metrics, MetricsError};
use crate::remote::store::TEMPORARY;

/// Why the file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The disk says no.
    #[error("could not {what} {path}")]
    Io {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Somebody else's.
    #[error("{path} is no file for this cluster's metrics")]
    Foreign {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        cause: MetricsError,
    },
}

/// What an earlier run left in the file about the same cluster. Asked before anything is done, so that a file of somebody
/// else's is not found out about only when it would be replaced.
pub fn read(path: &Utf8Path, cluster: &str) -> Result<Metrics, FileError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|cause| FileError::Io { what: "read", path: path.to_owned(), cause })?,
    };
    Metrics::parse(&text, cluster).map_err(|cause| FileError::Foreign { path: path.to_owned(), cause })
}

/// Replaces the file, 0644: the collector, which is somebody else, reads it whole, the old or the new. Its temporary name does
/// not end in `.prom`, which is all that the collector takes.
pub fn write(path: &Utf8Path, metrics: &Metrics) -> Result<(), FileError> {
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let written = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
        file.write_all(metrics.to_text().as_bytes())?;
        // Whatever the umask, which is strict where backups are made.
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    written().map_err(|cause| FileError::Io { what: "write", path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_replaced_readable_by_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Utf8Path::from_path(folder.path()).expect("a path").join("lab.prom");
        let mut metrics = read(&path, "lab").expect("nothing yet");
        assert_eq!(metrics, Metrics::new("lab"));
        metrics.size = Some(7);
        write(&path, &metrics).expect("written");
        metrics.verified = Some(true);
        write(&path, &metrics).expect("written");
        assert_eq!(read(&path, "lab").expect("read"), metrics);
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        assert!(matches!(read(&path, "other"), Err(FileError::Foreign { .. })));
    }
}
