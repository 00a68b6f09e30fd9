//! A folder of another machine as a destination, over SFTP: the system's own `ssh`, its configuration, and strict host keys. The
//! other machine needs no shell, so that an account that may do nothing else is enough.
//!
//! What was sent is read back before it gets its name: a server that cannot write has lied before.

mod line;
mod place;
mod transfer;

use camino::{Utf8Path, Utf8PathBuf};
use openssh_sftp_client::Error;
use openssh_sftp_client::error::SftpErrorKind;

use self::line::{Line, Trouble, limited, limited_io};
use self::place::Place;
use self::transfer::{full, publish, read, send, temporary, tidy};
use super::fresh::Fresh;
use super::{Entry, SMALL, StoreError, TEMPORARY};

/// A folder of another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    place: Place,
    config: Option<Utf8PathBuf>,
}

impl Ssh {
    /// Reads what follows `ssh://`. Touches nothing.
    pub(super) fn parse(rest: &str) -> Option<Self> {
        Place::parse(rest).map(|place| Self { place, config: None })
    }

    /// The same, with this file in place of the user's own configuration of ssh.
    pub(super) fn with_config(self, config: Utf8PathBuf) -> Self {
        Self { config: Some(config), ..self }
    }

    pub(super) async fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let what = || format!("list {self}");
        self.with_line(what, async |line| {
            let folder = self.place.folder();
            let opened = match limited(line.sftp.fs().open_dir(folder)).await {
                Err(Trouble::Sftp(Error::SftpError(SftpErrorKind::NoSuchFile, _))) => return Ok(Vec::new()),
                opened => opened?,
            };
            let (mut entries, mut reading) = (Vec::new(), Box::pin(opened.read_dir()));
            while let Some(entry) = limited_io(futures_util::StreamExt::next(&mut reading)).await? {
                let entry = entry.map_err(Trouble::Sftp)?;
                let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
                let Some(name) = entry.filename().to_str().filter(|name| is_file && !name.starts_with(TEMPORARY))
                else {
                    continue;
                };
                entries.push(Entry { name: name.to_owned(), bytes: entry.metadata().len().unwrap_or_default() });
            }
            entries.sort();
            Ok(entries)
        })
        .await
    }

    pub(super) async fn put(&self, name: &str, from: &Utf8Path) -> Result<(), StoreError> {
        let what = || format!("put {name} into {self}");
        let (at, part) = (self.place.file(name), self.place.file(&temporary()));
        let there = self
            .with_line(what, async |line| {
                tidy(line, self.place.folder()).await?;
                let sent = send(line, from, &part).await;
                let published = match sent {
                    Ok(()) => publish(line, &part, &at).await,
                    Err(trouble) => Err(full(line, &self.place, trouble).await),
                };
                if !matches!(published, Ok(true)) {
                    // Whatever went wrong before is what is told.
                    let _ = limited(line.sftp.fs().remove_file(&part)).await;
                }
                published
            })
            .await?;
        if there { Ok(()) } else { Err(StoreError::Exists { at: self.to_string(), name: name.to_owned() }) }
    }

    pub(super) async fn get(&self, name: &str, into: &Utf8Path) -> Result<(), StoreError> {
        let what = || format!("fetch {name} from {self}");
        self.with_line(what, async |line| {
            let mut fresh = Fresh::new(into).map_err(Trouble::Local)?;
            read(line, &self.place.file(name), |bytes| fresh.write(bytes).map_err(Trouble::Local)).await?;
            let finished = tokio::task::spawn_blocking(|| fresh.finish()).await.map_err(std::io::Error::other);
            finished.flatten().map_err(Trouble::Local)
        })
        .await
    }

    pub(super) async fn read(&self, names: &[String]) -> Result<Vec<String>, StoreError> {
        let what = || format!("read {} in {self}", crate::text::count(names.len(), "manifest"));
        self.with_line(what, async |line| {
            let mut texts = Vec::with_capacity(names.len());
            for name in names {
                let mut bytes = Vec::new();
                read(line, &self.place.file(name), |more| {
                    bytes.extend_from_slice(more);
                    let small = bytes.len() as u64 <= SMALL;
                    if small { Ok(()) } else { Err(Trouble::Said(format!("{name} is too large"))) }
                })
                .await?;
                texts.push(String::from_utf8(bytes).map_err(|_| Trouble::Said(format!("{name} is no text")))?);
            }
            Ok(texts)
        })
        .await
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), StoreError> {
        let what = || format!("remove {name} from {self}");
        self.with_line(what, async |line| limited(line.sftp.fs().remove_file(&self.place.file(name))).await).await
    }

    /// Asks something over a connection of its own.
    async fn with_line<T>(
        &self,
        what: impl Fn() -> String,
        ask: impl AsyncFnOnce(&Line) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        let asked = async {
            let line = Line::open(&self.place, self.config.as_ref()).await?;
            let answer = ask(&line).await;
            line.close().await;
            answer
        };
        asked.await.map_err(|cause: Trouble| StoreError::Failed { what: what(), cause: Box::new(cause) })
    }
}

impl std::fmt::Display for Ssh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.place.fmt(f)
    }
}
