//! The certificates that `probe.sh` prints → when they end.
//!
//! Pure. Each is printed whole, so that no program on the machine has to read it.

use data_encoding::BASE64;
use jiff::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate, parse_x509_pem};

use super::Certificate;
use super::sections::values;

/// Lines of `certificate BODY PATH` and `kubeconfig DATA PATH`, both base64: of a certificate, and of a file that holds one.
/// One that cannot be read is an error with its path: passed over, it would seem to have no end.
pub(super) fn read(lines: &[&str]) -> Result<Vec<Certificate>, String> {
    let plain = values(lines, "certificate").map(|line| certificate(line, |der| Ok(der.to_vec())));
    let inside = values(lines, "kubeconfig").map(|line| certificate(line, out_of_pem));
    plain.chain(inside).collect()
}

fn certificate(line: &str, der: fn(&[u8]) -> Result<Vec<u8>, &'static str>) -> Result<Certificate, String> {
    let (body, path) = line.split_once(' ').unwrap_or(("none", line));
    let read = decoded(body).and_then(|bytes| der(&bytes)).and_then(|der| end(&der));
    let (not_after, authority) = read.map_err(|why| format!("{path} does not tell when it ends: {why}"))?;
    Ok(Certificate { path: path.to_owned(), not_after, authority })
}

fn decoded(body: &str) -> Result<Vec<u8>, &'static str> {
    match body {
        "none" => Err("there is no certificate in it"),
        body => BASE64.decode(body.as_bytes()).map_err(|_| "its certificate is not base64"),
    }
}

fn out_of_pem(file: &[u8]) -> Result<Vec<u8>, &'static str> {
    match parse_x509_pem(file) {
        Ok((_, pem)) if pem.label == "CERTIFICATE" => Ok(pem.contents),
        _ => Err("its certificate is not in PEM"),
    }
}

/// When it ends, and whether it is an authority's.
fn end(der: &[u8]) -> Result<(Timestamp, bool), &'static str> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| "its certificate is malformed")?;
    let seconds = certificate.validity().not_after.timestamp();
    // The last second of 9999, which stands for "never", is hours later than the last that can be counted.
    let end =
        Timestamp::from_second(seconds.min(Timestamp::MAX.as_second())).map_err(|_| "its end cannot be counted")?;
    Ok((end, certificate.is_ca()))
}

/// Whether the certificate with this body (base64) may be a client's towards a server: it says so, or says nothing of what
/// it is for.
pub(super) fn is_for_clients(body: &str) -> bool {
    let Ok(der) = decoded(body) else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(&der) else { return false };
    match certificate.extended_key_usage() {
        Ok(Some(usage)) => usage.value.client_auth || usage.value.any,
        Ok(None) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL_PLANE: &str = include_str!("../../tests/fixtures/probe/control-plane.txt");

    fn printed(path: &str) -> &'static str {
        let ending = format!(" {path}");
        CONTROL_PLANE.lines().find(|line| line.ends_with(&ending)).expect("it is in the fixture").trim()
    }

    fn why(line: &str) -> String {
        read(&[line]).expect_err("it cannot be read")
    }

    #[test]
    fn both_forms_tell_their_end() {
        let lines = [printed("/etc/kubernetes/pki/apiserver.crt"), printed("/etc/kubernetes/admin.conf")];
        let ends: Vec<_> = read(&lines).expect("two").iter().map(|c| format!("{} {}", c.path, c.not_after)).collect();
        let wanted = [
            "/etc/kubernetes/pki/apiserver.crt 2027-11-22T20:05:39Z",
            "/etc/kubernetes/admin.conf 2027-11-22T20:05:47Z",
        ];
        assert_eq!(ends, wanted);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(why("certificate none /a b"), "/a b does not tell when it ends: there is no certificate in it");
        assert!(why("kubeconfig none /k").starts_with("/k "));
        assert!(why("certificate x! /a").ends_with("not base64"));
        assert!(why("certificate aGVsbG8= /a").ends_with("malformed"));
        assert!(why("kubeconfig aGVsbG8= /a").ends_with("not in PEM"));
        assert!(why("certificate ").contains("no certificate"));
    }

    #[test]
    fn a_certificate_cut_short_anywhere_is_named() {
        let line = printed("/etc/kubernetes/pki/apiserver.crt");
        let (body, path) = line["certificate ".len()..].split_once(' ').expect("two words");
        let whole = BASE64.decode(body.as_bytes()).expect("base64");
        for length in 0..whole.len() {
            let cut = format!("certificate {} {path}", BASE64.encode(&whole[..length]));
            assert!(why(&cut).starts_with(path), "{length}");
        }
    }

    #[test]
    fn no_changed_byte_makes_it_panic() {
        let line = printed("/etc/kubernetes/pki/apiserver.crt");
        let (body, path) = line["certificate ".len()..].split_once(' ').expect("two words");
        let mut bytes = BASE64.decode(body.as_bytes()).expect("base64");
        for at in 0..bytes.len() {
            let kept = bytes[at];
            for other in [0, 0x7f, 0x80, 0xff, kept ^ 1] {
                bytes[at] = other;
                let _ = read(&[&format!("certificate {} {path}", BASE64.encode(&bytes))]);
            }
            bytes[at] = kept;
        }
    }
}
