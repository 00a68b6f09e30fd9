//! Names that reach a command line on another machine. They are refused here, once, when an option parser or a shell
//! could read them as anything but a name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a word is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// `ssh -o…`.
    #[error("it starts with `-`, which a command would read as an option")]
    Option,
    /// Something outside the allowed letters.
    #[error("`{0}` is not allowed in {1}")]
    Character(char, &'static str),
    /// Longer than DNS or Unix permit.
    #[error("it is {0} characters long; {1} is the most")]
    Long(usize, usize),
    /// Does not begin and end with a letter or digit.
    #[error("it has to begin and end with a lower-case letter or a digit")]
    Ends,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes `word` when it can be nothing but a name.
            pub fn new(word: impl Into<String>) -> Result<Self, NameError> {
                let word = word.into();
                $check(&word)?;
                Ok(Self(word))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(word: String) -> Result<Self, NameError> {
                Self::new(word)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name!(
    /// A machine's name: a DNS subdomain as Kubernetes wants node names (RFC 1123, lower case, 253 characters).
    NodeName,
    check_node_name
);
name!(
    /// A host name, an IPv4 or an IPv6 address (without brackets).
    Address,
    check_address
);
name!(
    /// A Unix login name, 32 characters at most.
    UserName,
    check_user
);

fn check_node_name(word: &str) -> Result<(), NameError> {
    start(word, 253)?;
    only(word, "a node name (lower-case letters, digits, `-`, `.`)", |c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.'
    })?;
    let fits = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let labels_fit = word
        .split('.')
        .all(|label| fits(label.chars().next()) && fits(label.chars().last()));
    if labels_fit { Ok(()) } else { Err(NameError::Ends) }
}

fn check_address(word: &str) -> Result<(), NameError> {
    start(word, 253)?;
    only(word, "an address (letters, digits, `-`, `.`, `:`)", |c| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':')
    })
}

fn check_user(word: &str) -> Result<(), NameError> {
    start(word, 32)?;
    only(word, "a user name (letters, digits, `_`, `-`, `.`)", |c| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
    })
}

fn start(word: &str, most: usize) -> Result<(), NameError> {
    if word.is_empty() {
        Err(NameError::Empty)
    } else if word.starts_with('-') {
        Err(NameError::Option)
    } else if word.len() > most {
        Err(NameError::Long(word.len(), most))
    } else {
        Ok(())
    }
}

fn only(word: &str, what: &'static str, allowed: impl Fn(char) -> bool) -> Result<(), NameError> {
    match word.chars().find(|&c| !allowed(c)) {
        Some(c) => Err(NameError::Character(c, what)),
        None => Ok(()),
    }
}
