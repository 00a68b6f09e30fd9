//! Manifests of the operator's: sent as they are, and applied.

use serde::{Deserialize, Serialize};

use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::actions::packages::trusted;
use crate::decide::call::Script;
use crate::decide::look::{Look, Sight};

/// Where a manifest waits on a node, below Windlass's folder.
fn waiting(site: Site<'_>, sha256: &str) -> String {
    format!("manifests/{}/{}.yaml", site.run, &sha256[..sha256.len().min(16)])
}

/// Sends a manifest to a control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendManifest {
    /// The file on the operator's machine, absolute.
    pub file: String,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Act for SendManifest {
    fn describe(&self) -> String {
        format!("send {} ({} bytes)", self.file, self.bytes)
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not sent yet")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let (name, sha256) = (waiting(site, &self.sha256), self.sha256.clone());
        Effect::Send { file: self.file.clone(), name, sha256, bytes: self.bytes }
    }

    fn estimate(&self) -> u64 {
        1
    }
}

/// Applies a manifest that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyManifest {
    /// The file on the operator's machine that was sent.
    pub file: String,
    /// SHA-256 of the file, hex.
    pub sha256: String,
}

impl Act for ApplyManifest {
    fn describe(&self) -> String {
        format!("kubectl apply -f {}", self.file)
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not applied yet")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        job(On::Lane, Script::ApplyManifest, [waiting(site, &self.sha256)])
    }

    fn undo(&self) -> String {
        format!("kubectl delete -f {}", self.file)
    }

    fn estimate(&self) -> u64 {
        2
    }
}
