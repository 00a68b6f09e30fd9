//! What `api.sh`'s section `volumes` prints → what pods keep on nodes, and lose with them.
//!
//! Pure. It is looked at for nodes that leave only, and not saved.

use std::collections::BTreeMap;

use super::api::ApiError;
use super::sections::{Answer, beginning, values};

/// What pods keep on each node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volumes {
    /// In words, by node: `default/db-0 (emptyDir)`, `local volume pv-1 (default/data-db-0)`; in order, each once.
    pub kept: BTreeMap<String, Vec<String>>,
}

impl Volumes {
    /// What is kept on `node`.
    pub fn on(&self, node: &str) -> &[String] {
        self.kept.get(node).map_or(&[], Vec::as_slice)
    }
}

/// Reads the section: `volume KIND NODE NAMESPACE/NAME [OWNER,…] [PATH]` for each volume in a node's own folders (KIND `none`: a
/// pod that nothing brings back), and `local NODE NAME [NAMESPACE/CLAIM]` for each volume that is on one node alone. What
/// DaemonSets and static pods keep is the node's own matter.
pub fn parse(stdout: &str) -> Result<Volumes, ApiError> {
    let answer = Answer::read(stdout).map_err(ApiError::Answer)?;
    answer.section("readyz").map_err(ApiError::NotReady)?;
    let lines = answer.section("volumes").map_err(ApiError::Volumes)?;
    let mut volumes = Volumes::default();
    for line in values(lines, "volume") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, node, pod, rest @ ..] = words.as_slice() else {
            // Pods that no node has taken yet are on none.
            continue;
        };
        let owner = rest.first().filter(|word| word.ends_with(',')).copied().unwrap_or_default();
        if owner.split(',').any(|kind| matches!(kind, "DaemonSet" | "Node")) || !pod.contains('/') {
            continue;
        }
        let path = rest.iter().skip(usize::from(!owner.is_empty())).copied().collect::<Vec<_>>().join(" ");
        let what = match *kind {
            "hostPath" => format!("{pod} (hostPath {path})"),
            "emptyDir" => format!("{pod} (emptyDir)"),
            "none" => format!("{pod} (nothing brings it back)"),
            _ => return Err(ApiError::Volumes(format!("`{}`?", beginning(line)))),
        };
        volumes.kept.entry((*node).to_owned()).or_default().push(what);
    }
    for line in values(lines, "local") {
        let mut words = line.split_whitespace();
        let (Some(node), Some(name)) = (words.next(), words.next()) else {
            return Err(ApiError::Volumes(format!("`{}`?", beginning(line))));
        };
        let claim = words.next().map_or_else(String::new, |claim| format!(" ({claim})"));
        volumes.kept.entry(node.to_owned()).or_default().push(format!("local volume {name}{claim}"));
    }
    for kept in volumes.kept.values_mut() {
        kept.sort();
        kept.dedup();
    }
    Ok(volumes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pods_keep_is_told_by_node_and_what_daemon_sets_keep_is_not() {
        let answer = "@@ readyz\n ok\n@@ end readyz ok\n@@ volumes\n volume hostPath w1 kube-system/agent-x DaemonSet, /var/log\n \
                      volume hostPath cp1 kube-system/etcd-cp1 Node, /var/lib/etcd\n volume emptyDir w1 default/db-0 StatefulSet,\n \
                      volume emptyDir w1 default/db-0 StatefulSet,\n volume hostPath w1 default/web-1 ReplicaSet, /srv/my data\n \
                      volume none w2 default/alone \n volume emptyDir <no value> default/waits ReplicaSet,\n \
                      local w2 pv-1 default/data\n local w2 pv-2 \n@@ end volumes ok\n@@ done\n";
        let volumes = parse(answer).expect("volumes");
        assert_eq!(volumes.on("w1"), ["default/db-0 (emptyDir)", "default/web-1 (hostPath /srv/my data)"]);
        let wanted =
            ["default/alone (nothing brings it back)", "local volume pv-1 (default/data)", "local volume pv-2"];
        assert_eq!(volumes.on("w2"), wanted);
        assert_eq!(volumes.on("cp1"), [""; 0]);
    }

    #[test]
    fn what_could_not_be_seen_is_said() {
        let answer = "@@ readyz\n ok\n@@ end readyz ok\n@@ volumes\n@@ end volumes unseen Forbidden\n@@ done\n";
        assert_eq!(parse(answer), Err(ApiError::Volumes("Forbidden".to_owned())));
    }
}
