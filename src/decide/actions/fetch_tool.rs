//! The programs that speak to etcd and restore it, on control planes with a stacked member: kubeadm puts none there, and the
//! member's image has them.

use serde::{Deserialize, Serialize};

use super::packages::trusted;
use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::call::Script;
use crate::decide::look::{Look, Sight};

/// Takes etcdctl and etcdutl out of the image of the node's own member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchTool {
    /// The image, as the member's manifest names it.
    pub image: String,
    /// What they are for.
    pub purpose: Purpose,
}

/// What etcd's programs are fetched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To ask etcd and tell it: the node's own etcdctl serves as well.
    Ask,
    /// To restore a snapshot.
    Restore,
    /// To restore a snapshot and raise revisions.
    Raise,
}

impl Purpose {
    /// The word that the job knows it by.
    fn word(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Restore => "restore",
            Self::Raise => "raise",
        }
    }
}

impl Act for FetchTool {
    fn describe(&self) -> String {
        let unless = if self.purpose == Purpose::Ask { ", unless etcdctl is installed" } else { "" };
        format!("take etcd's programs for clients out of {}{unless}", self.image)
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "they are not taken out yet")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let args = [site.run.to_string(), self.image.clone(), self.purpose.word().to_owned()];
        job(On::Lane, Script::FetchTool, args)
    }

    fn undo(&self) -> String {
        "nothing to undo: they go with the run's own files".to_owned()
    }

    fn estimate(&self) -> u64 {
        3
    }
}
