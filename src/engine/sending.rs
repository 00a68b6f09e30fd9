//! What is sent to a node from the operator's machine, under the lock's token: files, and certificates that are made for it.

use camino::Utf8Path;

use super::Engine;
use super::unit::LOWER_TOKEN;
use crate::decide::actions::certificates::Order;
use crate::decide::call::{Call, Script};
use crate::decide::plan::Placed;
use crate::error::{Failure, chain};
use crate::inventory::NodeName;
use crate::journal;
use crate::remote::{Output, RemoteError};

impl Engine<'_> {
    /// Sends a file to the lane's node, where it gets its name once it is whole.
    pub(super) async fn send_file(&self, placed: Placed<'_>, file: &str, args: Vec<String>) -> Result<(), Failure> {
        let _busy = self.meter.waiting(self.clock);
        let Some(node) = placed.node else { return Ok(()) };
        let call = Call { script: Script::PutFile, args };
        let sent = self.remote.send(node, &call, Utf8Path::new(file)).await;
        self.sent(placed, node, file, sent).await
    }

    /// Makes certificates, and sends them to the lane's node.
    pub(super) async fn send_certificates(
        &self,
        placed: Placed<'_>,
        order: &Order,
        name: String,
    ) -> Result<(), Failure> {
        let _busy = self.meter.waiting(self.clock);
        let Some(node) = placed.node else { return Ok(()) };
        let sent = self.remote.certify(node, self.token(), name, order).await;
        self.sent(placed, node, "certificates", sent).await
    }

    /// Has a healthy control plane introduce the lane's node.
    pub(super) async fn introduce(&self, placed: Placed<'_>, script: Vec<String>, name: String) -> Result<(), Failure> {
        let _busy = self.meter.waiting(self.clock);
        let Some(node) = placed.node else { return Ok(()) };
        let host = match self.healthy_control_plane(Some(node)).await {
            Ok(host) => host,
            Err(why) => {
                let what = format!("there is no healthy control plane that could introduce {node}");
                return Err(self.failed(placed, &what, &why, Vec::new())?);
            }
        };
        let call = Call { script: Script::Introduce, args: std::iter::once(self.token()).chain(script).collect() };
        let carried = self.remote.carry(&host, &call, node, self.token(), name).await;
        self.sent(placed, node, &format!("what {host} says to introduce it"), carried).await
    }

    async fn sent(
        &self,
        placed: Placed<'_>,
        node: &NodeName,
        what: &str,
        answer: Result<Output, RemoteError>,
    ) -> Result<(), Failure> {
        let (why, log) = match answer {
            Ok(output) if output.status == 0 => return Ok(()),
            Ok(output) if output.status == LOWER_TOKEN => {
                let event = journal::Event::Failed { step: placed.id(), why: "fenced".to_owned(), in_doubt: false };
                self.write(event)?;
                return Err(self.replaced(format!("{node} refused step {}", placed.id()), node, &output.stdout).await);
            }
            Ok(output) => (format!("status {}", output.status), output.stderr.lines().map(str::to_owned).collect()),
            Err(error) => (chain(&error).join(": "), Vec::new()),
        };
        Err(self.failed(placed, &format!("{what} could not be sent to {node}"), &why, log)?)
    }
}
