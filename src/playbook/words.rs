//! The words of a playbook and what they mean: one table a type. What the words do to a cluster is the planner's.

use super::{Gate, Pick, Place, Raises, Snapshot, Uses};

impl Raises {
    /// Each with the word used in files.
    pub const WORDS: [(&'static str, Self); 3] = [
        ("kubernetes-minor", Self::KubernetesMinor),
        ("kubernetes-patch", Self::KubernetesPatch),
        ("etcd", Self::Etcd),
    ];

    /// The word used in files and text.
    pub fn word(self) -> &'static str {
        word(&Self::WORDS, self)
    }

    /// How far snapshots are trusted when a playbook does not say. After a minor of etcd or of Kubernetes only a restore goes
    /// back, so that it had better work.
    pub fn snapshot(self) -> Snapshot {
        match self {
            Self::KubernetesMinor | Self::Etcd => Snapshot::Proven,
            Self::KubernetesPatch => Snapshot::Verified,
        }
    }
}

impl Snapshot {
    /// Each with the word used in files.
    pub const WORDS: [(&'static str, Self); 2] = [("verified", Self::Verified), ("proven", Self::Proven)];
}

impl Pick {
    /// Each with the word used in files.
    pub const WORDS: [(&'static str, Self); 3] = [("all", Self::All), ("first", Self::First), ("others", Self::Others)];
}

impl Gate {
    /// Each with the word used in files.
    pub const WORDS: [(&'static str, Self); 1] = [("statefulsets-ready", Self::StatefulSetsReady)];

    /// The word used in files and text.
    pub fn word(self) -> &'static str {
        word(&Self::WORDS, self)
    }
}

impl Place {
    /// Each with the word used in files.
    pub const WORDS: [(&'static str, Self); 2] = [("control", Self::Control), ("node", Self::Node)];
}

impl Uses {
    /// Each with the word used in files.
    pub const WORDS: [(&'static str, Self); 18] = [
        ("prepare.archive", Self::PrepareArchive),
        ("prepare.packages", Self::PreparePackages),
        ("prepare.images", Self::PrepareImages),
        ("etcd.snapshot", Self::EtcdSnapshot),
        ("etcd.move-leader", Self::EtcdMoveLeader),
        ("etcd.package", Self::EtcdPackage),
        ("etcd.await-healthy", Self::EtcdAwaitHealthy),
        ("etcd.await-cluster-version", Self::EtcdAwaitClusterVersion),
        ("kubeadm.package", Self::KubeadmPackage),
        ("kubeadm.plan", Self::KubeadmPlan),
        ("kubeadm.apply", Self::KubeadmApply),
        ("kubeadm.upgrade-node", Self::KubeadmUpgradeNode),
        ("api.await-version", Self::ApiAwaitVersion),
        ("drain", Self::Drain),
        ("kubelet.package", Self::KubeletPackage),
        ("kubelet.restart", Self::KubeletRestart),
        ("await-ready", Self::AwaitReady),
        ("uncordon", Self::Uncordon),
    ];

    /// The word used in files and text.
    pub fn word(self) -> &'static str {
        word(&Self::WORDS, self)
    }

    /// Whether it is about the cluster as a whole, and so belongs in a stage that selects `cluster`; all others are about
    /// one node.
    pub fn is_for_cluster(self) -> bool {
        matches!(self, Self::EtcdSnapshot | Self::EtcdAwaitClusterVersion | Self::ApiAwaitVersion)
    }

    /// Whether it takes the parameters of a drain, `delete_emptydir_data` and `force`.
    pub fn takes_drain_parameters(self) -> bool {
        self == Self::Drain
    }
}

/// The word of `meaning`; a test holds the tables to be complete.
fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], meaning: T) -> &'static str {
    words.iter().find(|(_, other)| *other == meaning).map_or("", |(word, _)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Adding a macro breaks this match first; the number here and in the table then go up together.
    fn number(uses: Uses) -> usize {
        match uses {
            Uses::PrepareArchive => 0,
            Uses::PreparePackages => 1,
            Uses::PrepareImages => 2,
            Uses::EtcdSnapshot => 3,
            Uses::EtcdMoveLeader => 4,
            Uses::EtcdPackage => 5,
            Uses::EtcdAwaitHealthy => 6,
            Uses::EtcdAwaitClusterVersion => 7,
            Uses::KubeadmPackage => 8,
            Uses::KubeadmPlan => 9,
            Uses::KubeadmApply => 10,
            Uses::KubeadmUpgradeNode => 11,
            Uses::ApiAwaitVersion => 12,
            Uses::Drain => 13,
            Uses::KubeletPackage => 14,
            Uses::KubeletRestart => 15,
            Uses::AwaitReady => 16,
            Uses::Uncordon => 17,
        }
    }

    #[test]
    fn every_meaning_has_one_word() {
        let numbers: Vec<usize> = Uses::WORDS.iter().map(|(_, uses)| number(*uses)).collect();
        assert_eq!(numbers, (0..Uses::WORDS.len()).collect::<Vec<_>>());
        let words: BTreeSet<&str> = Uses::WORDS.iter().map(|(word, _)| *word).collect();
        assert_eq!(words.len(), Uses::WORDS.len());
        for (word, uses) in Uses::WORDS {
            assert_eq!(uses.word(), word);
        }
        for (word, raises) in Raises::WORDS {
            assert_eq!(raises.word(), word);
        }
        assert_eq!(Gate::StatefulSetsReady.word(), "statefulsets-ready");
    }
}
