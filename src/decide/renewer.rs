//! Who renews a certificate before it ends.

use camino::Utf8Path;

use crate::facts::Certificate;
use crate::inventory::{Etcd, Topology};

/// Who renews a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Renewer {
    /// kubeadm, with every upgrade, and with `kubeadm certs renew`.
    Kubeadm,
    /// The kubelet, while it runs.
    Kubelet,
    /// The kubelet, once somebody has approved its request.
    Approved,
    /// Nobody: it is replaced by hand.
    Nobody,
}

impl Renewer {
    /// Of a certificate of a machine whose etcd is this one. kubeadm renews what it has made, which is everything below its
    /// folder but authorities, and the client's of an etcd that it does not run (kubeadm's `certs renew`).
    pub fn of(certificate: &Certificate, etcd: &Etcd) -> Self {
        let path = certificate.path.as_str();
        let made_by_kubeadm = path.starts_with("/etc/kubernetes/pki/")
            || (path.starts_with("/etc/kubernetes/") && Utf8Path::new(path).extension() == Some("conf"));
        let of_etcd = path.starts_with("/etc/kubernetes/pki/etcd/") || path.ends_with("/apiserver-etcd-client.crt");
        if certificate.authority || (of_etcd && etcd.topology == Topology::External) {
            Self::Nobody
        } else if path.starts_with("/var/lib/kubelet/pki/kubelet-server") {
            Self::Approved
        } else if path.starts_with("/var/lib/kubelet/") {
            Self::Kubelet
        } else if made_by_kubeadm {
            Self::Kubeadm
        } else {
            Self::Nobody
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Kubeadm => "kubeadm, with an upgrade",
            Self::Kubelet => "the kubelet, by itself",
            Self::Approved => "the kubelet, once approved",
            Self::Nobody => "nobody, but you",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_renews_what_depends_on_who_made_it() {
        let of = |path: &str, authority, etcd: &Etcd| {
            Renewer::of(&Certificate { path: path.to_owned(), not_after: jiff::Timestamp::UNIX_EPOCH, authority }, etcd)
        };
        let text = include_str!("../../tests/scenarios/inventory.toml");
        let external = crate::inventory::parse(text).expect("a good inventory").value.etcd;
        let stacked = Etcd { topology: Topology::Stacked, ..external.clone() };
        let table = [
            ("/etc/kubernetes/pki/ca.crt", true, Renewer::Nobody, Renewer::Nobody),
            ("/etc/kubernetes/pki/apiserver.crt", false, Renewer::Kubeadm, Renewer::Kubeadm),
            ("/etc/kubernetes/admin.conf", false, Renewer::Kubeadm, Renewer::Kubeadm),
            ("/etc/kubernetes/pki/apiserver-etcd-client.crt", false, Renewer::Nobody, Renewer::Kubeadm),
            ("/etc/kubernetes/pki/etcd/peer.crt", false, Renewer::Nobody, Renewer::Kubeadm),
            ("/etc/etcd/pki/server.crt", false, Renewer::Nobody, Renewer::Nobody),
            ("/var/lib/kubelet/pki/kubelet-client-current.pem", false, Renewer::Kubelet, Renewer::Kubelet),
            ("/var/lib/kubelet/pki/kubelet-server-current.pem", false, Renewer::Approved, Renewer::Approved),
        ];
        for (path, authority, with_external, with_stacked) in table {
            assert_eq!(
                (of(path, authority, &external), of(path, authority, &stacked)),
                (with_external, with_stacked),
                "{path}"
            );
        }
    }
}
