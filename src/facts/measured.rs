//! What a machine is worth and how its servers fare, from the probe's sections `size`, `etcd-pace` and `api-requests`.
//!
//! Pure. It is looked at for `windlass check` only, and not saved.

use super::sections::{Answer, beginning, seen, value};
use super::{Seen, unasked};

/// What was measured on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Processors and memory.
    pub size: Seen<Size>,
    /// How its member of etcd fares.
    pub etcd: Seen<Pace>,
    /// What its API server has to do.
    pub api: Seen<Requests>,
}

impl Default for Measured {
    fn default() -> Self {
        Self { size: unasked(), etcd: unasked(), api: unasked() }
    }
}

/// Processors and memory of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Processors that may be used.
    pub cores: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

/// How a member of etcd fares since it was started, from its own metrics. Of times it tells buckets: 99 of 100 were not longer
/// than this, about. `None` when none was counted; `u64::MAX` when they were longer than the longest that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Writing the log to disk, in microseconds.
    pub fsync_us: Option<u64>,
    /// Round trips to the slowest of the other members, in microseconds.
    pub round_trip_us: Option<u64>,
    /// Heartbeats that it sent late, while it led.
    pub late_heartbeats: u64,
    /// How long it runs, in seconds.
    pub up_seconds: u64,
}

/// Requests of readers at an API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests {
    /// The most that were in flight within the last second.
    pub in_flight: u64,
    /// As many as are let in at once (`--max-requests-inflight`).
    pub limit: u64,
}

/// An API server's default for `--max-requests-inflight`.
const REQUESTS_IN_FLIGHT: u64 = 400;

impl Measured {
    /// Reads the sections.
    pub(super) fn read(answer: &Answer<'_>) -> Self {
        Self {
            size: seen(answer.section("size").and_then(size)),
            etcd: seen(answer.section("etcd-pace").and_then(pace)),
            api: seen(answer.section("api-requests").and_then(requests)),
        }
    }
}

/// Lines `cores N` and `memory KIBIBYTES`.
fn size(lines: &[&str]) -> Result<Size, String> {
    let number = |key: &str| {
        let text = value(lines, key).unwrap_or_default().trim();
        text.parse::<u64>().map_err(|_| format!("{key} `{}`?", beginning(text)))
    };
    Ok(Size { cores: number("cores")?, memory_bytes: number("memory")?.saturating_mul(1024) })
}

/// Some of etcd's metrics, as it prints them, behind a line `now SECONDS`.
fn pace(lines: &[&str]) -> Result<Pace, String> {
    let now = value(lines, "now").and_then(|now| now.trim().parse::<f64>().ok()).ok_or("the machine has no clock")?;
    let single = |name: &str| value(lines, name).and_then(|number| number.trim().parse::<f64>().ok());
    let started = single("process_start_time_seconds").ok_or("etcd does not tell when it was started")?;
    let fsync = histograms(lines, "etcd_disk_wal_fsync_duration_seconds_bucket");
    let round_trips = histograms(lines, "etcd_network_peer_round_trip_time_seconds_bucket");
    let slowest = |all: Vec<Vec<Bucket>>| all.iter().filter_map(|buckets| most_of(buckets)).max();
    Ok(Pace {
        fsync_us: slowest(fsync),
        round_trip_us: slowest(round_trips),
        late_heartbeats: whole(single("etcd_server_heartbeat_send_failures_total").unwrap_or(0.0)),
        up_seconds: whole(now - started),
    })
}

/// How many were not longer than this, in microseconds.
struct Bucket {
    upto_us: u64,
    count: f64,
}

/// The buckets of each series of a histogram: lines of `NAME{…,le="SECONDS"} COUNT`, one series after the other.
fn histograms(lines: &[&str], name: &str) -> Vec<Vec<Bucket>> {
    let mut all: Vec<(&str, Vec<Bucket>)> = Vec::new();
    for line in lines {
        let Some((labels, count)) = line.strip_prefix(name).and_then(|rest| rest.strip_prefix('{')?.split_once("} "))
        else {
            continue;
        };
        let Some((series, le)) = labels.rsplit_once("le=\"") else { continue };
        let le = le.trim_end_matches('"');
        let upto_us = match le {
            "+Inf" => u64::MAX,
            seconds => whole(seconds.parse::<f64>().unwrap_or(f64::MAX) * 1e6),
        };
        let bucket = Bucket { upto_us, count: count.trim().parse().unwrap_or(0.0) };
        match all.last_mut().filter(|(known, _)| *known == series) {
            Some((_, buckets)) => buckets.push(bucket),
            None => all.push((series, vec![bucket])),
        }
    }
    all.into_iter().map(|(_, buckets)| buckets).collect()
}

/// The time that 99 of 100 did not pass: within a bucket by the share that is needed of it, as Prometheus does
/// (`histogram_quantile`).
fn most_of(buckets: &[Bucket]) -> Option<u64> {
    let all = buckets.last().map(|bucket| bucket.count).filter(|count| *count > 0.0)?;
    let wanted = all * 0.99;
    let at = buckets.iter().position(|bucket| bucket.count >= wanted)?;
    let (from_us, below) =
        at.checked_sub(1).map_or((0, 0.0), |before| (buckets[before].upto_us, buckets[before].count));
    let Bucket { upto_us, count } = buckets[at];
    if upto_us == u64::MAX {
        return Some(u64::MAX);
    }
    #[expect(clippy::cast_precision_loss, reason = "microseconds of less than a minute")]
    let inside = (upto_us - from_us) as f64 * ((wanted - below) / (count - below));
    Some(from_us + whole(inside))
}

/// The whole number nearest to this one, within what a `u64` holds.
fn whole(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let whole = number.round() as u64;
    whole
}

/// Lines `in-flight N` and, where it is set, `limit N`.
fn requests(lines: &[&str]) -> Result<Requests, String> {
    let number = |key: &str| value(lines, key).map(|text| text.trim().parse::<f64>().map(whole));
    let unreadable = |_| "the API server's metrics cannot be read".to_owned();
    let in_flight = number("in-flight").ok_or("the API server does not count requests")?.map_err(unreadable)?;
    let limit = number("limit").transpose().map_err(unreadable)?.unwrap_or(REQUESTS_IN_FLIGHT);
    Ok(Requests { in_flight, limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_tell_what_most_writes_took() {
        let fsync = "etcd_disk_wal_fsync_duration_seconds_bucket";
        let peer = "etcd_network_peer_round_trip_time_seconds_bucket";
        let lines = [
            "now 1100",
            &format!("{fsync}{{le=\"0.001\"}} 900"),
            &format!("{fsync}{{le=\"0.016\"}} 1000"),
            &format!("{fsync}{{le=\"8.192\"}} 1000"),
            &format!("{fsync}{{le=\"+Inf\"}} 1000"),
            &format!("{peer}{{To=\"a\",le=\"0.0001\"}} 0"),
            &format!("{peer}{{To=\"a\",le=\"+Inf\"}} 0"),
            &format!("{peer}{{To=\"b\",le=\"0.0001\"}} 3"),
            &format!("{peer}{{To=\"b\",le=\"0.0032\"}} 200"),
            &format!("{peer}{{To=\"b\",le=\"+Inf\"}} 200"),
            "etcd_server_heartbeat_send_failures_total 7",
            "process_start_time_seconds 1e+03",
        ];
        let wanted = Pace { fsync_us: Some(14_500), round_trip_us: Some(3_169), late_heartbeats: 7, up_seconds: 100 };
        assert_eq!(pace(&lines), Ok(wanted));
        let none = Pace { fsync_us: None, round_trip_us: None, late_heartbeats: 0, ..wanted };
        assert_eq!(pace(&[lines[0], lines[11]]), Ok(none));
        let beyond = [lines[0], lines[11], &format!("{fsync}{{le=\"1\"}} 1"), &format!("{fsync}{{le=\"+Inf\"}} 9")];
        assert_eq!(pace(&beyond).expect("a pace").fsync_us, Some(u64::MAX));
        assert!(pace(&lines[1..]).is_err() && pace(&lines[..11]).is_err());
    }

    #[test]
    fn sizes_and_requests_are_numbers_or_unknown() {
        assert_eq!(size(&["cores 2", "memory 8"]), Ok(Size { cores: 2, memory_bytes: 8192 }));
        assert!(size(&["cores two", "memory 8"]).is_err_and(|why| why.contains("`two`")));
        assert_eq!(requests(&["in-flight 3"]), Ok(Requests { in_flight: 3, limit: 400 }));
        assert_eq!(requests(&["in-flight 3e+02", "limit 800"]), Ok(Requests { in_flight: 300, limit: 800 }));
        assert!(requests(&["limit 800"]).is_err());
    }
}
