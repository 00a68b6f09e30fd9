//! A connection to the SFTP server of another machine, and what goes wrong with one.

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use openssh::{ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use openssh_sftp_client::error::SftpErrorKind;
use openssh_sftp_client::{Error, Sftp, SftpOptions};

use super::place::Place;
use crate::remote::ssh::{IDLE_SECONDS, SshTrouble, private_folder};

/// Longest wait for an answer, and for room to send more. OpenSSH itself gives up a machine that is silent for 20 s.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// A connection, for one question.
pub(super) struct Line {
    pub(super) sftp: Sftp,
    child: openssh::Child<Arc<Session>>,
    // Last, so that it is removed after the session's socket.
    _folder: tempfile::TempDir,
}

impl Line {
    /// Opens one.
    pub(super) async fn open(place: &Place, config: Option<&Utf8PathBuf>) -> Result<Self, Trouble> {
        let folder = private_folder().map_err(Trouble::Local)?;
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(KnownHosts::Strict)
            .control_directory(folder.path())
            // Long enough for an object of any size: one in use does not count as idle.
            .control_persist(ControlPersist::IdleFor(IDLE_SECONDS))
            .connect_timeout(Duration::from_secs(10))
            .server_alive_interval(Duration::from_secs(5));
        if let Some(user) = place.user() {
            builder.user(user.to_owned());
        }
        if let Some(port) = place.port() {
            builder.port(port);
        }
        if let Some(config) = config {
            builder.config_file(config);
        }
        let connecting = builder.connect_mux(place.host());
        let session = limited_io(connecting).await?.map_err(|error| Trouble::Ssh(SshTrouble::from_error(&error)))?;
        let lost = |error| Trouble::Ssh(SshTrouble::from_error(&error));
        let mut asking = Session::to_subsystem(Arc::new(session), "sftp");
        asking.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = limited_io(asking.spawn()).await?.map_err(lost)?;
        let (Some(stdin), Some(stdout)) = (child.stdin().take(), child.stdout().take()) else {
            return Err(Trouble::Said("ssh gave no pipes".to_owned()));
        };
        let sftp = limited(Sftp::new(stdin, stdout, SftpOptions::new())).await.map_err(|trouble| match trouble {
            Trouble::Sftp(Error::IOError(_)) => Trouble::Said("the machine offers no SFTP".to_owned()),
            other => other,
        })?;
        Ok(Self { sftp, child, _folder: folder })
    }

    /// What could go wrong here has no bearing on what was done: objects have their names by now.
    pub(super) async fn close(self) {
        let _ = tokio::time::timeout(IDLE_LIMIT, self.sftp.close()).await;
        let _ = tokio::time::timeout(IDLE_LIMIT, self.child.wait()).await;
    }
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{0}")]
    Ssh(SshTrouble),
    #[error("{}", words(.0))]
    Sftp(Error),
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("{0}")]
    Said(String),
    #[error("on this machine: {0}")]
    Local(std::io::Error),
}

/// What SFTP's few codes mean, and the server's own word where it says more.
fn words(error: &Error) -> String {
    match error {
        Error::SftpError(SftpErrorKind::PermDenied, _) => "the account may not do that".to_owned(),
        Error::SftpError(SftpErrorKind::NoSuchFile, _) => "there is no such file or folder".to_owned(),
        Error::SftpError(SftpErrorKind::Failure, said) => format!("the server says only: {said}"),
        Error::AwaitableError(_) | Error::BackgroundTaskFailure(_) | Error::IOError(_) => {
            "the connection was cut off".to_owned()
        }
        other => other.to_string(),
    }
}

pub(super) async fn limited<T>(asking: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
    limited_io(asking).await?.map_err(Trouble::Sftp)
}

pub(super) async fn limited_io<T>(asking: impl Future<Output = T>) -> Result<T, Trouble> {
    tokio::time::timeout(IDLE_LIMIT, asking).await.map_err(|_| Trouble::Silent(IDLE_LIMIT))
}

/// The library hides its own errors in those of input and output.
pub(super) fn from_io(error: std::io::Error) -> Trouble {
    match error.downcast::<Error>() {
        Ok(error) => Trouble::Sftp(error),
        Err(error) => Trouble::Sftp(Error::IOError(error)),
    }
}
