//! A machine is made fit for Kubernetes, and its container runtime set up.

use serde::{Deserialize, Serialize};

use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::actions::packages::trusted;
use crate::decide::call::Script;
use crate::decide::look::{Look, Sight};

/// Loads the kernel's modules and sets its settings that Kubernetes needs, now and for every boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrepareMachine {
    /// Whether swap is switched off, in `/etc/fstab` too.
    pub swap_off: bool,
}

impl Act for PrepareMachine {
    fn describe(&self) -> String {
        let swap = if self.swap_off { "; switch swap off, in /etc/fstab too" } else { "" };
        format!(
            "load overlay and br_netfilter, forward packets and show bridged ones to iptables, after boots too{swap}"
        )
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not prepared yet")
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::PrepareMachine, [if self.swap_off { "off" } else { "as-it-is" }])
    }

    fn undo(&self) -> String {
        "delete /etc/modules-load.d/windlass.conf and /etc/sysctl.d/99-zz-windlass.conf, and boot".to_owned()
    }

    fn estimate(&self) -> u64 {
        1
    }
}

/// Gives containerd its configuration, and starts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUpRuntime {
    /// The operator's configuration; containerd's own with systemd's cgroups when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
}

impl Act for SetUpRuntime {
    fn describe(&self) -> String {
        let whose = match &self.configuration {
            Some(text) => format!("your configuration ({} lines)", text.lines().count()),
            None => "its own configuration with systemd's cgroups, unless one with these is there".to_owned(),
        };
        format!("give containerd {whose}, start it, and see it answer")
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not set up yet")
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        let text = self.configuration.as_deref().map_or("-", |text| text.trim_end_matches('\n'));
        job(On::Lane, Script::SetUpRuntime, [text])
    }

    fn undo(&self) -> String {
        "the former configuration stays as /etc/containerd/config.toml.before-windlass".to_owned()
    }

    fn estimate(&self) -> u64 {
        3
    }
}
