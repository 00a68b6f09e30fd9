//! Names that reach a command line on another machine. They are refused here, once, when an option parser or a shell
//! could read them as anything but a name.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

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
    #[error("{letter} is not allowed in {1}", letter = crate::text::quoted(&.0.to_string()))]
    Character(char, &'static str),
    /// Longer than DNS or Unix permit.
    #[error("it is {0} characters long; {1} is the most")]
    Long(usize, usize),
    /// Does not begin and end with a letter or digit.
    #[error("it has to begin and end with a lower-case letter or a digit")]
    Ends,
    /// Digits and dots that make no IPv4 address: a slip, not a host name.
    #[error("it looks like an IPv4 address and is none")]
    Ipv4,
    /// Colons that make no IPv6 address: most likely a port.
    #[error("only an IPv6 address holds `:`; the port of SSH is given in `[ssh]`")]
    Ipv6,
    /// A host name with an empty part, or one that begins or ends with `-`.
    #[error("each part of a host name has to begin and end with a letter or a digit")]
    Labels,
    /// Not a TCP port.
    #[error("it has to end with a port from 1 to 65535, as `host:6443` or `[::1]:6443`")]
    Port,
    /// A word that would be taken for something else.
    #[error("{0}")]
    Reserved(&'static str),
    /// A path from nowhere.
    #[error("it has to begin with `/`")]
    Relative,
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
    let labels_fit = word.split('.').all(|label| fits(label.chars().next()) && fits(label.chars().last()));
    if labels_fit { Ok(()) } else { Err(NameError::Ends) }
}

fn check_address(word: &str) -> Result<(), NameError> {
    start(word, 253)?;
    only(word, "an address (letters, digits, `-`, `.`, `:`)", |c| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':')
    })?;
    if word.contains(':') {
        return word.parse::<Ipv6Addr>().map(drop).map_err(|_| NameError::Ipv6);
    }
    if word.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return word.parse::<Ipv4Addr>().map(drop).map_err(|_| NameError::Ipv4);
    }
    let fits = |label: &str| !(label.is_empty() || label.starts_with('-') || label.ends_with('-'));
    if word.split('.').all(fits) { Ok(()) } else { Err(NameError::Labels) }
}

fn check_user(word: &str) -> Result<(), NameError> {
    start(word, 32)?;
    only(word, "a user name (letters, digits, `_`, `-`, `.`)", |c| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
    })
}

pub(super) fn start(word: &str, most: usize) -> Result<(), NameError> {
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

pub(super) fn only(word: &str, what: &'static str, allowed: impl Fn(char) -> bool) -> Result<(), NameError> {
    match word.chars().find(|&c| !allowed(c)) {
        Some(c) => Err(NameError::Character(c, what)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn node_names() {
        let long = "a".repeat(254);
        let table = [
            ("cp1", None),
            ("worker-3.zone-a", None),
            ("", Some(NameError::Empty)),
            ("-oProxyCommand=x", Some(NameError::Option)),
            (long.as_str(), Some(NameError::Long(254, 253))),
            ("cp1-", Some(NameError::Ends)),
            ("a..b", Some(NameError::Ends)),
        ];
        for (word, error) in table {
            assert_eq!(NodeName::new(word).err(), error, "{word}");
        }
        assert!(matches!(NodeName::new("CP1"), Err(NameError::Character('C', _))));
        assert!(matches!(NodeName::new("a\nb"), Err(NameError::Character('\n', _))));
    }

    #[test]
    fn addresses() {
        let table = [
            ("10.0.0.1", None),
            ("fd00::21", None),
            ("cp1.example.org", None),
            ("10.0.0.256", Some(NameError::Ipv4)),
            ("10.0.0", Some(NameError::Ipv4)),
            ("cp1:22", Some(NameError::Ipv6)),
            ("a..b", Some(NameError::Labels)),
            ("a.-b", Some(NameError::Labels)),
            ("-v", Some(NameError::Option)),
        ];
        for (word, error) in table {
            assert_eq!(Address::new(word).err(), error, "{word}");
        }
        assert!(matches!(Address::new("a;reboot"), Err(NameError::Character(';', _))));
    }

    /// Words that look like names, with what could turn them into something else.
    const HOSTILE: &str = "[a-z0-9.:_-]{0,4}[-a-z$;`'\"\\\\ \n\t|&<>(){}*?~#!%@=/]{0,3}[a-z0-9]{0,3}";

    fn only_a_name(word: &str) -> bool {
        let dangerous = |c: char| c.is_whitespace() || c.is_control() || "'\"$;`\\|&<>(){}*?~#!".contains(c);
        !word.is_empty() && !word.starts_with('-') && !word.contains(dangerous)
    }

    proptest! {
        #[test]
        fn what_is_taken_is_only_a_name(word in prop_oneof![HOSTILE, "\\PC*", ".*"]) {
            for taken in [
                NodeName::new(&word).map(String::from),
                Address::new(&word).map(String::from),
                UserName::new(&word).map(String::from),
            ].into_iter().flatten() {
                prop_assert!(only_a_name(&taken), "{taken:?}");
            }
        }
    }
}
