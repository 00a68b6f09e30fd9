//! Who may open a backup (age recipients), and who tries to (age identities). The keys are X25519, as `age-keygen` makes them.

use std::io::{self, BufRead as _, Read, Write};

/// For whom a backup is encrypted; with none it is not.
#[derive(Clone, Default)]
pub struct Recipients(Vec<age::x25519::Recipient>);

/// Why a text names no recipient.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// Not a public key of age's.
    #[error("{word} is no recipient: {1}", word = crate::text::quoted(.0))]
    Recipient(String, &'static str),
    /// A secret key where a public one belongs. It is not repeated.
    #[error("that is an identity, which is secret; its recipient begins with `age1` (`age-keygen -y FILE` prints it)")]
    Identity,
}

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} recipients", self.0.len())
    }
}

impl Recipients {
    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one, as `age1…`.
    pub fn add(&mut self, word: &str) -> Result<(), RecipientError> {
        if word.to_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err(RecipientError::Identity);
        }
        let recipient = word.parse().map_err(|why| RecipientError::Recipient(word.to_owned(), why))?;
        self.0.push(recipient);
        Ok(())
    }

    /// Adds those of a recipients file: one a line; empty lines and `#` are left out.
    pub fn add_lines(&mut self, text: &str) -> Result<(), RecipientError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.into_iter().try_for_each(|line| self.add(line))
    }

    /// What is written to the result comes out encrypted at `to`; it has to be finished.
    pub(super) fn encrypt<W: Write>(&self, to: W) -> io::Result<age::stream::StreamWriter<W>> {
        let recipients = self.0.iter().map(|recipient| recipient as &dyn age::Recipient);
        age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?.wrap_output(to)
    }
}

/// The secret keys that may open a backup.
#[derive(Default)]
pub struct Identities(Vec<Box<dyn age::Identity + Send + Sync>>);

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} identities", self.0.len())
    }
}

/// Why a backup was not opened.
#[derive(Debug)]
pub(super) enum Locked {
    /// None of the keys fits; or there is none.
    NoKey,
    /// It is damaged.
    Damaged(io::Error),
}

impl Identities {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds those of an identity file, as `age-keygen` writes it.
    pub fn add_file(&mut self, text: &[u8]) -> Result<(), String> {
        // An encrypted identity would ask for a passphrase, and nobody sits before a timer.
        let armed = text.lines().next().is_some_and(|line| line.is_ok_and(|line| line.contains("age-encryption.org")));
        if armed || text.starts_with(b"-----BEGIN AGE") {
            return Err("it is encrypted; decrypt it first".to_owned());
        }
        let file = age::IdentityFile::from_buffer(text).map_err(|error| error.to_string())?;
        let identities = file.into_identities().map_err(|error| error.to_string())?;
        if identities.is_empty() {
            return Err("it holds no identity".to_owned());
        }
        self.0.extend(identities);
        Ok(())
    }

    /// What is read from the result is what was encrypted at `from`.
    pub(super) fn decrypt<R: Read>(&self, from: R) -> Result<age::stream::StreamReader<R>, Locked> {
        let opened = age::Decryptor::new(from).and_then(|decryptor| {
            decryptor.decrypt(self.0.iter().map(|identity| identity.as_ref() as &dyn age::Identity))
        });
        opened.map_err(|error| match error {
            age::DecryptError::NoMatchingKeys | age::DecryptError::ExcessiveWork { .. } => Locked::NoKey,
            age::DecryptError::Io(cause) => Locked::Damaged(cause),
            other => Locked::Damaged(io::Error::new(io::ErrorKind::InvalidData, other.to_string())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

    #[test]
    fn recipients_come_one_a_line() {
        let mut recipients = Recipients::default();
        recipients.add_lines(&format!("# ops\n\n  {RECIPIENT}  \n")).expect("one");
        assert_eq!(recipients.count(), 1);
        let wrong = recipients.add_lines("age1x\n").expect_err("none");
        assert!(matches!(&wrong, RecipientError::Recipient(word, _) if word == "age1x"), "{wrong}");
    }

    #[test]
    fn an_identity_among_recipients_is_not_repeated() {
        let secret = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
        let wrong = Recipients::default().add(secret).expect_err("a secret");
        assert_eq!(wrong, RecipientError::Identity);
        assert!(!format!("{wrong}{wrong:?}").contains("GQ9778"));
    }
}
