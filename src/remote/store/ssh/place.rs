//! Where a folder of another machine is: `ssh://[user@]host[:port]/path`. Pure.

use std::fmt;

/// A folder of another machine. None of its words can be taken for an option of ssh's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    /// Absolute, or below the account's own folder; without a slash at its end.
    folder: String,
}

impl Place {
    /// Reads what follows `ssh://`. A path that begins with `/~/` is below the account's own folder.
    pub(super) fn parse(rest: &str) -> Option<Self> {
        let (machine, path) = rest.split_at(rest.find('/')?);
        let (user, machine) = match machine.rsplit_once('@') {
            Some((user, machine)) => (Some(user), machine),
            None => (None, machine),
        };
        let (host, port) = host_and_port(machine)?;
        let port = port.map(str::parse).transpose().ok()?;
        let word = |word: &str, more: &str| {
            let fit = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
            !word.is_empty() && !word.starts_with('-') && word.chars().all(fit)
        };
        let folder = path.strip_prefix("/~/").unwrap_or(path).trim_end_matches('/');
        let good = user.is_none_or(|user| word(user, "._-"))
            && word(host, "._-:%")
            && port != Some(0)
            && !folder.is_empty()
            && !folder.chars().any(char::is_control)
            && !folder.split('/').any(|part| part == "..");
        good.then(|| Self { user: user.map(str::to_owned), host: host.to_owned(), port, folder: folder.to_owned() })
    }

    /// The account, when it is not the user's own or ssh's configuration's.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The machine.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The port, when it is not ssh's configuration's.
    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    /// The folder, as SFTP is asked for it.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// The file `name` in it.
    pub(super) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }
}

/// `host`, `host:22`, `[::1]`, `[::1]:22`.
fn host_and_port(machine: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = machine.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port {
            "" => Some((host, None)),
            port => port.strip_prefix(':').map(|port| (host, Some(port))),
        };
    }
    match machine.split_once(':') {
        None => Some((machine, None)),
        // An address of IPv6 goes in brackets.
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if !self.folder.starts_with('/') {
            f.write_str("/~/")?;
        }
        f.write_str(&self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_as_people_write_them() {
        let cases = [
            ("backup@store.example.org:2222/srv/etcd", "ssh://backup@store.example.org:2222/srv/etcd", "/srv/etcd"),
            ("store/srv/etcd/", "ssh://store/srv/etcd", "/srv/etcd"),
            ("store/~/etcd", "ssh://store/~/etcd", "etcd"),
            ("[fd00::1]:22/x", "ssh://[fd00::1]:22/x", "/x"),
        ];
        for (text, shown, folder) in cases {
            let place = Place::parse(text).expect(text);
            assert_eq!((place.to_string().as_str(), place.folder()), (shown, folder), "{text}");
            assert_eq!(Place::parse(shown.trim_start_matches("ssh://")), Some(place), "{text}");
        }
        assert_eq!(Place::parse("store/~/etcd").expect("a place").file("a.db"), "etcd/a.db");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "store",
            "store/",
            "/srv",
            "-oProxyCommand=x/srv",
            "a b/srv",
            "-u@store/srv",
            "store:0/srv",
            "store:x/srv",
            "store:99999/srv",
            "fd00::1/srv",
            "store/srv/../etc",
            "u@/srv",
            "@store/srv",
            "store/a\nb",
        ] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
