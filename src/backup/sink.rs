//! Where the bytes of an object go on their way to the disk: compressed, encrypted, or as they are; into a file with a
//! temporary name, which holds nothing in the clear that was to be encrypted.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use age::stream::StreamWriter;
use camino::Utf8Path;
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempDir};

use super::seal::Recipients;
use crate::remote::store::TEMPORARY;
use crate::text::hex;

/// Half the time of zstd's own default, 3, on a core that SSH wants too; what Kubernetes writes becomes a twentieth larger by
/// it. Its window at this level is 1 MiB at most, so that memory stays small.
const LEVEL: i32 = 2;

/// How an object is stored.
#[derive(Clone, Debug)]
pub struct How {
    /// With zstd.
    pub compress: bool,
    /// With age, for these; with none it is not encrypted.
    pub recipients: Recipients,
}

/// A staged object: whole and on disk under a temporary name, which goes with this value.
#[derive(Debug)]
pub struct Staged {
    /// The file.
    pub file: NamedTempFile,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, hex.
    pub sha256: String,
}

/// A file whose bytes are counted and hashed as they are written.
pub(super) struct Counted {
    file: NamedTempFile,
    hash: Sha256,
    bytes: u64,
}

/// A file whose bytes somebody else hashes: those of a snapshot that is stored as it is.
pub(super) struct AsItIs {
    file: NamedTempFile,
    bytes: u64,
}

impl Write for AsItIs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The way of one object's bytes.
pub(super) enum Sink {
    Plain(AsItIs),
    Compressed(zstd::Encoder<'static, Counted>),
    Encrypted(StreamWriter<Counted>),
    Both(zstd::Encoder<'static, StreamWriter<Counted>>),
}

impl Sink {
    /// A way into a new file in `folder`.
    pub(super) fn new(folder: &Utf8Path, how: &How) -> io::Result<Self> {
        let file = temporary(folder)?;
        if !how.compress && how.recipients.is_empty() {
            return Ok(Self::Plain(AsItIs { file, bytes: 0 }));
        }
        let counted = Counted { file, hash: Sha256::new(), bytes: 0 };
        Ok(match (how.compress, how.recipients.is_empty()) {
            (_, true) => Self::Compressed(encoder(counted)?),
            (false, false) => Self::Encrypted(how.recipients.encrypt(counted)?),
            (true, false) => Self::Both(encoder(how.recipients.encrypt(counted)?)?),
        })
    }

    /// The file, where what is written to it is stored as it is.
    pub(super) fn plain(&self) -> Option<&NamedTempFile> {
        match self {
            Self::Plain(to) => Some(&to.file),
            _ => None,
        }
    }

    /// Brings the last bytes to the disk and reads them all back. `written` is the SHA-256 of all that was written, in hex.
    pub(super) fn finish(self, written: &str) -> io::Result<Staged> {
        let Counted { file, hash, bytes } = match self {
            Self::Plain(AsItIs { file, bytes }) => return back(Staged { file, bytes, sha256: written.to_owned() }),
            Self::Compressed(encoder) => encoder.finish()?,
            Self::Encrypted(stream) => stream.finish()?,
            Self::Both(encoder) => encoder.finish()?.finish()?,
        };
        back(Staged { file, bytes, sha256: hex(&hash.finalize()) })
    }
}

/// A staged object once it is on disk and was read back; one waits for the other on another core.
fn back(staged: Staged) -> io::Result<Staged> {
    let (synced, read) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| sha256_of(&mut File::open(staged.file.path())?));
        (staged.file.as_file().sync_all(), reading.join())
    });
    synced?;
    let (sha256, bytes) = read.map_err(|_| io::Error::other("whoever read it back died"))??;
    if (&sha256, bytes) == (&staged.sha256, staged.bytes) {
        Ok(staged)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "the disk gives back other bytes than were written"))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(to) => to.write(bytes),
            Self::Compressed(to) => to.write(bytes),
            Self::Encrypted(to) => to.write(bytes),
            Self::Both(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(to) => to.flush(),
            Self::Compressed(to) => to.flush(),
            Self::Encrypted(to) => to.flush(),
            Self::Both(to) => to.flush(),
        }
    }
}

fn encoder<W: Write>(to: W) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(to, LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

/// A new file in `folder` that its owner alone can read and no destination lists.
pub(crate) fn temporary(folder: &Utf8Path) -> io::Result<NamedTempFile> {
    let closed = std::fs::Permissions::from_mode(0o600);
    tempfile::Builder::new().prefix(TEMPORARY).permissions(closed).tempfile_in(folder)
}

/// A folder for what is fetched, which is gone with its owner; else [`sweep`] takes it away one day.
pub fn temporary_folder(folder: &Utf8Path) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(folder)
}

/// How old a temporary file is that nobody works on any more: no backup takes a day.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Takes away what a process that was killed left in `folder`. What cannot be looked at or removed stays.
pub fn sweep(folder: &Utf8Path) {
    let Ok(listed) = std::fs::read_dir(folder) else { return };
    for entry in listed.flatten() {
        let old = || entry.metadata().and_then(|data| data.modified()).ok()?.elapsed().ok();
        let ours = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
        if ours && old().is_some_and(|age| age > ABANDONED) {
            let _ = if entry.path().is_dir() {
                std::fs::remove_dir_all(entry.path())
            } else {
                std::fs::remove_file(entry.path())
            };
        }
    }
}

/// SHA-256 in hex, and length, of what is left to be read.
pub(super) fn sha256_of(from: &mut impl Read) -> io::Result<(String, u64)> {
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 18]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok((hex(&hash.finalize()), bytes)),
            count => {
                hash.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back_and_is_what_was_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = Utf8Path::from_path(folder.path()).expect("a path");
        let text = b"what is kept ".repeat(10_000);
        let identity = age::x25519::Identity::generate();
        let mut recipients = Recipients::default();
        recipients.add(&identity.to_public().to_string()).expect("a recipient");
        for (compress, recipients) in [(true, Recipients::default()), (false, recipients.clone()), (true, recipients)] {
            let encrypted = !recipients.is_empty();
            let mut sink = Sink::new(folder, &How { compress, recipients }).expect("a sink");
            sink.write_all(&text).expect("written");
            let staged = sink.finish("").expect("finished");
            let stored = std::fs::read(staged.file.path()).expect("it is there");
            assert_eq!((stored.len() as u64, hex(&Sha256::digest(&stored))), (staged.bytes, staged.sha256.clone()));
            assert!(!encrypted || !stored.windows(13).any(|window| window == b"what is kept "));
            let opened = if encrypted { age::decrypt(&identity, &stored).expect("it opens") } else { stored };
            let opened = if compress { zstd::decode_all(&opened[..]).expect("zstd's") } else { opened };
            assert_eq!(opened, text, "{compress} {encrypted}");
        }
        assert_eq!(std::fs::read_dir(folder).expect("listed").count(), 0, "nothing stays that was not put somewhere");
    }

    #[test]
    fn what_is_abandoned_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = Utf8Path::from_path(folder.path()).expect("a path");
        let old = std::time::SystemTime::now() - ABANDONED * 2;
        for (name, time) in [(".windlass-old", Some(old)), (".windlass-new", None), ("lab.db", Some(old))] {
            let file = File::create(folder.join(name)).expect("made");
            if let Some(time) = time {
                file.set_modified(time).expect("set");
            }
        }
        sweep(folder);
        assert!(!folder.join(".windlass-old").exists());
        assert!(folder.join(".windlass-new").exists() && folder.join("lab.db").exists());
    }
}
