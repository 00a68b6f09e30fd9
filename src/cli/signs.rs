//! The authority of an external etcd, as commands are told of it: two files of the operator's machine.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::decide::actions::certificates::Authority;
use crate::error::{Exit, Failure};
use crate::remote::authority;

/// Who signs certificates for machines of an external etcd.
#[derive(Debug, Args)]
pub(in crate::cli) struct Signs {
    /// Make the certificates that are needed, those for clients on the machines too, signed with this authority
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    ca_cert: Option<Utf8PathBuf>,
    /// The authority's key, on this machine; it is sent nowhere, and `apply` reads it again
    #[arg(long, value_name = "FILE", requires = "ca_cert")]
    ca_key: Option<Utf8PathBuf>,
}

impl Signs {
    /// The authority, once it is seen that it can sign; nothing when none is named.
    pub(in crate::cli) fn authority(&self) -> Result<Option<Authority>, Failure> {
        let (Some(certificate), Some(key)) = (&self.ca_cert, &self.ca_key) else { return Ok(None) };
        let found = authority::authority(&absolute(certificate)?, &absolute(key)?);
        found.map(Some).map_err(|error| {
            Failure::new(Exit::InvalidFile, "no certificates can be made with this authority")
                .because(error.to_string())
        })
    }
}

/// A path from the root on.
pub(in crate::cli) fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
    camino::absolute_utf8(path)
        .map_err(|error| Failure::new(Exit::InvalidFile, format!("{path} is no path")).because(error.to_string()))
}
