//! A stored snapshot, opened: decrypted and decompressed into a file without a name.

use std::fs::File;
use std::io::{self, BufReader, Read};

use camino::Utf8Path;

use super::Part;
use super::seal::{Identities, Locked};

/// Why it was not opened.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// No key fits.
    NoKey,
    /// It ends too early.
    CutOff(String),
    /// Its bytes are not those that were written.
    Damaged(String),
    /// A file of this machine could not be read or written.
    Local(io::Error),
}

/// Opens the stored snapshot `stored`. What is stored as it is, is opened in its place; else into `folder`.
pub(super) fn database(
    stored: &Utf8Path,
    part: Part,
    identities: &Identities,
    folder: &Utf8Path,
) -> Result<File, NotOpened> {
    let file = File::open(stored).map_err(NotOpened::Local)?;
    if part == (Part::Database { compressed: false, encrypted: false }) {
        return Ok(file);
    }
    let mut plain = tempfile::tempfile_in(folder).map_err(NotOpened::Local)?;
    let mut from = reader(file, part, identities)?;
    copy(&mut from, &mut plain)?;
    Ok(plain)
}

/// Reads all of an object and keeps nothing of it; how long it was.
pub(super) fn length(stored: &Utf8Path, part: Part, identities: &Identities) -> Result<u64, NotOpened> {
    let file = File::open(stored).map_err(NotOpened::Local)?;
    copy(&mut reader(file, part, identities)?, &mut io::sink())
}

fn reader<'a>(file: File, part: Part, identities: &Identities) -> Result<Box<dyn Read + 'a>, NotOpened> {
    let (compressed, encrypted) = match part {
        Part::Database { compressed, encrypted } => (compressed, encrypted),
        Part::Pki => (true, true),
        Part::Manifest => (false, false),
    };
    let file = BufReader::with_capacity(1 << 17, file);
    let opened: Box<dyn Read> = if encrypted {
        Box::new(identities.decrypt(file).map_err(|locked| match locked {
            Locked::NoKey => NotOpened::NoKey,
            Locked::Damaged(cause) => damaged(&cause),
        })?)
    } else {
        Box::new(file)
    };
    if !compressed {
        return Ok(opened);
    }
    let decoder = zstd::Decoder::new(opened).map_err(NotOpened::Local)?;
    Ok(Box::new(decoder))
}

/// Errors of reading are the object's, those of writing this machine's.
fn copy(from: &mut impl Read, to: &mut impl io::Write) -> Result<u64, NotOpened> {
    let (mut buffer, mut bytes) = (vec![0; 1 << 17], 0);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => {
                to.write_all(&buffer[..count]).map_err(NotOpened::Local)?;
                bytes += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(damaged(&error)),
        }
    }
}

fn damaged(cause: &io::Error) -> NotOpened {
    let words = cause.to_string();
    if cause.kind() == io::ErrorKind::UnexpectedEof || words.contains("incomplete frame") {
        NotOpened::CutOff(words)
    } else {
        NotOpened::Damaged(words)
    }
}
