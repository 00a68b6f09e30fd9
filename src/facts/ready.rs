//! What `member-ready.sh` prints of a machine that is to become a member of etcd → [`Ready`].
//!
//! Pure. Certificates are read here; whether a key belongs to one, and who signed it, the machine says where it has openssl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;
use jiff::Timestamp;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::sections::{Answer, AnswerError, values};
use crate::text::hex;

/// What a machine has for becoming a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// Whether its systemd knows the service.
    pub service: bool,
    /// The certificates, by the paths that were asked for.
    pub certificates: Vec<(String, Result<Certified, String>)>,
    /// Files among them that hold more than one certificate.
    pub several: Vec<String>,
    /// Keys by their paths: whether each is its certificate's; `None` where nobody could say.
    pub keys: Vec<(String, Option<bool>)>,
    /// Certificates by their paths: whether each is signed by its CA; `None` where nobody could say.
    pub signed: Vec<(String, Option<bool>)>,
}

/// What a certificate says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certified {
    /// SHA-256 of it, hex.
    pub digest: String,
    /// When it begins.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// Addresses and names that it is for.
    pub names: Vec<String>,
    /// Its common name, where it has one.
    pub common_name: Option<String>,
    /// Its organization, where it has one.
    pub organization: Option<String>,
    /// Whether it may be a server's. One that says nothing of what it is for may be anybody's.
    pub server: bool,
    /// Whether it may be a client's.
    pub client: bool,
    /// Whether it has names that are not told here: of other kinds, or several where one is told.
    pub more: bool,
}

/// Reads the answer.
pub fn parse(stdout: &str) -> Result<Ready, AnswerError> {
    let answer = Answer::read(stdout)?;
    let lines = answer.section("ready").unwrap_or(&[]);
    let certificate = |line: &str| {
        let (body, path) = line.split_once(' ').unwrap_or(("none", line));
        (path.to_owned(), certified(body))
    };
    let said = |line: &str| {
        let (word, path) = line.split_once(' ').unwrap_or((line, ""));
        let said = match word {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        };
        (path.to_owned(), said)
    };
    Ok(Ready {
        service: values(lines, "service").any(|state| state.trim() == "loaded"),
        certificates: values(lines, "certificate").map(certificate).collect(),
        several: values(lines, "several").map(str::to_owned).collect(),
        keys: values(lines, "key").map(said).collect(),
        signed: values(lines, "signed").map(said).collect(),
    })
}

fn certified(body: &str) -> Result<Certified, String> {
    if body == "none" {
        return Err("there is no certificate in it".to_owned());
    }
    let der = BASE64.decode(body.as_bytes()).map_err(|_| "its certificate is not base64")?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| "its certificate is malformed")?;
    let time = |seconds: i64| {
        let within = seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        Timestamp::from_second(within).map_err(|_| "its dates cannot be counted".to_owned())
    };
    let alternatives = certificate.subject_alternative_name().map_err(|_| "its names are malformed")?;
    let alternatives = alternatives.map_or(&[][..], |names| &names.value.general_names);
    let names: Vec<String> = alternatives.iter().filter_map(name).collect();
    let usage = certificate.extended_key_usage().map_err(|_| "what it is for is malformed")?.map(|usage| usage.value);
    let subject = certificate.subject();
    let common: Vec<&str> = subject.iter_common_name().filter_map(|name| name.as_str().ok()).collect();
    let organizations: Vec<&str> = subject.iter_organization().filter_map(|name| name.as_str().ok()).collect();
    let more = names.len() < alternatives.len()
        || subject.iter_attributes().count() > common.len().min(1) + organizations.len().min(1);
    let validity = certificate.validity();
    Ok(Certified {
        digest: hex(&<sha2::Sha256 as sha2::Digest>::digest(&der)),
        not_before: time(validity.not_before.timestamp())?,
        not_after: time(validity.not_after.timestamp())?,
        names,
        common_name: common.first().map(|name| (*name).to_owned()),
        organization: organizations.first().map(|name| (*name).to_owned()),
        server: usage.is_none_or(|usage| usage.server_auth || usage.any),
        client: usage.is_none_or(|usage| usage.client_auth || usage.any),
        more,
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)))).ok()
}
