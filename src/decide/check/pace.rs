//! Whether etcd's disk and network are as fast as it needs them, and its settings fit to them (etcd.io: hardware, tuning).

use std::collections::BTreeSet;

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::{Case, processes};
use crate::facts::measured::Pace;
use crate::facts::{EtcdProcess, Seen};
use crate::inventory::NodeName;

/// Of writes to the log, 99 of 100 should end within this, in microseconds.
const FSYNC_US: u64 = 10_000;
/// An election has to wait for at least as many round trips.
const ROUND_TRIPS_OF_AN_ELECTION: u64 = 10;
/// An election has to wait for at least as many heartbeats; etcd refuses to start with fewer.
const HEARTBEATS_OF_AN_ELECTION: u64 = 5;
/// Late heartbeats are nothing to speak of up to one an hour.
const HOUR_SECONDS: u64 = 3600;

pub(super) fn findings(case: Case<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut settings = BTreeSet::new();
    for (node, process) in processes(case).filter(|(_, process)| process.running) {
        if let (Seen::Known(heartbeat), Seen::Known(election)) = (&process.heartbeat_ms, &process.election_ms) {
            settings.insert((*heartbeat, *election));
        }
        match case.machine(node).map(|machine| &machine.measured.etcd) {
            Some(Seen::Known(pace)) => found.extend(of(node, process, pace)),
            Some(Seen::Unknown(why)) => {
                let detail = format!("how its member fares could not be seen: {why}");
                found.push(Finding::warning(Rule::EtcdPace, node, detail));
            }
            None => {}
        }
    }
    if settings.len() > 1 {
        let all: Vec<String> =
            settings.iter().map(|(heartbeat, election)| format!("{heartbeat}/{election} ms")).collect();
        let detail = format!(
            "members have different heartbeat and election times ({}): one that waits less than the others calls elections for nothing",
            all.join(", ")
        );
        found.push(Finding::refusal(Rule::EtcdPace, "etcd", detail));
    }
    found
}

fn of(node: &NodeName, process: &EtcdProcess, pace: &Pace) -> Vec<Finding> {
    let say = |detail: String| Finding::warning(Rule::EtcdPace, node, detail);
    let mut found = Vec::new();
    if let Some(fsync) = pace.fsync_us.filter(|fsync| *fsync > FSYNC_US) {
        let detail = format!(
            "its disk is slow: 1 of 100 writes to etcd's log takes longer than {}; {} ms at most are wanted",
            milliseconds(fsync),
            FSYNC_US / 1000
        );
        found.push(say(detail));
    }
    let (heartbeat, election) = (process.heartbeat_ms.known(), process.election_ms.known());
    if let (Some(heartbeat), Some(election), Some(trip)) = (heartbeat, election, pace.round_trip_us) {
        if trip > heartbeat.saturating_mul(1000) {
            found.push(say(format!(
                "1 of 100 round trips to another member takes longer than {}, and a heartbeat comes every {heartbeat} ms: raise --heartbeat-interval on every member",
                milliseconds(trip)
            )));
        } else if trip.saturating_mul(ROUND_TRIPS_OF_AN_ELECTION) > election.saturating_mul(1000) {
            found.push(say(format!(
                "1 of 100 round trips to another member takes longer than {}: an election time of {election} ms is less than {ROUND_TRIPS_OF_AN_ELECTION} of them",
                milliseconds(trip)
            )));
        }
        if heartbeat.saturating_mul(HEARTBEATS_OF_AN_ELECTION) > *election {
            let detail = format!(
                "an election time of {election} ms is less than {HEARTBEATS_OF_AN_ELECTION} heartbeats of {heartbeat} ms"
            );
            found.push(say(detail));
        }
    }
    let hours = pace.up_seconds / HOUR_SECONDS + 1;
    if pace.late_heartbeats > hours {
        found.push(say(format!(
            "it sent {} heartbeats late in {}: its disk or its processor is too slow or too busy",
            pace.late_heartbeats,
            crate::text::age(pace.up_seconds)
        )));
    }
    found
}

fn milliseconds(us: u64) -> String {
    if us == u64::MAX { "etcd counts".to_owned() } else { format!("{} ms", us.div_ceil(1000)) }
}
