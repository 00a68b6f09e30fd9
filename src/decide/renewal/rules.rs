//! What forbids certificates to be renewed, and what is to be known about it.

use semver::Version;

use super::{Due, Machine, Scene, Wanted};
use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::one_by_one;
use crate::facts::Seen;
use crate::facts::ready::Ready;
use crate::inventory::{NodeName, Role, Topology};
use crate::text::list;

/// From this release on kubeadm's commands for certificates are not under `alpha` any more.
const CERTS: Version = Version::new(1, 20, 0);

/// That the certificates are kubeadm's own, when they are.
pub(super) fn kubeadms(wanted: Wanted<'_>) -> Option<Finding> {
    if wanted.inventory.etcd.topology == Topology::External {
        return None;
    }
    let version = wanted.facts.api.known().and_then(|api| api.kubeadm.known()).map(|config| &config.version);
    let alpha = if version.is_some_and(|version| *version < CERTS) { "alpha " } else { "" };
    let detail = format!(
        "is stacked: its certificates are kubeadm's, which renews them with each upgrade. In between, on one control plane \
         after another: `kubeadm {alpha}certs renew all`, then move the manifests of /etc/kubernetes/manifests away and back, \
         and see `windlass check` before the next"
    );
    Some(Finding::refusal(Rule::EtcdTopology, "etcd", detail))
}

impl Scene<'_> {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let Wanted { inventory, facts, .. } = self.wanted;
        let mut found = one_by_one(inventory, facts, self.etcd, "no certificate is renewed");
        found.extend(self.choice());
        for machine in &self.machines {
            found.extend(self.trust(machine));
        }
        for machine in self.chosen() {
            found.extend(self.of_machine(machine));
        }
        found.extend(self.api_servers());
        found
    }

    /// Machines that are asked for and have nothing to renew.
    fn choice(&self) -> Vec<Finding> {
        let has = |name: &NodeName| {
            self.machines.iter().any(|machine| machine.node.name == *name && machine.pairs().next().is_some())
        };
        let strange = self.wanted.only.iter().filter(|name| !has(name));
        let detail = "has no certificates of etcd that could be renewed: neither a member nor a control plane is there";
        strange.map(|name| Finding::refusal(Rule::NodeUnknown, name, detail)).collect()
    }

    /// Whoever is shown the new ones trusts who has signed them.
    fn trust(&self, machine: &Machine<'_>) -> Vec<Finding> {
        let node = &machine.node.name;
        let Some(ready) = self.ready(machine) else { return Vec::new() };
        let authority = self.wanted.authority;
        let mut found = Vec::new();
        for ca in machine.authorities() {
            let detail = match ready.certificates.iter().find(|(path, _)| path == ca).map(|(_, read)| read) {
                _ if ready.several.contains(ca) => {
                    format!("{ca} holds several certificates: end the change of the authority first")
                }
                Some(Ok(read)) if read.digest == authority.digest => continue,
                Some(Ok(_)) => {
                    format!("{} is another authority than {ca}, which is trusted there", authority.certificate)
                }
                Some(Err(why)) => format!("{ca}: {why}"),
                None => format!("nobody looked at {ca}"),
            };
            found.push(Finding::refusal(Rule::Certificate, node, detail));
        }
        found
    }

    fn of_machine(&self, machine: &Machine<'_>) -> Vec<Finding> {
        let node = &machine.node.name;
        let Some(facts) = self.wanted.facts.machine(node) else {
            let why = self.wanted.facts.nodes.iter().find(|facts| facts.name == *node).map(|facts| &facts.machine);
            let why = if let Some(Seen::Unknown(why)) = why { why.clone() } else { "was not looked at".to_owned() };
            return vec![Finding::unreachable(node, why)];
        };
        let refuse = |detail: String| Finding::refusal(Rule::Certificate, node, detail);
        let ready = match self.wanted.ready.iter().find(|(known, _)| known == node).map(|(_, ready)| ready) {
            Some(Seen::Known(ready)) => ready,
            Some(Seen::Unknown(why)) => return vec![refuse(format!("its certificates could not be seen: {why}"))],
            None => return vec![refuse("its certificates could not be seen: nobody looked".to_owned())],
        };
        let mut found = Vec::new();
        if let Some((_, process)) = machine.member {
            let ecdsa = process.settings.get("cipher-suites").is_none_or(|suites| suites.contains("ECDSA"));
            if !ecdsa {
                let detail =
                    "its member's cipher-suites have none for ECDSA, which is what is made: make RSA ones yourself";
                found.push(refuse(detail.to_owned()));
            }
            for kind in ["", "peer-"] {
                let has = |what: &str| process.settings.contains_key(&format!("{kind}{what}"));
                if has("cert-file") && !(has("key-file") && has("trusted-ca-file")) {
                    found.push(refuse(format!(
                        "its member has a {kind}cert-file without the others: renew it yourself"
                    )));
                }
            }
        } else if machine.node.roles.contains(&Role::Etcd) {
            let runs = facts.etcd.known().is_some_and(Option::is_some);
            let why = if runs { "its etcd is no member of this cluster" } else { "no etcd runs there" };
            found.push(Finding::refusal(Rule::EtcdMembers, node, why));
        }
        found.extend(self.certificates(machine, ready).into_iter().map(refuse));
        found.extend(self.sooner(machine));
        found
    }

    /// What is wrong with certificates that are there, so that none can be made like them.
    fn certificates(&self, machine: &Machine<'_>, ready: &Ready) -> Vec<String> {
        let mut wrong = Vec::new();
        for pair in machine.certificates() {
            let path = &pair.certificate;
            match ready.certificates.iter().find(|(known, _)| known == path).map(|(_, read)| read) {
                Some(Ok(read)) if !self.is_due(read) => continue,
                Some(Ok(read)) if read.more => {
                    wrong.push(format!("{path} has names of kinds that are not made here: renew it yourself"));
                }
                Some(Ok(_)) => {}
                Some(Err(why)) => wrong.push(format!("{path}: {why}")),
                None => wrong.push(format!("nobody looked at {path}")),
            }
            if ready.several.contains(path) {
                wrong.push(format!(
                    "{path} holds several certificates, and a new one would hold one: renew it yourself"
                ));
            }
            match ready.keys.iter().find(|(known, _)| *known == pair.key).map(|(_, said)| said) {
                Some(Some(true)) => {}
                Some(None) => {
                    let detail = "has no openssl, without which nobody sees what a member shows: install it";
                    wrong.push(detail.to_owned());
                }
                _ => wrong.push(format!("{} is not the key of {path}, or is not there", pair.key)),
            }
        }
        let mut files = self.order(machine).files();
        files.sort();
        let twice = files.iter().zip(files.iter().skip(1)).find(|(one, other)| one == other);
        wrong.extend(
            twice.map(|(one, _)| format!("{one} is the file of two certificates or keys: renew them yourself")),
        );
        wrong.sort();
        wrong.dedup();
        wrong
    }

    /// The authority's own end bounds what it signs.
    fn sooner(&self, machine: &Machine<'_>) -> Option<Finding> {
        let due = self.due(machine);
        let (first, _) = due.first()?;
        let end = self.certified(machine, &first.ca)?;
        let left = self.days(end);
        (left < crate::decide::actions::certificates::GOOD_DAYS).then(|| {
            let detail =
                format!("the authority itself ends in {left} days, and what it signs ends with it: {}", first.ca);
            let end_soon = matches!(self.wanted.due, Due::Within(days) if left < i64::from(days));
            if end_soon {
                Finding::refusal(Rule::Certificate, &machine.node.name, detail)
            } else {
                Finding::warning(Rule::Certificate, &machine.node.name, detail)
            }
        })
    }

    /// Where API servers are started anew all of them have to answer, at one version; and what they use has to be known.
    fn api_servers(&self) -> Vec<Finding> {
        let Wanted { inventory, facts, only, .. } = self.wanted;
        let planes: Vec<_> = inventory.with_role(Role::ControlPlane).collect();
        let asked = only.is_empty() || planes.iter().any(|node| only.contains(&node.name));
        if planes.is_empty() || !asked {
            return Vec::new();
        }
        let mut found = Vec::new();
        match &facts.api {
            Seen::Unknown(why) => {
                let detail =
                    format!("what API servers use could not be seen: {why}; --node chooses machines of members alone");
                found.push(Finding::refusal(Rule::Unseen, "API", detail));
            }
            Seen::Known(api) => {
                if let Seen::Unknown(why) = &api.kubeadm {
                    found.push(Finding::refusal(
                        Rule::Unseen,
                        "API",
                        format!("what API servers use could not be seen: {why}"),
                    ));
                }
            }
        }
        let mut versions: Vec<&Version> = Vec::new();
        for node in &planes {
            match facts.machine(&node.name).map(|machine| &machine.api_server) {
                Some(Seen::Known(Some(version))) => versions.push(version),
                Some(Seen::Known(None)) => {
                    found.push(Finding::refusal(Rule::NotInstalled, &node.name, "runs no API server"));
                }
                Some(Seen::Unknown(why)) => {
                    found.push(Finding::refusal(
                        Rule::NodeNotReady,
                        &node.name,
                        format!("its API server is not well: {why}"),
                    ));
                }
                None => {}
            }
        }
        versions.sort();
        versions.dedup();
        if versions.len() > 1 {
            let words: Vec<String> = versions.iter().map(ToString::to_string).collect();
            let detail = format!("its servers run {}: end the upgrade first", list(&words, "and"));
            found.push(Finding::refusal(Rule::ApiServerSpread, "API", detail));
        }
        found
    }
}
