//! Certificates that are there are renewed: new ones, made for the same names and signed by the same authority, take their
//! places, and are seen to be taken by whom they are shown. The former ones are kept, and put back where that fails.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::certificates::waiting;
use super::etcd::EtcdAccess;
use super::packages::trusted;
use super::restore::machine;
use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::call::{Call, Script};
use crate::decide::look::{Look, Question, Sight, seen};
use crate::facts::ask::Section;

/// What has to be seen of a member from a machine: that it takes a certificate of its client's, and which one it shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handshake {
    /// Where it listens, `https://HOST:PORT`.
    pub url: String,
    /// The client's certificate, a path on the machine.
    pub cert: String,
    /// Its key.
    pub key: String,
    /// The authority that the client trusts.
    pub ca: String,
    /// The file of the certificate that the member shows; nothing where it is another machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
}

/// Puts renewed certificates in the places of the former ones, and sees that they are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewCertificates {
    /// The service that reads them.
    pub service: String,
    /// Their files, in the order in which they were sent.
    pub files: Vec<String>,
    /// When the former ones end, by their files.
    pub from: BTreeMap<String, Timestamp>,
    /// How to speak to etcd here; nothing where the machine has no member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<EtcdAccess>,
    /// Whether the machine's API server reads one of them, and only where it starts.
    pub api_server: bool,
    /// What has to be seen.
    pub handshakes: Vec<Handshake>,
}

impl RenewCertificates {
    /// Of those that a look can see: one that ends as the former one does, and whether any was seen.
    fn former(&self, certificates: &[crate::facts::Certificate]) -> (Option<String>, bool) {
        let end = |path: &String| certificates.iter().find(|one| one.path == *path).map(|one| one.not_after);
        let former = self.from.iter().find(|(path, from)| end(path) == Some(**from)).map(|(path, _)| path.clone());
        (former, self.from.keys().any(|path| end(path).is_some()))
    }
}

impl Act for RenewCertificates {
    fn describe(&self) -> String {
        let what = match self.from.len() {
            1 => "a certificate and its key in the place of the former one, and see it".to_owned(),
            count => format!("{count} certificates and their keys in the places of the former ones, and see them"),
        };
        format!("put {what} used by fresh connections")
    }

    fn question(&self, _: Site<'_>) -> Question {
        machine(&[Section::Certificates])
    }

    fn look(&self, _: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        // That they end at another time does not say that they are used: the job sees to that, and does nothing twice.
        if moment == Moment::Before {
            return trusted(moment, "they are not renewed yet");
        }
        let machine = seen!(sight.machine, "the machine");
        match self.former(seen!(machine.certificates, "its certificates")).0 {
            Some(path) => Look::Ready(format!("{path} ends as the former one did")),
            None => Look::Done,
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let guard = self.member.as_ref().map_or_else(|| "-".to_owned(), |member| member.guard(&self.service));
        let seen = self.handshakes.iter().map(|Handshake { url, cert, key, ca, shown }| {
            [url, cert, key, ca, shown.as_deref().unwrap_or("-")].join(";")
        });
        let mut args = vec![waiting(site), self.service.clone(), guard, seen.collect::<Vec<_>>().join(",")];
        args.extend(self.files.iter().cloned());
        job(On::Lane, Script::RenewCertificates, args)
    }

    fn undo(&self) -> String {
        "the former certificates and keys are put back".to_owned()
    }

    fn way_back(&self, site: Site<'_>) -> Option<Call> {
        let args = std::iter::once(waiting(site)).chain(self.files.iter().cloned()).collect();
        Some(Call { script: Script::RestoreCertificates, args })
    }

    fn look_back(&self, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "the machine");
        let certificates = seen!(machine.certificates, "its certificates");
        let end = |path: &String| certificates.iter().find(|one| one.path == *path).map(|one| one.not_after);
        match self.from.iter().find(|(path, from)| end(path).is_some_and(|end| end != **from)) {
            Some((path, _)) => Look::Ready(format!("{path} is a renewed one")),
            None if self.former(certificates).1 => Look::Done,
            None => Look::Unseen("none of them is where certificates are looked for".to_owned()),
        }
    }

    fn estimate(&self) -> u64 {
        3
    }
}
