//! What is done over a connection: a file sent and read back, and given its name.

use std::io::Read as _;
use std::num::NonZeroUsize;

use camino::Utf8Path;
use openssh_sftp_client::Error;
use openssh_sftp_client::error::SftpErrorKind;
use openssh_sftp_client::file::TokioCompatFile;
use openssh_sftp_client::metadata::Permissions;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::line::{Line, Trouble, from_io, limited, limited_io};
use super::place::Place;
use crate::remote::store::{LEFT_BEHIND, TEMPORARY};

/// What is read or written at a time: as much as OpenSSH's server takes in one message.
const CHUNK: NonZeroUsize = NonZeroUsize::new(255 << 10).expect("it is not zero");

/// A name that nobody else takes.
pub(super) fn temporary() -> String {
    format!("{TEMPORARY}{}-{}", std::process::id(), jiff::Timestamp::now().as_nanosecond())
}

/// Takes away what runs that were killed left there. A folder that is not there yet has nothing.
pub(super) async fn tidy(line: &Line, folder: &str) -> Result<(), Trouble> {
    let opened = match limited(line.sftp.fs().open_dir(folder)).await {
        Err(Trouble::Sftp(Error::SftpError(..))) => return Ok(()),
        opened => opened?,
    };
    let mut reading = Box::pin(opened.read_dir());
    while let Some(entry) = limited_io(futures_util::StreamExt::next(&mut reading)).await? {
        let entry = entry.map_err(Trouble::Sftp)?;
        let Some(name) = entry.filename().to_str().filter(|name| name.starts_with(TEMPORARY)) else { continue };
        let modified = entry.metadata().modified().map(openssh_sftp_client::UnixTimeStamp::as_system_time);
        if modified.is_some_and(|time| time.elapsed().unwrap_or_default() > LEFT_BEHIND) {
            limited(line.sftp.fs().remove_file(format!("{folder}/{name}"))).await?;
        }
    }
    Ok(())
}

/// Sends the file `from` to `part`, 0600, and reads it back.
pub(super) async fn send(line: &Line, from: &Utf8Path, part: &str) -> Result<(), Trouble> {
    let mut local = std::fs::File::open(from).map_err(Trouble::Local)?;
    let file = create(line, part).await?;
    let (mut remote, mut sent) = (Box::pin(TokioCompatFile::new(file)), Sha256::new());
    let mut buffer = vec![0; CHUNK.get()];
    loop {
        // A quarter of a MiB from a disk that has it in memory does not stall the runtime.
        let count = local.read(&mut buffer).map_err(Trouble::Local)?;
        if count == 0 {
            break;
        }
        sent.update(&buffer[..count]);
        limited_io(remote.write_all(&buffer[..count])).await?.map_err(from_io)?;
    }
    limited_io(remote.flush()).await?.map_err(from_io)?;
    if line.sftp.support_fsync() {
        limited(remote.as_mut().as_mut_file().sync_all()).await?;
    }
    limited_io(remote.shutdown()).await?.map_err(from_io)?;
    drop(remote);
    let mut back = Sha256::new();
    read(line, part, |bytes| {
        back.update(bytes);
        Ok(())
    })
    .await?;
    if back.finalize() == sent.finalize() {
        Ok(())
    } else {
        Err(Trouble::Said("what came back is not what was sent".to_owned()))
    }
}

/// A new file, 0600 before anything is in it; and its folder, where that is not there yet.
async fn create(line: &Line, part: &str) -> Result<openssh_sftp_client::file::File, Trouble> {
    let open = async || {
        let mut options = line.sftp.options();
        limited(options.write(true).create_new(true).open(part)).await
    };
    let mut file = match open().await {
        Err(Trouble::Sftp(Error::SftpError(SftpErrorKind::NoSuchFile, _))) => {
            make_folders(line, Utf8Path::new(part)).await?;
            open().await?
        }
        opened => opened?,
    };
    limited(file.set_permissions(Permissions::from(0o600))).await?;
    Ok(file)
}

/// The folders above `file`, 0700. One that is there answers with an error, like one that cannot be made; what comes of
/// it shows when the file is opened.
async fn make_folders(line: &Line, file: &Utf8Path) -> Result<(), Trouble> {
    let mut above: Vec<&Utf8Path> = file.ancestors().skip(1).filter(|folder| !folder.as_str().is_empty()).collect();
    above.reverse();
    for folder in above {
        let mut fs = line.sftp.fs();
        match limited(fs.dir_builder().permissions(Permissions::from(0o700)).create(folder.as_str())).await {
            Ok(()) | Err(Trouble::Sftp(Error::SftpError(..))) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(())
}

/// Reads the file `at` to its end.
pub(super) async fn read(
    line: &Line,
    at: &str,
    mut take: impl FnMut(&[u8]) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let file = limited(line.sftp.open(at)).await?;
    let mut remote = Box::pin(TokioCompatFile::with_capacity(file, CHUNK));
    let mut buffer = vec![0; CHUNK.get()];
    loop {
        let count = limited_io(remote.read(&mut buffer)).await?.map_err(from_io)?;
        if count == 0 {
            return Ok(());
        }
        take(&buffer[..count])?;
    }
}

/// Gives `part` the name `at`; `false` when something has that already. A second name is made and the first taken away, since
/// a rename of OpenSSH's replaces what is there; where the file system has no second names, it is looked first.
pub(super) async fn publish(line: &Line, part: &str, at: &str) -> Result<bool, Trouble> {
    let mut fs = line.sftp.fs();
    let linked = if line.sftp.support_hardlink() { limited(fs.hard_link(part, at)).await } else { Ok(()) };
    match linked {
        Ok(()) if line.sftp.support_hardlink() => {
            limited(fs.remove_file(part)).await?;
            return Ok(true);
        }
        Ok(()) | Err(Trouble::Sftp(Error::SftpError(..))) => {}
        Err(trouble) => return Err(trouble),
    }
    match limited(fs.symlink_metadata(at)).await {
        Ok(_) => Ok(false),
        Err(Trouble::Sftp(Error::SftpError(SftpErrorKind::NoSuchFile, _))) => {
            limited(fs.rename(part, at)).await.map(|()| true)
        }
        Err(trouble) => Err(trouble),
    }
}

/// SFTP has no word for a full disk: it is asked how much room there is.
pub(super) async fn full(line: &Line, place: &Place, trouble: Trouble) -> Trouble {
    if !matches!(trouble, Trouble::Sftp(Error::SftpError(SftpErrorKind::Failure, _))) || !line.sftp.support_statvfs() {
        return trouble;
    }
    match limited(line.sftp.fs().statvfs(place.folder())).await {
        Ok(room) if room.bavail.saturating_mul(room.frsize) < CHUNK.get() as u64 => {
            Trouble::Said(format!("the disk there is full ({})", words_of(&trouble)))
        }
        _ => trouble,
    }
}

fn words_of(trouble: &Trouble) -> String {
    trouble.to_string()
}
