//! etcd's programs from an archive, where no package manager knows them: fetched while nothing is touched yet, put in the place
//! of those that run when it is a member's turn.
//!
//! Such an etcd is called by the path of its program wherever a package would be called by its name.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::packages::{Pinned, trusted};
use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::call::{Call, Script};
use crate::decide::look::{Look, Sight};
use crate::inventory::is_program;

/// An archive of etcd's programs, as etcd releases them: `.tar.gz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Where it comes from.
    pub from: Origin,
    /// SHA-256 of it, hex.
    pub sha256: String,
}

/// Where an archive comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// From the operator's machine.
    File {
        /// Absolute.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// From here, over `http` or `https`, by each node itself.
    Url(String),
}

impl Archive {
    /// Where it is on nodes, below Windlass's own folder: beside the packages that are kept for a run.
    fn place(&self, site: Site<'_>) -> String {
        format!("packages/{}/{}.tar.gz", site.run, self.sha256.get(..16).unwrap_or(&self.sha256))
    }
}

/// Brings an archive to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchArchive {
    /// Which.
    pub archive: Archive,
}

impl Act for FetchArchive {
    fn describe(&self) -> String {
        let from = match &self.archive.from {
            Origin::File { path, bytes } => format!("send {path} ({})", crate::text::bytes(*bytes)),
            Origin::Url(url) => format!("download {url}"),
        };
        format!("{from}, SHA-256 {}", self.archive.sha256)
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not brought yet")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let (name, sha256) = (self.archive.place(site), self.archive.sha256.clone());
        match &self.archive.from {
            Origin::File { path, bytes } => Effect::Send { file: path.clone(), name, sha256, bytes: *bytes },
            Origin::Url(url) => job(On::Lane, Script::FetchArchive, [name, sha256, url.clone()]),
        }
    }

    fn undo(&self) -> String {
        "nothing to undo: the archive is kept until `windlass upgrade finish`".to_owned()
    }

    fn estimate(&self) -> u64 {
        10
    }
}

/// The program among `packages`, where they come from no package manager.
pub(super) fn program(packages: &[Pinned]) -> Option<&str> {
    packages.iter().map(|package| package.name.as_str()).find(|name| is_program(name))
}

/// Puts the programs of `archive` in the place of `program` and its neighbours.
pub(super) fn install(site: Site<'_>, guard: String, archive: &Archive, to: &Version, program: &str) -> Effect {
    let args =
        [site.run.to_string(), guard, archive.place(site), archive.sha256.clone(), to.to_string(), program.to_owned()];
    job(On::Lane, Script::InstallPrograms, args)
}

/// Puts the former ones back. `cluster` as for packages.
pub(super) fn restore(site: Site<'_>, guard: String, cluster: &str, program: &str) -> Call {
    let args = vec![site.run.to_string(), guard, cluster.to_owned(), program.to_owned()];
    Call { script: Script::RestorePrograms, args }
}
