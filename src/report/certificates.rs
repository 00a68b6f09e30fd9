//! Certificates as a person reads them, those that end first on top, and as a program does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{named, table};
use crate::decide::renewer::Renewer;
use crate::facts::{NodeFacts, Seen};
use crate::inventory::Inventory;
use crate::text;

/// The certificates of a cluster's machines.
#[derive(Debug)]
pub struct Certificates {
    taken_at: Timestamp,
    all: Vec<One>,
    /// The machines whose certificates were not seen, and why.
    pub unseen: Vec<(String, String)>,
}

/// One certificate on one machine.
#[derive(Debug)]
struct One {
    machine: String,
    path: String,
    ends: Timestamp,
    authority: bool,
    renewer: Renewer,
}

impl Certificates {
    /// What was seen of the machines at a time.
    pub fn of(inventory: &Inventory, (taken_at, machines): &(Timestamp, Vec<NodeFacts>)) -> Self {
        let (mut all, mut unseen) = (Vec::new(), Vec::new());
        for node in machines {
            let seen = match &node.machine {
                Seen::Known(machine) => machine.certificates.as_ref(),
                Seen::Unknown(why) => Seen::Unknown(why.clone()),
            };
            match seen {
                Seen::Unknown(why) => unseen.push((node.name.to_string(), why)),
                Seen::Known(certificates) => all.extend(certificates.iter().map(|certificate| One {
                    machine: node.name.to_string(),
                    path: certificate.path.clone(),
                    ends: certificate.not_after,
                    authority: certificate.authority,
                    renewer: Renewer::of(certificate, &inventory.etcd),
                })),
            }
        }
        Self { taken_at: *taken_at, all, unseen }
    }

    fn days(&self, ends: Timestamp) -> i64 {
        (ends.as_second() - self.taken_at.as_second()).div_euclid(86400)
    }
}

/// Certificates as text. Those of one name that end on one day stand on one line.
pub fn certificates(certificates: &Certificates) -> String {
    let mut alike: BTreeMap<(String, &str, Renewer, bool), BTreeSet<&str>> = BTreeMap::new();
    let mut days = BTreeMap::new();
    for one in &certificates.all {
        let day = one.ends.to_string().chars().take(10).collect::<String>();
        days.entry(day.clone()).or_insert_with(|| certificates.days(one.ends));
        alike.entry((day, &one.path, one.renewer, one.authority)).or_default().insert(&one.machine);
    }
    let mut rows = vec![["ENDS", "DAYS", "CERTIFICATE", "RENEWED BY", "ON"].map(str::to_owned)];
    for ((day, path, renewer, authority), machines) in alike {
        let left = match days[&day] {
            ..0 => "ENDED".to_owned(),
            left => left.to_string(),
        };
        let path = if authority { format!("{path} (authority)") } else { path.to_owned() };
        rows.push([day, left, path, renewer.words().to_owned(), named(&machines)]);
    }
    let mut out = table(&rows);
    for (machine, why) in &certificates.unseen {
        // Writing to a String does not fail.
        let _ = writeln!(out, "  {machine}: not seen: {why}");
    }
    text::printable(&out)
}

/// Certificates as JSON, format 1, those that end first on top.
pub fn certificates_json(certificates: &Certificates) -> Value {
    let mut all: Vec<&One> = certificates.all.iter().collect();
    all.sort_by_key(|one| (one.ends, &one.machine, &one.path));
    json!({
        "format": 1,
        "taken_at": certificates.taken_at,
        "certificates": all.iter().map(|one| json!({
            "machine": one.machine,
            "path": one.path,
            "ends": one.ends,
            "days_left": certificates.days(one.ends),
            "authority": one.authority,
            "renewed_by": match one.renewer {
                Renewer::Kubeadm => Some("kubeadm"),
                Renewer::Kubelet | Renewer::Approved => Some("kubelet"),
                Renewer::Nobody => None,
            },
        })).collect::<Vec<_>>(),
        "unseen": certificates.unseen.iter().map(|(machine, why)| json!({ "machine": machine, "why": why })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts;

    #[test]
    fn those_that_end_first_stand_on_top_and_alike_ones_on_one_line() {
        let inventory =
            crate::inventory::parse(include_str!("../../tests/scenarios/inventory.toml")).expect("good").value;
        let mut facts = facts::from_json(include_str!("../../tests/scenarios/facts.json")).expect("facts");
        let keep = |path: &str| path.ends_with("pki/apiserver.crt") || path.ends_with("etcd/pki/ca.crt");
        for node in &mut facts.nodes {
            let Seen::Known(machine) = &mut node.machine else { panic!("it was reached") };
            let Seen::Known(certificates) = &mut machine.certificates else { panic!("they were seen") };
            certificates.retain(|one| keep(&one.path));
        }
        facts.nodes[7].machine = Seen::Unknown("it hides".to_owned());
        let node = |facts: &mut facts::Facts, name: &str, days: i64| {
            let at = facts.nodes.iter().position(|node| node.name.as_str() == name).expect("it is there");
            let Seen::Known(machine) = &mut facts.nodes[at].machine else { panic!("it was reached") };
            let Seen::Known(certificates) = &mut machine.certificates else { panic!("they were seen") };
            certificates[0].not_after = facts.taken_at + jiff::SignedDuration::from_hours(24 * days);
        };
        node(&mut facts, "cp3", -2);
        let all = Certificates::of(&inventory, &(facts.taken_at, facts.nodes.clone()));
        let wanted = "  ENDS        DAYS   CERTIFICATE                        RENEWED BY                ON\n  \
                      2026-11-20  ENDED  /etc/kubernetes/pki/apiserver.crt  kubeadm, with an upgrade  cp3\n  \
                      2027-11-22  364    /etc/kubernetes/pki/apiserver.crt  kubeadm, with an upgrade  cp1, cp2\n  \
                      2036-11-19  3649   /etc/etcd/pki/ca.crt (authority)   nobody, but you           etcd1, etcd2, etcd3\n  \
                      w2: not seen: it hides\n";
        assert_eq!(certificates(&all), wanted);
        let json = certificates_json(&all);
        assert_eq!(json["certificates"][0]["days_left"], -2);
        assert_eq!(
            (&json["certificates"][5]["authority"], &json["certificates"][5]["renewed_by"]),
            (&true.into(), &Value::Null)
        );
        assert_eq!(json["unseen"][0]["machine"], "w2");
    }
}
