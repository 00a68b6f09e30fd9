//! Checks of words that have no type of their own: packages, units, paths, labels, places to connect to. Each is as strict as
//! the names are, because these words reach command lines and files on other machines too.
//!
//! Knows letters only: whether a package or a path is there is looked up on the machine, by another room.

use super::names::{Address, NameError, UserName, only, start};

/// A name in messages and of folders: `lab`, `kubeadm-minor`.
pub fn check_slug(word: &str) -> Result<(), NameError> {
    // Half of what a file name may hold leaves room for what is put behind it.
    start(word, 128)?;
    only(word, "such a name (lower-case letters, digits, `-`)", |c| lower(c) || c == '-')
}

/// A package, as dpkg and rpm both take it.
pub fn check_package(word: &str) -> Result<(), NameError> {
    start(word, 128)?;
    if !word.starts_with(lower) {
        return Err(NameError::Reserved("it has to begin with a lower-case letter or a digit"));
    }
    only(word, "a package name (lower-case letters, digits, `+`, `-`, `.`)", |c| {
        lower(c) || matches!(c, '+' | '-' | '.')
    })
}

/// Whether etcd is called by the path of its program: it is no package then.
pub fn is_program(word: &str) -> bool {
    word.starts_with('/')
}

/// What carries etcd's server: a package, or the path of a program called `etcd`.
pub fn check_etcd(word: &str) -> Result<(), NameError> {
    if !is_program(word) {
        return check_package(word);
    }
    check_node_path(word)?;
    if word.split('/').skip(1).any(|part| ["", ".", ".."].contains(&part)) {
        return Err(NameError::Reserved("a program's path has no empty part, no `.` and no `..`"));
    }
    if word.ends_with("/etcd") { Ok(()) } else { Err(NameError::Reserved("a program's path has to end with `/etcd`")) }
}

/// An address that nodes download from. It is in the plan, and in a process list on the nodes: a password in it is refused.
pub fn check_url(word: &str) -> Result<(), NameError> {
    start(word, 2048)?;
    if !word.starts_with("https://") && !word.starts_with("http://") {
        return Err(NameError::Reserved("an address begins with https:// or http://"));
    }
    only(word, "an address (letters, digits, `-._~:/?#&=+,;%`; no user or password)", |c| {
        c.is_ascii_alphanumeric() || "-._~:/?#&=+,;%".contains(c)
    })
}

/// A systemd unit; `.service` may be left away.
pub fn check_unit(word: &str) -> Result<(), NameError> {
    start(word, 255)?;
    only(word, "a unit name (letters, digits, `:`, `_`, `-`, `.`, `@`)", |c| {
        c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-' | '.' | '@')
    })
}

/// A path on a node: absolute, without a letter that any shell or unit file could read otherwise.
pub fn check_node_path(word: &str) -> Result<(), NameError> {
    start(word, 4096)?;
    if !word.starts_with('/') {
        return Err(NameError::Relative);
    }
    only(word, "a path on a node (letters, digits, `/`, `.`, `_`, `-`, `+`, `@`, `=`)", |c| {
        c.is_ascii_alphanumeric() || "/._-+@=".contains(c)
    })
}

/// A path on the operator's machine that only Windlass itself opens.
pub(super) fn check_own_path(word: &str) -> Result<(), NameError> {
    start(word, 4096)?;
    only(word, "a path", |c| !c.is_control())
}

/// A path on the operator's machine that is put into an ssh_config, where quotes end it, `%` and `$` are expanded, and
/// `*`, `?` and `[` match other files.
pub(super) fn check_ssh_path(word: &str) -> Result<(), NameError> {
    start(word, 4096)?;
    if word.starts_with('~') && !word.starts_with("~/") {
        return Err(NameError::Reserved("only `~/`, your own home, is known here"));
    }
    only(word, "a path for ssh", |c| !c.is_control() && !"\"'\\%$*?[".contains(c))
}

/// `host:port`, an IPv6 address in brackets.
pub fn check_endpoint(word: &str) -> Result<(), NameError> {
    let (host, port) = split_port(word)?;
    Address::new(host)?;
    if port.is_some() { Ok(()) } else { Err(NameError::Port) }
}

/// `[user@]host[:port]`, an IPv6 address in brackets.
pub fn check_jump(word: &str) -> Result<(), NameError> {
    let host = match word.split_once('@') {
        Some((user, host)) => {
            UserName::new(user)?;
            host
        }
        None => word,
    };
    let (host, _) = split_port(host)?;
    Address::new(host).map(drop)
}

/// A preflight check of kubeadm, by name.
pub fn check_preflight(word: &str) -> Result<(), NameError> {
    start(word, 128)?;
    // kubeadm takes it in any case of letters.
    if word.eq_ignore_ascii_case("all") {
        return Err(NameError::Reserved("it would switch off every check; name those that this cluster fails"));
    }
    only(word, "the name of a check (letters, digits, `-`, `_`, `.`)", |c| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
    })
}

/// A label as Kubernetes has them: `zone`, `example.org/rack`, each with a value of 63 letters at most.
pub fn check_label(key: &str, value: &str) -> Result<(), NameError> {
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            Address::new(prefix)?;
            name
        }
        None => key,
    };
    label_part(name)?;
    if value.is_empty() { Ok(()) } else { label_part(value) }
}

fn label_part(word: &str) -> Result<(), NameError> {
    start(word, 63)?;
    only(word, "a label (letters, digits, `-`, `_`, `.`)", |c| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
    })
}

fn lower(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// The host without its brackets, and the port when one is given.
fn split_port(word: &str) -> Result<(&str, Option<u16>), NameError> {
    let (host, port) = match word.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').ok_or(NameError::Port)?,
        None => word.split_at(word.find(':').unwrap_or(word.len())),
    };
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.strip_prefix(':').filter(|digits| digits.chars().all(|c| c.is_ascii_digit()));
    let port = digits.and_then(|digits| digits.parse().ok()).filter(|port| *port != 0);
    port.map(|port| (host, Some(port))).ok_or(NameError::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(check: impl Fn(&str) -> Result<(), NameError>, words: &[&str]) {
        for word in words {
            assert!(check(word).is_err(), "{word:?} was taken");
        }
    }

    fn taken(check: impl Fn(&str) -> Result<(), NameError>, words: &[&str]) {
        for word in words {
            assert_eq!(check(word), Ok(()), "{word:?}");
        }
    }

    #[test]
    fn endpoints_and_jumps() {
        taken(check_endpoint, &["10.0.0.1:6443", "api.example.org:443", "[fd00::1]:6443"]);
        refused(
            check_endpoint,
            &["", "10.0.0.1", "a:0", "a:65536", "a:+1", "a:", "[::1", "[::1]x", "::1:6443", "https://a:1"],
        );
        taken(check_jump, &["bastion", "ops@bastion", "ops@bastion:22", "ops@[fd00::1]:22"]);
        refused(check_jump, &["", "@bastion", "ops@", "-oX", "ops@-oX", "a,b", "a b", "ops@bastion:ssh", "fd00::1"]);
    }

    #[test]
    fn packages_units_and_paths() {
        taken(check_package, &["etcd", "etcd-server", "libstdc++6"]);
        refused(check_package, &["", "Etcd", "-y", "+x", "a=1", "a b", "a/b"]);
        taken(check_etcd, &["etcd-server", "/usr/local/bin/etcd"]);
        refused(
            check_etcd,
            &["", "Etcd", "/", "/usr/local/bin/etcdctl", "bin/etcd", "/opt/a b/etcd", "/opt/../etcd", "//etcd"],
        );
        taken(check_url, &["https://example.org/v3.5.16/etcd.tar.gz", "http://repo:8080/etcd.tar.gz?a=b"]);
        refused(
            check_url,
            &["", "-o", "ftp://a/b", "https://a b", "https://me:secret@a/b", "https://a/{x,y}", "https://a/'"],
        );
        taken(check_unit, &["etcd", "etcd.service", "etcd@main.service"]);
        refused(check_unit, &["", "-etcd", "a b", "a;b", "a/b", "$(x)"]);
        taken(check_node_path, &["/etc/etcd/pki/ca.crt"]);
        refused(check_node_path, &["", "etc", "/a b", "/a\nb", "/a'b", "/a$b", "/a;b"]);
        taken(check_ssh_path, &["id", "../a b/id", "~/.ssh/id", "/k"]);
        refused(check_ssh_path, &["", "-i", "~root/id", "a\nb", "a\"b", "a'b", "%h", "${HOME}/x", "a*"]);
    }

    #[test]
    fn slugs_labels_and_checks() {
        taken(check_slug, &["lab", "kubeadm-minor"]);
        refused(check_slug, &["", "-a", "A", "a/b", "..", "a b"]);
        taken(|key| check_label(key, "a"), &["zone", "example.org/rack", "Zone_1"]);
        refused(|key| check_label(key, "a"), &["", "-a", "a b", "/a", "a/b/c"]);
        refused(|value| check_label("zone", value), &["a b", "$x", "-a"]);
        taken(check_preflight, &["Swap", "NumCPU", "DirAvailable--var-lib-etcd", "Port-10250"]);
        refused(check_preflight, &["", "all", "ALL", "a,b", "-x", "Swap,all"]);
    }
}
