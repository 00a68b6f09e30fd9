//! What forbids a member to join with the certificates that it has, or with those that would be made for it.

use super::Scene;
use super::joining::Joins;
use crate::decide::actions::certificates::Authority;
use crate::decide::finding::{Finding, Rule};
use crate::facts::Seen;
use crate::facts::ready::Ready;
use crate::inventory::{Etcd, Topology};
use crate::text::list;

/// Certificates that end within a month are worth saying.
const MONTH_SECONDS: i64 = 30 * 24 * 3600;

impl Scene<'_> {
    /// The new member's certificates: there, its own, of the same CA, for its address, alive.
    pub(super) fn certificates(&self) -> Vec<Finding> {
        let Some(joins) = &self.joins else { return Vec::new() };
        let node = &joins.node.name;
        let unseen = |what: &str, why: &str| {
            vec![Finding::refusal(Rule::Unseen, node, format!("{what} could not be seen: {why}"))]
        };
        let Some((ready, model)) = self.wanted.ready else { return unseen("its certificates", "nobody looked") };
        let ready = match ready {
            Seen::Known(ready) => ready,
            Seen::Unknown(why) => return unseen("its certificates", why),
        };
        let model = match model {
            Seen::Known(model) => model,
            Seen::Unknown(why) => return unseen("the CA of the running members", why),
        };
        let mut found = Vec::new();
        let stacked = self.wanted.inventory.etcd.topology == Topology::Stacked;
        if !stacked && !ready.service {
            let detail = format!("its systemd knows no service {}", self.wanted.inventory.etcd.service);
            found.push(Finding::refusal(Rule::NotInstalled, node, detail));
        }
        if let Some(authority) = self.wanted.authority {
            found.extend(authorised(joins, authority, model, &self.wanted.inventory.etcd));
            return found;
        }
        let paths = joins.paths();
        let refuse = |detail: String| Finding::refusal(Rule::Certificate, node, detail);
        for path in &paths.certificates {
            let known = ready.certificates.iter().find(|(known, _)| known == path);
            let Some((_, certificate)) = known else {
                found.extend(unseen(path, "nobody looked"));
                continue;
            };
            let certificate = match certificate {
                Ok(certificate) => certificate,
                Err(why) => {
                    let way = if stacked {
                        "`kubeadm join --control-plane` makes them, and the member as well"
                    } else {
                        "put it there, or have it made: --ca-cert and --ca-key"
                    };
                    found.push(refuse(format!("{path}: {why}; {way}")));
                    continue;
                }
            };
            let now = self.wanted.facts.taken_at;
            let left = certificate.not_after.as_second() - now.as_second();
            if certificate.not_before > now {
                found.push(refuse(format!("{path} begins only on {}", certificate.not_before)));
            } else if left < 0 {
                found.push(refuse(format!("{path} ended on {}", certificate.not_after)));
            } else if left < MONTH_SECONDS {
                let detail = format!("{path} ends in {} days", left / 86400);
                found.push(Finding::warning(Rule::Certificate, node, detail));
            }
            let own = paths.pairs.iter().any(|[cert, ..]| cert == path);
            if own && !certificate.names.contains(&joins.address) {
                let names = list(&certificate.names, "and");
                let names = if names.is_empty() { "nothing".to_owned() } else { names };
                found.push(refuse(format!("{path} is for {names}, and not for {}", joins.address)));
            }
            if !own && other_ca(path, &certificate.digest, model) {
                found.push(refuse(format!("{path} is another CA than that of {}", joins.model.called())));
            }
        }
        for (path, _) in ready.keys.iter().filter(|(_, said)| *said == Some(false)) {
            found.push(refuse(format!("{path} is not the key of its certificate, or is not there")));
        }
        for (path, _) in ready.signed.iter().filter(|(_, said)| *said == Some(false)) {
            found.push(refuse(format!("{path} is not signed by its CA")));
        }
        found
    }
}

/// What is made has to be signed by whom the running members trust.
fn authorised(joins: &Joins<'_>, authority: &Authority, model: &Ready, etcd: &Etcd) -> Vec<Finding> {
    let (node, clients) = (&joins.node.name, etcd);
    if etcd.topology == Topology::Stacked {
        let detail = "kubeadm makes the certificates of a stacked member: leave --ca-cert and --ca-key out";
        return vec![Finding::refusal(Rule::Certificate, node, detail)];
    }
    let settings = &joins.process.settings;
    let mut found: Vec<Finding> = Vec::new();
    let mut refuse = |detail: String| found.push(Finding::refusal(Rule::Certificate, node, detail));
    for kind in ["", "peer-"] {
        let has = |what: &str| settings.contains_key(&format!("{kind}{what}"));
        if has("cert-file") && !(has("key-file") && has("trusted-ca-file")) {
            refuse(format!(
                "{} has a {kind}cert-file without the others: make the new ones yourself",
                joins.model.called()
            ));
        }
    }
    if settings.get("cipher-suites").is_some_and(|suites| !suites.contains("ECDSA")) {
        refuse(
            "the members' cipher-suites have none for ECDSA, which is what is made: make RSA ones yourself".to_owned(),
        );
    }
    let mut files = joins.order(authority, clients, None).files();
    files.sort();
    let twice = files.iter().zip(files.iter().skip(1)).find(|(one, other)| one == other);
    if let Some((twice, _)) = twice {
        refuse(format!("{twice} would be the file of two certificates or keys: make them yourself"));
    }
    let mut cas: Vec<String> = joins.paths().pairs.into_iter().map(|[.., ca]| ca).collect();
    cas.push(clients.ca.to_string());
    cas.sort();
    cas.dedup();
    for ca in model.several.iter().filter(|path| cas.contains(path)) {
        refuse(format!("{ca} of {} holds several certificates, and the new one would hold one", joins.model.called()));
    }
    let trusted = |ca: &String| model.certificates.iter().find(|(path, _)| path == ca).map(|(_, read)| read);
    let finding = |ca: &String| match trusted(ca) {
        Some(Ok(read)) if read.digest == authority.digest => None,
        Some(Ok(_)) => {
            let detail = format!("{} is another CA than {ca} of {}", authority.certificate, joins.model.called());
            Some(Finding::refusal(Rule::Certificate, node, detail))
        }
        Some(Err(why)) => {
            Some(Finding::refusal(Rule::Unseen, node, format!("{ca} of {}: {why}", joins.model.called())))
        }
        None => {
            Some(Finding::refusal(Rule::Unseen, node, format!("nobody looked at {ca} of {}", joins.model.called())))
        }
    };
    if joins.paths().pairs.is_empty() {
        let detail = format!("{} names no certificates that could be made like its own", joins.model.called());
        return vec![Finding::refusal(Rule::EtcdTopology, node, detail)];
    }
    found.extend(cas.iter().filter_map(finding));
    found
}

/// The running member has another certificate at this path. Its own files may be called otherwise.
fn other_ca(path: &str, digest: &str, model: &Ready) -> bool {
    let theirs = model.certificates.iter().find(|(known, _)| known == path);
    theirs.is_some_and(|(_, theirs)| theirs.as_ref().is_ok_and(|theirs| theirs.digest != digest))
}
