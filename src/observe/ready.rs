//! What a machine that is to become a member of etcd has for it.

use super::{answer, reason};
use crate::decide::call::{Call, Script};
use crate::decide::members::Paths;
use crate::facts::Seen;
use crate::facts::ready::{self, Ready};
use crate::inventory::{Inventory, NodeName};
use crate::remote::Remote;

/// Looks at the service and the certificates on `node`.
pub async fn ready(remote: &dyn Remote, inventory: &Inventory, node: &NodeName, paths: &Paths) -> Seen<Ready> {
    let pairs: Vec<String> = paths.pairs.iter().map(|pair| pair.join(":")).collect();
    let args = vec![inventory.etcd.service.clone(), paths.certificates.join(","), pairs.join(",")];
    let stdout = match answer(remote, node, &Call { script: Script::MemberReady, args }).await {
        Ok(stdout) => stdout,
        Err(why) => return Seen::Unknown(why),
    };
    match ready::parse(&stdout) {
        Ok(ready) => Seen::Known(ready),
        Err(error) => Seen::Unknown(reason(&error)),
    }
}
