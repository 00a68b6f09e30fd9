//! What a word of a plan may be, kind by kind.

use std::collections::BTreeMap;

use crate::decide::actions::brought::{Brought, StackedMember};
use crate::decide::actions::certificates::Order;
use crate::decide::actions::etcd::EtcdAccess;
use crate::decide::actions::former::former;
use crate::decide::actions::members::JoinMember;
use crate::decide::actions::packages::Pinned;
use crate::decide::actions::programs::{Archive, Origin};
use crate::decide::actions::renewal::RenewCertificates;
use crate::decide::actions::restore::RestoreMember;
use crate::facts::FETCHED_TOOL;
use crate::inventory::{
    check_endpoint, check_etcd, check_node_path, check_package, check_preflight, check_slug, check_unit, check_url,
    is_program,
};

/// The longest time that a step may be given, in seconds: a year. Longer ones are slips, and cannot all be added up.
const LONGEST_SECONDS: u64 = 365 * 24 * 3600;

/// The most that a version, or a member's name, may have, in letters: file names of packages have to hold it.
const LONGEST_VERSION: usize = 128;

/// The most that a setting of etcd may have, in letters: seven members with two addresses each are far below.
const LONGEST_SETTING: usize = 2000;

pub(super) fn packages(packages: &[Pinned], hold: &[String]) -> Result<(), String> {
    if packages.is_empty() {
        return Err("it names no package".to_owned());
    }
    for Pinned { name, version } in packages {
        check("a package", check_package, name)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || ".+:~-".contains(c);
        // A last `-` or `+` means "remove" or "install" to apt.
        let ends = version.starts_with(|c: char| c.is_ascii_digit()) && !version.ends_with(['-', '+']);
        if !ends || version.len() > LONGEST_VERSION || !version.chars().all(fits) {
            return Err(format!("{} is no version of a package", crate::text::quoted(version)));
        }
    }
    match hold.iter().find(|held| !packages.iter().any(|package| &package.name == *held)) {
        Some(held) => Err(format!("it would hold {}, which it does not install", crate::text::quoted(held))),
        None => Ok(()),
    }
}

/// The one program that an archive replaces.
pub(super) fn programs(packages: &[Pinned], from: &Archive) -> Result<(), String> {
    archive(from)?;
    let [Pinned { name, version }] = packages else { return Err("it names no one program of etcd".to_owned()) };
    check("a program's path", check_etcd, name)?;
    if !is_program(name) {
        return Err(format!("{} is no path of a program", crate::text::quoted(name)));
    }
    let version = semver::Version::parse(version).map_err(|_| crate::text::quoted(version));
    version.map(drop).map_err(|version| format!("{version} is no version of etcd"))
}

/// An archive, whose address is given to curl on nodes.
pub(super) fn archive(archive: &Archive) -> Result<(), String> {
    sha256(&archive.sha256)?;
    match &archive.from {
        Origin::File { path, .. } if path.starts_with('/') => Ok(()),
        Origin::File { path, .. } => Err(format!("{} is no absolute path", crate::text::quoted(path))),
        Origin::Url(url) => check("an address", check_url, url),
    }
}

/// The former versions of packages, which reach the node when they are put back.
pub(super) fn replaced(installed: &[Pinned], from: &BTreeMap<String, String>) -> Result<(), String> {
    let former = former(installed, from);
    if former.is_empty() { Ok(()) } else { packages(&former, &[]) }
}

pub(super) fn access(access: &EtcdAccess) -> Result<(), String> {
    for path in [&access.ca, &access.cert, &access.key] {
        check("a path on the node", check_node_path, path)?;
    }
    for url in std::iter::once(&access.own).chain(&access.others) {
        address(url)?;
    }
    Ok(())
}

/// What kubeadm raises, and a stacked member with it.
pub(super) fn raised(ignore: &[String], member: Option<&StackedMember>) -> Result<(), String> {
    ignored(ignore)?;
    member.iter().try_for_each(|member| {
        access(&member.access)?;
        brings(&member.brings)
    })
}

/// Tags of images.
pub(super) fn brings(brings: &Brought) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    for tag in std::iter::once(&brings.tag).chain(&brings.pinned) {
        let begins = tag.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !begins || tag.len() > LONGEST_VERSION || !tag.chars().all(fits) {
            return Err(format!("{} as the tag of an image", crate::text::quoted(tag)));
        }
    }
    Ok(())
}

pub(super) fn address(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| format!("{} is no address of etcd", crate::text::quoted(url)))?;
    check("an address of etcd", check_endpoint, rest)
}

/// What a member is restored with: all of it reaches etcd's own tool as arguments.
pub(super) fn restores(restore: &RestoreMember) -> Result<(), String> {
    restore.service.iter().try_for_each(|service| check("the service", check_unit, service))?;
    let tool = (restore.tool != FETCHED_TOOL).then_some(&restore.tool);
    for path in std::iter::once(&restore.data_dir).chain(&restore.wal_dir).chain(tool) {
        check("a path on the node", check_node_path, path)?;
    }
    sha256(&restore.sha256)?;
    member_name(&restore.name)?;
    restore.peer_urls.iter().try_for_each(|url| address(url))?;
    if restore.peer_urls.is_empty() {
        return Err("the member has no peer URL".to_owned());
    }
    for (name, url) in &restore.members {
        member_name(name)?;
        address(url)?;
    }
    Ok(())
}

/// The settings of a member that joins, which become lines of a file that systemd reads.
pub(super) fn joins(join: &JoinMember) -> Result<(), String> {
    address(&join.peer_url)?;
    check("the service", check_unit, &join.service)?;
    check("a path on the node", check_node_path, &join.env_file)?;
    check("a path on the node", check_node_path, &join.data_dir)?;
    access(&join.access)?;
    settings(&join.settings)
}

/// Settings of etcd, as lines of its environment file.
pub(super) fn settings(settings: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in settings {
        let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if !name.starts_with("ETCD_") || !name.chars().all(fits) {
            return Err(format!("{} is no setting of etcd", crate::text::quoted(name)));
        }
        setting(value)?;
    }
    Ok(())
}

/// Certificates to be made, with the operator's own files that they are signed with.
pub(super) fn order(order: &Order) -> Result<(), String> {
    sha256(&order.authority.digest)?;
    for path in [&order.authority.certificate, &order.authority.key] {
        if !path.starts_with('/') {
            return Err(format!("{} is no absolute path", crate::text::quoted(path)));
        }
    }
    for made in &order.certificates {
        member_name(&made.name)?;
        made.organization.iter().try_for_each(|name| organization(name))?;
        made.hosts
            .iter()
            .try_for_each(|host| check("a name of a certificate", check_endpoint, &format!("{}:1", bracketed(host))))?;
    }
    order.files().iter().try_for_each(|file| check("a path on the node", check_node_path, file))
}

/// Certificates that take the places of others, and how they are seen to be used.
pub(super) fn renews(renew: &RenewCertificates) -> Result<(), String> {
    check("the service", check_unit, &renew.service)?;
    if renew.files.is_empty() || renew.handshakes.is_empty() {
        return Err("it renews nothing, or sees nobody use it".to_owned());
    }
    renew
        .files
        .iter()
        .chain(renew.from.keys())
        .try_for_each(|file| check("a path on the node", check_node_path, file))?;
    renew.member.iter().try_for_each(access)?;
    for seen in &renew.handshakes {
        if !seen.url.starts_with("https://") {
            return Err(format!("{} is no address that certificates are shown at", crate::text::quoted(&seen.url)));
        }
        address(&seen.url)?;
        let paths = [&seen.cert, &seen.key, &seen.ca].into_iter().chain(&seen.shown);
        paths.into_iter().try_for_each(|path| check("a path on the node", check_node_path, path))?;
    }
    Ok(())
}

/// An organization in a certificate's name: it reaches nobody but who makes the certificate.
fn organization(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > LONGEST_VERSION || name.chars().any(char::is_control) {
        return Err(format!("{} as an organization", crate::text::quoted(name)));
    }
    Ok(())
}

/// As an address with a port has it.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A name that etcd has already, as `NAME=URL,…` can hold it.
fn member_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_graphic() && !"\"'\\$`,=".contains(c);
    if !name.is_empty() && !name.starts_with('-') && name.len() <= LONGEST_VERSION && name.chars().all(fits) {
        Ok(())
    } else {
        Err(format!("{} as a member's name", crate::text::quoted(name)))
    }
}

/// An image as a manifest names it.
pub(super) fn image(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "./_-:@".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= LONGEST_SETTING && name.chars().all(fits) {
        Ok(())
    } else {
        Err(format!("{} as an image", crate::text::quoted(name)))
    }
}

pub(super) fn sha256(word: &str) -> Result<(), String> {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if word.len() == 64 && word.chars().all(hex) {
        Ok(())
    } else {
        Err(format!("{} as a SHA-256", crate::text::quoted(word)))
    }
}

/// Names that become file names, or patterns of the container runtime's.
pub(super) fn static_pods(names: &[String]) -> Result<(), String> {
    if names.is_empty() {
        return Err("it names nothing".to_owned());
    }
    names.iter().try_for_each(|name| check("a container's name", check_slug, name))
}

/// A value in double quotes, in which neither systemd nor a shell finds anything to replace.
pub(super) fn setting(value: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_graphic() && !"\"'\\$`".contains(c);
    if value.len() <= LONGEST_SETTING && value.chars().all(fits) {
        Ok(())
    } else {
        Err(format!("{} as a setting of etcd", crate::text::quoted(value)))
    }
}

/// A text that travels as one argument: Linux takes 128 KiB of one.
pub(super) fn argument(text: &str) -> Result<(), String> {
    const MOST: usize = 100 << 10;
    if text.is_empty() {
        Err("a configuration is empty".to_owned())
    } else if text.len() > MOST {
        Err(format!("a configuration of {} KiB is too long: {} at most", text.len() >> 10, MOST >> 10))
    } else if text.contains('\0') {
        Err("a configuration has a byte in it that no argument can have".to_owned())
    } else {
        Ok(())
    }
}

/// `/etc/machine-id`.
pub(super) fn machine_id(id: &str) -> Result<(), String> {
    let fits = id.len() == 32 && id.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    if fits { Ok(()) } else { Err(format!("{} is no id of a machine", crate::text::quoted(id))) }
}

pub(super) fn ignored(names: &[String]) -> Result<(), String> {
    names.iter().try_for_each(|name| check("a check to ignore", check_preflight, name))
}

pub(super) fn seconds(seconds: u64) -> Result<(), String> {
    if seconds <= LONGEST_SECONDS { Ok(()) } else { Err(format!("{seconds} seconds are more than a year")) }
}

pub(super) fn check<E: std::fmt::Display>(
    what: &str,
    check: fn(&str) -> Result<(), E>,
    word: &str,
) -> Result<(), String> {
    check(word).map_err(|error| format!("{} as {what}: {error}", crate::text::quoted(word)))
}
