//! Shows: values and events in, text out. It decides nothing and asks nothing.

mod findings;
mod plan;
pub mod progress;

pub use findings::findings;
pub use plan::plan;

use crate::engine::meter::Spent;
use crate::remote::ssh::NodeTime;
use crate::text;

/// Where the time of a run went.
pub fn spent(spent: &Spent, nodes: &[NodeTime]) -> String {
    let calls: u64 = nodes.iter().map(|node| node.calls).sum();
    let all = spent.waiting + spent.remote + spent.own;
    format!(
        "took {}: {} waiting for nodes, {} in remote commands ({calls} calls), {:.2} s windlass's own ({:.1} %)",
        text::seconds(all.as_secs()),
        text::seconds(spent.waiting.as_secs()),
        text::seconds(spent.remote.as_secs()),
        spent.own.as_secs_f64(),
        spent.own_percent(),
    )
}
