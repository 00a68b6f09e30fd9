//! An authority whose key is on this machine: keys and certificates are made here and signed with it. The authority's key is
//! read, used and wiped; it is sent nowhere. What is made for a node is in memory and in a file without a name, which ssh reads.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use camino::Utf8Path;
use jiff::{SignedDuration, Timestamp};
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier};
use pkcs8::der::{Decode as _, Encode as _, SliceReader};
use pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfo};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::nameless::Nameless;
use crate::decide::actions::certificates::{Authority, Certificate, GOOD_DAYS, Order, Usage};
use crate::text::hex;

/// Why nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read, or one without a name not be made.
    #[error("{what}: {cause}")]
    File {
        /// Which, or what was tried.
        what: String,
        /// Why.
        cause: std::io::Error,
    },
    /// It is no certificate of an authority.
    #[error("{path}: {why}")]
    Certificate {
        /// Its file.
        path: String,
        /// In words.
        why: String,
    },
    /// It is no key that can be used here.
    #[error("{path}: {why}")]
    Key {
        /// Its file.
        path: String,
        /// In words.
        why: String,
    },
    /// What was asked for cannot be made.
    #[error("no certificate could be made for {name}: {why}")]
    Unmade {
        /// Its common name.
        name: String,
        /// In words.
        why: String,
    },
}

/// The authority in these files of this machine, once it is seen that the key is the certificate's and that it may sign.
pub fn authority(certificate: &Utf8Path, key: &Utf8Path) -> Result<Authority, AuthorityError> {
    let found = Authority { certificate: certificate.to_string(), key: key.to_string(), digest: String::new() };
    let opened = Opened::open(&found)?;
    Ok(Authority { digest: opened.digest, ..found })
}

/// For how many years an authority that is made here is good: as long as those that kubeadm makes.
pub const GOOD_YEARS: i64 = 10;

/// Makes an authority: its certificate, and its key, 0600. What is at either place already is never written over.
pub fn make(name: &str, certificate: &Utf8Path, key: &Utf8Path) -> Result<Authority, AuthorityError> {
    let failed = |error: rcgen::Error| AuthorityError::Unmade { name: name.to_owned(), why: error.to_string() };
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let now = Timestamp::now();
    good(&mut params, now, now + SignedDuration::from_hours(24 * 365 * GOOD_YEARS));
    let pair = KeyPair::generate().map_err(failed)?;
    let made = params.self_signed(&pair).map_err(failed)?;
    write_new(key, 0o600, &Zeroizing::new(pair.serialize_pem()))?;
    write_new(certificate, 0o644, &made.pem()).inspect_err(|_| {
        // The key of no certificate is of no use, and would be in the way of the next try.
        let _ = std::fs::remove_file(key);
    })?;
    authority(certificate, key)
}

/// A new file, on disk before anybody relies on it.
fn write_new(path: &Utf8Path, mode: u32, text: &str) -> Result<(), AuthorityError> {
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|cause| AuthorityError::File { what: format!("{path} cannot be written"), cause })
}

/// From when until when a certificate is good. Clocks of nodes may be slow.
fn good(params: &mut CertificateParams, now: Timestamp, until: Timestamp) {
    let at = |moment: Timestamp| {
        date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(moment.as_second()).unwrap_or_default())
    };
    params.not_before = at(now - DAY);
    params.not_after = at(until);
}

/// An authority that can sign.
struct Opened {
    issuer: Issuer<'static, KeyPair>,
    /// Its own name, as its certificate has it.
    subject: Vec<u8>,
    pem: String,
    digest: String,
    ends: Timestamp,
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

impl Opened {
    fn open(at: &Authority) -> Result<Self, AuthorityError> {
        let file = |path: &String| {
            let cause = |cause| AuthorityError::File { what: format!("{path} cannot be read"), cause };
            std::fs::read(path).map(Zeroizing::new).map_err(cause)
        };
        let not_one = |why: &str| AuthorityError::Certificate { path: at.certificate.clone(), why: why.to_owned() };
        let no_key = |why: &str| AuthorityError::Key { path: at.key.clone(), why: why.to_owned() };
        let text = file(&at.certificate)?;
        let mut certificates = CertificateDer::pem_slice_iter(&text);
        let der = certificates.next().and_then(Result::ok).ok_or_else(|| not_one("there is no certificate in it"))?;
        if certificates.next().is_some() {
            return Err(not_one(
                "it holds several certificates: give the one that signs, and be sure that members trust it alone",
            ));
        }
        let (_, read) = X509Certificate::from_der(&der).map_err(|_| not_one("its certificate is malformed"))?;
        if !read.is_ca() {
            return Err(not_one("its certificate is not an authority's"));
        }
        let latest = Timestamp::MAX.as_second();
        let ends = Timestamp::from_second(read.validity().not_after.timestamp().min(latest))
            .map_err(|_| not_one("its end cannot be counted"))?;
        if ends < Timestamp::now() + DAY {
            return Err(not_one(&format!("it ends on {ends}")));
        }
        let key = PrivateKeyDer::from_pem_slice(&file(&at.key)?)
            .map_err(|_| no_key("there is no private key in it, or an encrypted one"))?;
        let key = pkcs8(&key).ok_or_else(|| no_key("its key is of a kind that is not known here"))?;
        let key = KeyPair::try_from(&PrivatePkcs8KeyDer::from(&key[..]))
            .map_err(|_| no_key("its key is neither RSA, ECDSA on P-256 or P-384, nor Ed25519"))?;
        if key.subject_public_key_info() != read.public_key().raw {
            return Err(no_key(&format!("it is not the key of {}", at.certificate)));
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| not_one(&error.to_string()))?;
        let (pem, digest) = (pem(&der), hex(&Sha256::digest(&der)));
        let opened = Self { issuer, subject: read.subject().as_raw().to_vec(), pem, digest, ends };
        // Before anything is planned with it: a name of a kind that is written otherwise here than in its certificate.
        opened.certify(&Certificate {
            name: "trial".to_owned(),
            organization: None,
            hosts: Vec::new(),
            usage: Usage::Client,
            certificate: String::new(),
            key: String::new(),
        })?;
        Ok(opened)
    }

    /// A certificate and its key, as PEM.
    fn certify(&self, wanted: &Certificate) -> Result<(String, Zeroizing<String>), AuthorityError> {
        let unmade = |why: String| AuthorityError::Unmade { name: wanted.name.clone(), why };
        let failed = |error: rcgen::Error| unmade(error.to_string());
        let mut params = CertificateParams::default();
        if let Some(organization) = &wanted.organization {
            params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
        }
        params.distinguished_name.push(DnType::CommonName, wanted.name.as_str());
        for host in &wanted.hosts {
            params.subject_alt_names.push(match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(host.as_str().try_into().map_err(failed)?),
            });
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = match wanted.usage {
            Usage::Member => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        let now = Timestamp::now();
        good(&mut params, now, self.ends.min(now + SignedDuration::from_hours(24 * GOOD_DAYS)));
        let key = KeyPair::generate().map_err(failed)?;
        let made = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let (_, read) = X509Certificate::from_der(made.der()).map_err(|error| unmade(error.to_string()))?;
        if read.issuer().as_raw() != self.subject {
            return Err(unmade("the authority's name cannot be written here as its certificate has it".to_owned()));
        }
        Ok((made.pem(), Zeroizing::new(key.serialize_pem())))
    }
}

/// A key as ring takes it. OpenSSL and kubeadm write the older forms of RSA and of elliptic curves, too.
fn pkcs8(key: &PrivateKeyDer<'_>) -> Option<Zeroizing<Vec<u8>>> {
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    const ELLIPTIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    let algorithm = |oid, parameters| AlgorithmIdentifierRef { oid, parameters: Some(parameters) };
    let wrapped = |algorithm: AlgorithmIdentifierRef<'_>, key: &[u8]| {
        PrivateKeyInfo::new(algorithm, key).to_der().ok().map(Zeroizing::new)
    };
    match key {
        PrivateKeyDer::Pkcs8(key) => Some(Zeroizing::new(key.secret_pkcs8_der().to_vec())),
        PrivateKeyDer::Pkcs1(key) => wrapped(algorithm(RSA, AnyRef::NULL), key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(key) => {
            let curve = curve(key.secret_sec1_der())?;
            wrapped(algorithm(ELLIPTIC, AnyRef::from(&curve)), key.secret_sec1_der())
        }
        _ => None,
    }
}

/// The curve that a SEC 1 key names: `SEQUENCE { 1, OCTET STRING, [0] OBJECT IDENTIFIER, [1] … }` (RFC 5915).
fn curve(key: &[u8]) -> Option<ObjectIdentifier> {
    use pkcs8::der::asn1::{ContextSpecific, OctetStringRef};
    use pkcs8::der::{Reader as _, TagNumber};
    let mut reader = SliceReader::new(key).ok()?;
    reader
        .sequence(|inside| {
            u8::decode(inside)?;
            OctetStringRef::decode(inside)?;
            let curve = ContextSpecific::<ObjectIdentifier>::decode_explicit(inside, TagNumber::N0)?;
            // The public key, which may follow.
            inside.read_slice(inside.remaining_len())?;
            Ok(curve.map(|curve| curve.value))
        })
        .ok()?
}

/// A certificate as PEM.
fn pem(der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Makes what is ordered: parts that begin with a line `--- NUMBER`, in the order's own order.
pub(super) fn issue(order: &Order) -> Result<Nameless, AuthorityError> {
    let opened = Opened::open(&order.authority)?;
    if opened.digest != order.authority.digest {
        let why = "it is another certificate than the one that was planned with".to_owned();
        return Err(AuthorityError::Certificate { path: order.authority.certificate.clone(), why });
    }
    let mut text = Zeroizing::new(String::new());
    let mut number = 0;
    let mut part = |content: &str| {
        number += 1;
        // A copy of a key that is not wiped would stay in memory.
        for piece in ["--- ", &number.to_string(), "\n", content] {
            text.push_str(piece);
        }
    };
    order.authorities.iter().for_each(|_| part(&opened.pem));
    for wanted in &order.certificates {
        let (certificate, key) = opened.certify(wanted)?;
        part(&certificate);
        part(&key);
    }
    Nameless::of(text.as_bytes())
        .map_err(|cause| AuthorityError::File { what: "no file could be made".to_owned(), cause })
}

#[cfg(test)]
mod tests;
