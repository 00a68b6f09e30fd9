//! What a rule finds: which rule, how grave, about what, in which words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A finding of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// How grave.
    pub severity: Severity,
    /// Which rule.
    pub rule: Rule,
    /// About what: a node, a member, `cluster`.
    pub subject: String,
    /// In words.
    pub detail: String,
}

/// How grave a finding is. The gravest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A node that has to be reached was not: no plan, exit 12.
    Unreachable,
    /// No plan, exit 11.
    Refusal,
    /// Said in the plan.
    Warning,
}

/// The rules, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A node of the inventory does not answer.
    Unreachable,
    /// Something that the plan stands on could not be seen.
    Unseen,
    /// A minor of Kubernetes would be skipped.
    KubernetesSkip,
    /// Kubernetes would go back.
    KubernetesDowngrade,
    /// API servers more than one minor apart.
    ApiServerSpread,
    /// A kubelet newer than an API server, or too old for one.
    KubeletSkew,
    /// A Node object is not Ready.
    NodeNotReady,
    /// Inventory and cluster do not name the same nodes.
    NodeUnknown,
    /// A node's role in the inventory and in the cluster differ.
    ControlPlaneLeftOut,
    /// The playbook is for another kind of raise.
    PlaybookMismatch,
    /// Nothing is running on this node that could be raised.
    NotInstalled,
    /// A minor of etcd would be skipped.
    EtcdSkip,
    /// etcd would go back.
    EtcdDowngrade,
    /// What kubeadm brings to a stacked etcd.
    EtcdBrought,
    /// A release of etcd that must not be landed on, or left from, this way.
    EtcdRelease,
    /// A member is not healthy.
    EtcdUnhealthy,
    /// A member does not vote yet.
    EtcdLearner,
    /// An alarm is raised.
    EtcdAlarm,
    /// A change of the members, and what comes with it.
    EtcdMembers,
    /// Members hold different data.
    EtcdCorrupt,
    /// Not enough members are healthy.
    EtcdQuorum,
    /// Members are more than one minor apart.
    EtcdSpread,
    /// Data of the v2 API that the target cannot serve.
    EtcdV2Data,
    /// A member lags behind its leader.
    EtcdLag,
    /// The topology asked for is not what the cluster has.
    EtcdTopology,
    /// The database is near its quota.
    EtcdQuota,
    /// The target is not to be had from a node's package repository.
    TargetMissing,
    /// A version that is installed now is to be had nowhere, so that going back to it is not possible.
    FormerGone,
    /// The package manager is not one that Windlass can drive.
    PackageManager,
    /// No room for packages, images or the snapshot.
    NoRoom,
    /// Raising this cluster takes it away for a while.
    Outage,
    /// Clocks differ.
    ClockSkew,
    /// A certificate has ended or ends soon.
    Certificate,
    /// A package is not held.
    NotHeld,
    /// A node is cordoned, and not by us.
    Cordoned,
    /// A node is left out.
    LeftOut,
    /// A machine that is said to be cut off, and what that means.
    Fenced,
    /// Watches of before that a restore would leave waiting.
    Watches,
    /// What a restore takes away.
    Lost,
    /// A snapshot that may be another cluster's.
    Foreign,
    /// The plan would break a law.
    Law,
    /// The inventory weakens host key checking.
    HostKeys,
    /// A word that would reach a machine as something else than it is meant to be.
    UnfitWord,
    /// Etcd can be reached by whom it should not be.
    EtcdExposed,
    /// Etcd's disk or network is slower than its settings allow for.
    EtcdPace,
    /// A machine, or all of them together, are too small for what they carry.
    Capacity,
    /// A later patch of what runs is to be had.
    NewerPatch,
    /// The newest backup is too old, or there is none.
    BackupAge,
    /// A machine that is to be built on has something of a cluster already.
    Occupied,
    /// Machines that take themselves for the same one.
    Alike,
    /// A load balancer of the cluster's own that does not lead where it should.
    LoadBalancer,
    /// What the operator's files say does not fit what is wanted.
    Configuration,
}

impl Rule {
    /// The rule's name, as in JSON.
    pub fn name(self) -> String {
        let debug = format!("{self:?}");
        let mut name = String::new();
        for (at, letter) in debug.char_indices() {
            if letter.is_ascii_uppercase() && at > 0 {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

impl Finding {
    /// A refusal.
    pub fn refusal(rule: Rule, subject: impl fmt::Display, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Refusal, rule, subject: subject.to_string(), detail: detail.into() }
    }

    /// A warning.
    pub fn warning(rule: Rule, subject: impl fmt::Display, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, rule, subject: subject.to_string(), detail: detail.into() }
    }

    /// A node that was not reached.
    pub fn unreachable(subject: impl fmt::Display, detail: impl Into<String>) -> Self {
        Self {
            severity: Severity::Unreachable,
            rule: Rule::Unreachable,
            subject: subject.to_string(),
            detail: detail.into(),
        }
    }
}

/// Why findings leave no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// So many machines were not reached, and nothing else is wrong as far as could be seen.
    Unreachable(usize),
    /// So many reasons forbid it.
    Refused(usize),
}

/// What findings that forbid a plan add up to. A refusal about a machine that was not reached only follows from that, and so
/// does whatever else could not be seen meanwhile: it is one trouble, not two.
pub fn verdict(findings: &[Finding]) -> Verdict {
    let of = |severity| findings.iter().filter(move |finding| finding.severity == severity);
    let gone: Vec<&str> = of(Severity::Unreachable).map(|finding| finding.subject.as_str()).collect();
    let unseen = |finding: &Finding| finding.rule == Rule::Unseen && !gone.is_empty();
    let follows = |finding: &Finding| gone.contains(&finding.subject.as_str()) || unseen(finding);
    if of(Severity::Refusal).all(follows) {
        Verdict::Unreachable(gone.len())
    } else {
        Verdict::Refused(of(Severity::Refusal).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_away_is_one_trouble_and_does_not_hide_another() {
        let away = Finding::unreachable("w1", "no answer");
        let follows = Finding::refusal(Rule::NodeNotReady, "w1", "is not Ready");
        let other = Finding::refusal(Rule::KubernetesSkip, "cp1", "would skip 1.21");
        let warning = Finding::warning(Rule::NotHeld, "cp2", "is not held");
        assert_eq!(verdict(&[away.clone(), follows.clone(), warning.clone()]), Verdict::Unreachable(1));
        let unseen = Finding::refusal(Rule::Unseen, "cluster", "the API did not answer");
        assert_eq!(verdict(&[away.clone(), follows.clone(), unseen.clone()]), Verdict::Unreachable(1));
        assert_eq!(verdict(&[unseen]), Verdict::Refused(1));
        assert_eq!(verdict(&[away, follows, other.clone()]), Verdict::Refused(2));
        assert_eq!(verdict(&[other, warning]), Verdict::Refused(1));
    }
}
