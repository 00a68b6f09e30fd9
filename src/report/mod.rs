//! Shows: values and events in, text out. It decides nothing and asks nothing.

mod back;
mod backup;
mod certificates;
mod check;
mod ending;
mod etcd;
mod findings;
mod lock;
mod needs;
mod plan;
pub mod progress;
mod retention;
mod status;

pub use backup::{Looked, backup, backup_json, verified, verified_json};
pub use certificates::{Certificates, certificates, certificates_json};
pub use check::{check, check_json};
pub use ending::{abort, finish};
pub use etcd::{etcd, etcd_json};
pub use findings::findings;
pub use lock::{lock, lock_json};
pub use needs::{needs, needs_json};
pub use plan::plan;
pub use retention::{pruning, undelivered};
pub use status::{InHand, RunView, status, status_json};

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use crate::engine::meter::Spent;
use crate::remote::ssh::NodeTime;
use crate::text;

/// Columns as wide as their widest word.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "  {}", cells.join("  ").trim_end());
    }
    out
}

/// So many subjects are named of what is alike.
const NAMED: usize = 6;

/// The first of them, and how many more there are.
fn named(subjects: &BTreeSet<&str>) -> String {
    let mut names: Vec<String> = subjects.iter().take(NAMED).map(|name| (*name).to_owned()).collect();
    if let more @ 1.. = subjects.len().saturating_sub(NAMED) {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}

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

/// How long a look at the whole cluster took. Machines are connected to at the same time, and the first are looked at while
/// the last are still being connected to: what is told of that is the slowest of them.
pub fn looked(took: Duration, nodes: &[NodeTime]) -> String {
    let connecting = nodes.iter().map(|node| node.connecting).max().unwrap_or_default();
    format!(
        "looked at {} in {:.1} s, up to {:.1} s of it connecting",
        text::count(nodes.len(), "machine"),
        took.as_secs_f64(),
        connecting.as_secs_f64(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::NodeName;

    #[test]
    fn the_slowest_connection_is_told() {
        let node = |name: &str, millis| NodeTime {
            node: NodeName::new(name).expect("a name"),
            calls: 1,
            time: Duration::from_secs(1),
            connecting: Duration::from_millis(millis),
        };
        let line = looked(Duration::from_millis(2_360), &[node("a", 120), node("b", 510), node("c", 0)]);
        assert_eq!(line, "looked at 3 machines in 2.4 s, up to 0.5 s of it connecting");
    }
}
