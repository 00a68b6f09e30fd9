//! Certificates for a member that joins: made on the operator's machine, signed there by the authority whose key is there, sent,
//! and put in their places. The authority's key is on no node and in no plan; a plan says where it is.

use serde::{Deserialize, Serialize};

use super::packages::trusted;
use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::call::Script;
use crate::decide::look::{Look, Sight};

/// Days for which a certificate is good: as long as those that kubeadm makes.
pub const GOOD_DAYS: i64 = 365;

/// An authority whose key is on the operator's machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// Its certificate's file, absolute.
    pub certificate: String,
    /// Its key's file, absolute.
    pub key: String,
    /// SHA-256 of its certificate (DER), hex: another one is not used.
    pub digest: String,
}

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    /// A member's own: it serves with it, and is a client of itself and of its peers.
    Member,
    /// Only a server's.
    Server,
    /// Only a client's.
    Client,
}

/// A certificate with its key, to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Its common name.
    pub name: String,
    /// Its organization, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Addresses and names that it is for.
    pub hosts: Vec<String>,
    /// What for.
    pub usage: Usage,
    /// Its file on the node.
    pub certificate: String,
    /// Its key's file on the node.
    pub key: String,
}

/// Certificates to be made, in the order in which they are sent: the authority's own first, each key behind its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Who signs them.
    pub authority: Authority,
    /// Files on the node that get the authority's certificate.
    pub authorities: Vec<String>,
    /// The others.
    pub certificates: Vec<Certificate>,
}

impl Order {
    /// The files on the node, in the order in which their content is sent.
    pub fn files(&self) -> Vec<String> {
        let pairs = self.certificates.iter().flat_map(|made| [made.certificate.clone(), made.key.clone()]);
        self.authorities.iter().cloned().chain(pairs).collect()
    }
}

/// Where they wait on a node, below Windlass's folder, until they are put in their places.
pub(super) fn waiting(site: Site<'_>) -> String {
    format!("certificates/{}/sent.pem", site.run)
}

/// Makes certificates and sends them to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendCertificates {
    /// What is made.
    pub order: Order,
}

impl Act for SendCertificates {
    fn describe(&self) -> String {
        let names: Vec<&str> = self.order.certificates.iter().map(|made| made.certificate.as_str()).collect();
        format!(
            "make keys and certificates here, good for {GOOD_DAYS} days, signed with {}, and send them: {}",
            self.order.authority.key,
            crate::text::list(&names, "and")
        )
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not made yet")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        Effect::Certify { order: self.order.clone(), name: waiting(site) }
    }

    fn undo(&self) -> String {
        "nothing to undo: they are not used yet".to_owned()
    }

    fn estimate(&self) -> u64 {
        1
    }
}

/// Puts certificates that were sent in their places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceCertificates {
    /// The service that reads them.
    pub service: String,
    /// Their files, in the order in which they were sent.
    pub files: Vec<String>,
}

impl Act for PlaceCertificates {
    fn describe(&self) -> String {
        format!("put {} certificates and keys in their places, for {}", self.files.len(), self.service)
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not in their places yet")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let mut args = vec![waiting(site), self.service.clone()];
        args.extend(self.files.iter().cloned());
        job(On::Lane, Script::PlaceCertificates, args)
    }

    fn undo(&self) -> String {
        "the former files are in the node's archive".to_owned()
    }

    fn estimate(&self) -> u64 {
        1
    }
}
