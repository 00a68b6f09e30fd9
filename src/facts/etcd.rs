//! The probe's section `etcd` → [`EtcdProcess`].
//!
//! Pure. A setting that is nowhere has etcd's own default, which is a fact as long as etcd runs; of a stopped one only
//! what its configuration says is known.

use std::collections::BTreeMap;

use camino::Utf8Path;
use semver::Version;
use serde::Deserialize;

use super::sections::{beginning, seen, value, values};
use super::version::{image_version, parse_version};
use super::{EtcdProcess, EtcdTool, Seen};

/// Settings with a field of their own in [`EtcdProcess`].
const OWN_FIELD: [&str; 5] = ["name", "data-dir", "heartbeat-interval", "election-timeout", "quota-backend-bytes"];

/// etcd's `DefaultQuotaBytes`: 2 GiB.
pub(crate) const DEFAULT_QUOTA: u64 = 2 << 30;

/// What an image's program that restores is called once it was taken out: below the run's folder on the node.
pub(crate) const FETCHED_TOOL: &str = "tools/restorer";

/// Reads the section `etcd-tool`: `tool PATH VERSION yes|no`, whether it can raise revisions; or `image IMAGE`, which has one.
pub(super) fn tool(lines: &[&str]) -> Result<EtcdTool, String> {
    if let Some(image) = value(lines, "image") {
        let version = image_version(image).ok_or_else(|| format!("etcd's image {image} does not tell its version"))?;
        let bumps = bumps(&version);
        return Ok(EtcdTool { path: FETCHED_TOOL.to_owned(), image: Some(image.to_owned()), version, bumps });
    }
    let line = value(lines, "tool").ok_or("the machine names no tool")?;
    let unreadable = || format!("the tool `{}` cannot be read", beginning(line));
    let words: Vec<&str> = line.split(' ').collect();
    let &[path, version, bumps] = words.as_slice() else { return Err(unreadable()) };
    let version = parse_version(version).ok_or_else(unreadable)?;
    Ok(EtcdTool { path: path.to_owned(), image: None, version, bumps: bumps == "yes" })
}

/// Whether etcd's own releases of this version raise revisions in a restore. The job that takes the program asks itself.
fn bumps(version: &Version) -> bool {
    match (version.major, version.minor) {
        (3, 4) => version.patch >= 27,
        (3, 5) => version.patch >= 10,
        release => release > (3, 5),
    }
}

/// Reads the section; `None` when the machine runs no etcd.
pub(super) fn read(lines: &[&str]) -> Result<Option<EtcdProcess>, String> {
    if lines.contains(&"none") {
        return Ok(None);
    }
    let running = match value(lines, "running") {
        Some("yes") => true,
        Some("no") => false,
        _ => return Err("the probe does not say whether etcd runs".to_owned()),
    };
    let settings = Settings { lines, running };
    let answer = server(lines, running);
    let version = |pick: fn(&VersionAnswer) -> &str| {
        seen(answer.clone().and_then(|answer| {
            let text = pick(&answer);
            parse_version(text).ok_or_else(|| format!("`{}` is not a version", beginning(text)))
        }))
    };
    let server_version = version(|answer| &answer.etcdserver);
    let enable_v2 = seen(settings.enable_v2(&server_version));
    Ok(Some(EtcdProcess {
        running,
        name: seen(settings.text("name", || Ok("default".to_owned()))),
        data_dir: seen(settings.data_dir()),
        heartbeat_ms: seen(settings.number("heartbeat-interval", 100)),
        election_ms: seen(settings.number("election-timeout", 1000)),
        quota_bytes: seen(settings.quota()),
        settings: settings.others(),
        flags: values(lines, "flag").map(|flag| flag.trim().to_owned()).collect(),
        configured_members: value(lines, "file-members").map(|text| text.trim().to_owned()),
        v2_keys: seen(v2_keys(lines, &enable_v2, &server_version)),
        enable_v2,
        server_version,
        cluster_version: version(|answer| &answer.etcdcluster),
        config_digest: seen(
            value(lines, "digest").map(str::to_owned).ok_or("its configuration file is not there".to_owned()),
        ),
    }))
}

struct Settings<'a> {
    lines: &'a [&'a str],
    running: bool,
}

impl Settings<'_> {
    /// With a configuration file etcd reads neither flags nor environment. Otherwise a flag and its variable exclude each
    /// other, so that the last of several lines is an environment file's over a unit's.
    fn find(&self, key: &str) -> Result<Option<String>, String> {
        let last = |kind: &str, key: &str| values(self.lines, kind).filter_map(|line| rest_of(line, key)).last();
        let Some(file) = last("set", "config-file").filter(|file| !file.is_empty()) else {
            return Ok(last("set", key).map(str::to_owned));
        };
        if values(self.lines, "conf").next().is_none() {
            return Err(format!("etcd is configured by {file}, where none of its settings could be read"));
        }
        Ok(last("conf", key).map(str::to_owned))
    }

    /// What has no field of its own, and the v2 API where it is set: by itself it is on or off, by the version.
    fn others(&self) -> BTreeMap<String, String> {
        let split = |line: &str| line.split_once(' ').map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
        let told = |kind: &str| -> Vec<(String, String)> { values(self.lines, kind).filter_map(split).collect() };
        let set = told("set");
        let file = set.iter().find(|(key, value)| key == "config-file" && !value.is_empty()).cloned();
        let all = match file {
            Some(file) => [told("conf"), vec![file]].concat(),
            None => set,
        };
        all.into_iter().filter(|(key, _)| !OWN_FIELD.contains(&key.as_str())).collect()
    }

    fn text(&self, key: &str, default: impl FnOnce() -> Result<String, String>) -> Result<String, String> {
        match self.find(key)? {
            Some(value) => Ok(value),
            None if self.running => default(),
            None => Err("etcd does not run, and its configuration does not say".to_owned()),
        }
    }

    fn number(&self, key: &str, default: u64) -> Result<u64, String> {
        let text = self.text(key, || Ok(default.to_string()))?;
        text.parse().map_err(|_| format!("{key} is `{}`, which is not a number", beginning(&text)))
    }

    fn quota(&self) -> Result<u64, String> {
        match self.text("quota-backend-bytes", || Ok("0".to_owned()))?.as_str() {
            "0" => Ok(DEFAULT_QUOTA),
            negative if negative.starts_with('-') => Ok(u64::MAX),
            _ => self.number("quota-backend-bytes", DEFAULT_QUOTA),
        }
    }

    fn data_dir(&self) -> Result<String, String> {
        let name = self.text("name", || Ok("default".to_owned()));
        let dir = self.text("data-dir", || Ok(format!("{}.etcd", name?)))?;
        let mut mounted = values(self.lines, "host-path").peekable();
        if mounted.peek().is_some() && !mounted.any(|path| Utf8Path::new(&dir).starts_with(path)) {
            return Err(format!("it is {dir} in the container, and the manifest mounts it from another place"));
        }
        match value(self.lines, "cwd") {
            _ if dir.starts_with('/') => Ok(dir),
            Some(cwd) => Ok(format!("{}/{dir}", cwd.trim_end_matches('/'))),
            None => Err(format!("it is `{dir}`, below a working directory that is not known")),
        }
    }

    /// On by default until 3.3, off from 3.4.
    fn enable_v2(&self, server: &Seen<Version>) -> Result<bool, String> {
        let default = || match server {
            Seen::Known(version) => Ok((*version < Version::new(3, 4, 0)).to_string()),
            Seen::Unknown(why) => Err(format!("it is not set, and its default depends on the version: {why}")),
        };
        match self.text("enable-v2", default)?.as_str() {
            "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
            "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false),
            other => Err(format!("enable-v2 is `{}`", beginning(other))),
        }
    }
}

fn rest_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(key)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix(' ').map(str::trim) }
}

#[derive(Clone, Deserialize)]
struct VersionAnswer {
    etcdserver: String,
    etcdcluster: String,
}

fn server(lines: &[&str], running: bool) -> Result<VersionAnswer, String> {
    if !running {
        return Err("etcd does not run".to_owned());
    }
    let text =
        value(lines, "version").ok_or_else(|| value(lines, "unasked").unwrap_or("it was not asked").to_owned())?;
    serde_json::from_str(text).map_err(|_| format!("/version answered `{}`", beginning(text)))
}

/// The beginning of what `GET /v2/keys/` answered; keys that begin with `_` are never listed.
fn v2_keys(lines: &[&str], enabled: &Seen<bool>, server: &Seen<Version>) -> Result<bool, String> {
    if server.known().is_some_and(|version| *version >= Version::new(3, 6, 0)) {
        return Ok(false);
    }
    match enabled {
        Seen::Unknown(why) => return Err(why.clone()),
        Seen::Known(false) => return Err("the v2 API is off, so its keys cannot be listed".to_owned()),
        Seen::Known(true) => {}
    }
    let text = value(lines, "v2").ok_or("the v2 API was not asked")?;
    if text.starts_with("{\"action\":\"get\"") {
        Ok(text.contains("\"nodes\":[{"))
    } else {
        Err(format!("the v2 API answered `{}`", beginning(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(lines: &[&str]) -> EtcdProcess {
        read(lines).unwrap().unwrap()
    }

    #[test]
    fn a_running_one_without_settings_has_etcds_defaults() {
        let version = r#"version {"etcdserver":"3.3.25","etcdcluster":"3.3.0"}"#;
        let etcd = process(&["running yes", "cwd /srv", version, r#"v2 {"action":"get","node":{"dir":true}}"#]);
        assert_eq!(etcd.name, Seen::Known("default".to_owned()));
        assert_eq!(etcd.data_dir, Seen::Known("/srv/default.etcd".to_owned()));
        assert_eq!((etcd.heartbeat_ms, etcd.election_ms), (Seen::Known(100), Seen::Known(1000)));
        assert_eq!(etcd.quota_bytes, Seen::Known(2_147_483_648));
        assert_eq!((etcd.enable_v2, etcd.v2_keys), (Seen::Known(true), Seen::Known(false)));
        assert_eq!(etcd.cluster_version, Seen::Known(Version::new(3, 3, 0)));
        assert!(etcd.config_digest.known().is_none());
    }

    #[test]
    fn keys_of_the_old_api_are_noticed() {
        let keys = r#"v2 {"action":"get","node":{"dir":true,"nodes":[{"key":"/a","value":"b""#;
        let version = r#"version {"etcdserver":"3.5.16","etcdcluster":"3.5.0"}"#;
        let etcd = process(&["running yes", "set enable-v2 true", version, keys]);
        assert_eq!(etcd.v2_keys, Seen::Known(true));
        let later = process(&["running yes", r#"version {"etcdserver":"3.6.11","etcdcluster":"3.6.0"}"#]);
        assert_eq!((later.enable_v2, later.v2_keys), (Seen::Known(false), Seen::Known(false)));
    }

    #[test]
    fn a_stopped_one_is_known_by_its_configuration_only() {
        let etcd = process(&["running no", "set name a", "set name b", "set quota-backend-bytes -1", "digest 00"]);
        assert_eq!(etcd.name, Seen::Known("b".to_owned()));
        assert_eq!(etcd.quota_bytes, Seen::Known(u64::MAX));
        assert!(etcd.heartbeat_ms.known().is_none());
        assert_eq!(etcd.server_version, Seen::Unknown("etcd does not run".to_owned()));
        assert_eq!(etcd.config_digest, Seen::Known("00".to_owned()));
    }

    #[test]
    fn a_stacked_members_data_are_where_the_manifest_mounts_them_from() {
        let data = |path: &str| {
            process(&["running no", "set data-dir /var/lib/etcd", "host-path /health", &format!("host-path {path}")])
                .data_dir
        };
        assert_eq!(data("/var/lib/etcd"), Seen::Known("/var/lib/etcd".to_owned()));
        assert_eq!(data("/var/lib"), Seen::Known("/var/lib/etcd".to_owned()));
        assert!(matches!(data("/srv/etcd"), Seen::Unknown(why) if why.contains("from another place")));
    }

    #[test]
    fn what_restores_is_on_the_machine_or_in_the_members_image() {
        let here = tool(&["tool /usr/bin/etcdctl 3.4.30+dfsg yes"]).expect("a tool");
        assert_eq!((here.path.as_str(), here.image, here.bumps), ("/usr/bin/etcdctl", None, true));
        let in_image = |tag: &str| tool(&[&format!("image k8s.gcr.io/etcd:{tag}")]);
        let table = [("3.4.13-0", false), ("3.4.27", true), ("3.5.9-0", false), ("3.5.16-0", true), ("3.6.1-0", true)];
        for (tag, bumps) in table {
            let tool = in_image(tag).expect("a tool");
            assert_eq!((tool.path.as_str(), tool.bumps), ("tools/restorer", bumps), "{tag}");
            assert_eq!(tool.image, Some(format!("k8s.gcr.io/etcd:{tag}")));
        }
        assert!(in_image("latest").is_err_and(|why| why.contains("does not tell its version")));
    }

    #[test]
    fn a_configuration_file_hides_flags_and_environment() {
        let lines = ["running yes", "set config-file /etc/etcd.yml", "set name flag", "conf name file"];
        assert_eq!(process(&lines).name, Seen::Known("file".to_owned()));
        assert!(process(&lines[..3]).name.known().is_none());
        let settings = process(&[&lines[..], &["set wal-dir /flag", "conf peer-cert-file /file"]].concat()).settings;
        let told: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(told, [("config-file", "/etc/etcd.yml"), ("peer-cert-file", "/file")]);
    }

    #[test]
    fn a_member_that_does_not_answer_says_why() {
        let etcd = process(&["running yes", "unasked curl: (7) refused"]);
        assert_eq!(etcd.server_version, Seen::Unknown("curl: (7) refused".to_owned()));
        assert!(matches!(etcd.enable_v2, Seen::Unknown(why) if why.ends_with("curl: (7) refused")));
        assert_eq!(read(&["none"]), Ok(None));
        assert!(read(&[]).is_err());
    }
}
