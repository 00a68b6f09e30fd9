//! What Prometheus is told of a cluster's backups, in the text format of node exporter's textfile collector. Pure.
//!
//! One file a cluster. Each run replaces what it knows and leaves the rest: a backup that failed leaves the time of the last
//! good one, which then grows old, and that is what an alert watches.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use crate::text::quoted;

/// What is told of one cluster; what is not known is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The cluster's name, the only label.
    pub cluster: String,
    /// When the last backup that was taken, verified and stored everywhere was begun.
    pub last_success: Option<Timestamp>,
    /// The size of its snapshot as it is stored.
    pub size: Option<u64>,
    /// How long it took, verification and storing included.
    pub duration: Option<Duration>,
    /// Whether the last backup that was looked at was whole.
    pub verified: Option<bool>,
    /// Whether the last backup that was restored for a trial came up and was what its manifest says.
    pub proven: Option<bool>,
    /// When a backup was last restored for a trial with success.
    pub last_proven: Option<Timestamp>,
}

/// One line: its name, what it is, and its value as text.
type Line = (&'static str, &'static str, fn(&Metrics) -> Option<String>);

/// In the order in which they are written.
const LINES: [Line; 6] = [
    (
        "windlass_etcd_backup_last_success_timestamp_seconds",
        "When the last etcd backup began that was taken, verified and stored at every destination.",
        |metrics| metrics.last_success.map(|time| time.as_second().to_string()),
    ),
    ("windlass_etcd_backup_size_bytes", "Size of the last etcd backup's snapshot as it is stored.", |metrics| {
        metrics.size.map(|bytes| bytes.to_string())
    }),
    (
        "windlass_etcd_backup_duration_seconds",
        "How long the last etcd backup took, verification and storing included.",
        |metrics| metrics.duration.map(|time| format!("{:.3}", time.as_secs_f64())),
    ),
    ("windlass_etcd_backup_verified", "1 if the etcd backup that was read last was whole, 0 if not.", |metrics| {
        metrics.verified.map(|good| u8::from(good).to_string())
    }),
    (
        "windlass_etcd_backup_proven",
        "1 if the etcd backup that was restored for a trial last came up as its manifest says, 0 if not.",
        |metrics| metrics.proven.map(|good| u8::from(good).to_string()),
    ),
    (
        "windlass_etcd_backup_last_proven_timestamp_seconds",
        "When an etcd backup was last restored for a trial with success.",
        |metrics| metrics.last_proven.map(|time| time.as_second().to_string()),
    ),
];

/// Why a text is not one of these files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// A line that Windlass does not write.
    #[error("line {line} is none of windlass's: {}", quoted(.text))]
    Line {
        /// Which, from 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// The metrics of another cluster.
    #[error("it tells of the cluster {}", quoted(.0))]
    Cluster(String),
}

impl Metrics {
    /// Nothing known yet.
    pub fn new(cluster: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            last_success: None,
            size: None,
            duration: None,
            verified: None,
            proven: None,
            last_proven: None,
        }
    }

    /// The file.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let cluster = self.cluster.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        for (name, help, value) in LINES {
            if let Some(value) = value(self) {
                let _ = write!(
                    text,
                    "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{cluster=\"{cluster}\"}} {value}\n"
                );
            }
        }
        text
    }

    /// Reads what an earlier run wrote about the same cluster. Refuses what is another's: it would be lost.
    pub fn parse(text: &str, cluster: &str) -> Result<Self, MetricsError> {
        let mut metrics = Self::new(cluster);
        for (index, line) in text.lines().enumerate() {
            let wrong = || MetricsError::Line { line: index + 1, text: line.to_owned() };
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.split(' ');
                let ours = matches!(words.next(), Some("HELP" | "TYPE")) && words.next().is_some_and(is_ours);
                if !ours {
                    return Err(wrong());
                }
                continue;
            }
            let (name, rest) = line.split_once("{cluster=\"").ok_or_else(wrong)?;
            let (found, value) = rest.split_once("\"} ").ok_or_else(wrong)?;
            if found != cluster {
                return Err(MetricsError::Cluster(found.to_owned()));
            }
            metrics.set(name, value).ok_or_else(wrong)?;
        }
        Ok(metrics)
    }

    /// Takes one value; nothing when it is none of these.
    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        let time = |value: &str| Timestamp::from_second(value.parse().ok()?).ok();
        let truth = |value: &str| match value {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        };
        match name.strip_prefix("windlass_etcd_backup_")? {
            "last_success_timestamp_seconds" => self.last_success = Some(time(value)?),
            "size_bytes" => self.size = Some(value.parse().ok()?),
            "duration_seconds" => self.duration = Some(Duration::try_from_secs_f64(value.parse().ok()?).ok()?),
            "verified" => self.verified = Some(truth(value)?),
            "proven" => self.proven = Some(truth(value)?),
            "last_proven_timestamp_seconds" => self.last_proven = Some(time(value)?),
            _ => return None,
        }
        Some(())
    }
}

fn is_ours(name: &str) -> bool {
    LINES.iter().any(|(ours, ..)| *ours == name)
}

#[cfg(test)]
mod tests;
