//! What `api.sh`'s section `load` prints → how full each node is.
//!
//! Pure. It is looked at for `windlass check` only, and not saved.

use std::collections::BTreeMap;

use super::api::ApiError;
use super::sections::{Answer, beginning, value, values};

/// How full one node is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeLoad {
    /// Its name.
    pub name: String,
    /// Pods that have not ended.
    pub pods: u64,
    /// Pods that it may have.
    pub pods_allocatable: u64,
    /// Memory that its pods ask for, in bytes. Init containers and overhead are not counted.
    pub requested_bytes: u64,
    /// Memory that pods may ask for, in bytes.
    pub allocatable_bytes: u64,
    /// Pods that go elsewhere when it is lost: all but those of DaemonSets and its own static ones.
    pub movable_pods: u64,
    /// Memory that those ask for, in bytes.
    pub movable_bytes: u64,
}

/// Reads the section: `allocatable NODE PODS MEMORY` for each node, and `pods COUNT NODE OWNER MEMORY,…` for pods that are alike.
pub fn parse(stdout: &str) -> Result<Vec<NodeLoad>, ApiError> {
    let answer = Answer::read(stdout).map_err(ApiError::Answer)?;
    answer.section("readyz").map_err(ApiError::NotReady)?;
    answer.section("load").and_then(load).map_err(ApiError::Load)
}

fn load(lines: &[&str]) -> Result<Vec<NodeLoad>, String> {
    if value(lines, "allocatable").is_none() {
        return Err("no node is told of".to_owned());
    }
    let mut nodes = BTreeMap::new();
    for line in values(lines, "allocatable") {
        let unreadable = || format!("`{}`?", beginning(line));
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, pods, memory) = match words[..] {
            [name, pods, memory] => (name, pods, memory),
            // It has joined and not reported yet.
            [name] => (name, "0", "0"),
            _ => return Err(unreadable()),
        };
        let (pods, memory) = (quantity(pods).ok_or_else(unreadable)?, quantity(memory).ok_or_else(unreadable)?);
        let node = NodeLoad {
            name: name.to_owned(),
            pods_allocatable: pods,
            allocatable_bytes: memory,
            ..NodeLoad::default()
        };
        nodes.insert(name, node);
    }
    for line in values(lines, "pods") {
        let unreadable = || format!("`{}`?", beginning(line));
        let words: Vec<&str> = line.split_whitespace().collect();
        let [count, name, owner, memory] = words[..] else { return Err(unreadable()) };
        // Pods that no node has taken yet are on none.
        let Some(node) = nodes.get_mut(name) else { continue };
        let count: u64 = count.parse().map_err(|_| unreadable())?;
        let each = memory.split(',').filter(|part| *part != "<none>").map(quantity).sum::<Option<u64>>();
        let bytes = each.ok_or_else(unreadable)?.saturating_mul(count);
        node.pods += count;
        node.requested_bytes = node.requested_bytes.saturating_add(bytes);
        if !matches!(owner, "DaemonSet" | "Node") {
            node.movable_pods += count;
            node.movable_bytes = node.movable_bytes.saturating_add(bytes);
        }
    }
    Ok(nodes.into_values().collect())
}

/// A quantity as Kubernetes writes it (`128Mi`, `1G`, `1500m`, `1e3`), rounded up to a whole number.
fn quantity(text: &str) -> Option<u64> {
    const SUFFIXES: [(&str, f64); 13] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let scaled = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let (number, factor) = scaled.unwrap_or((text, 1.0));
    let number = number.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let whole = (number * factor).ceil() as u64;
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_fill_the_node_that_they_are_on() {
        let text = "@@ readyz\n ok\n@@ end readyz ok\n@@ load\n allocatable w1 110 2Gi\n allocatable w2 110 1Gi\n allocatable new  \n \
                    pods 3 w1 ReplicaSet 128Mi,64Mi\n pods 1 w1 DaemonSet <none>\n pods 2 w1 DaemonSet 100Mi\n \
                    pods 1 <none> ReplicaSet 5Gi\n@@ end load ok\n@@ done\n";
        let nodes = parse(text).expect("a load");
        let w1 = NodeLoad {
            name: "w1".to_owned(),
            pods: 6,
            pods_allocatable: 110,
            requested_bytes: (3 * 192 + 200) << 20,
            allocatable_bytes: 2 << 30,
            movable_pods: 3,
            movable_bytes: (3 * 192) << 20,
        };
        let w2 = NodeLoad {
            name: "w2".to_owned(),
            pods_allocatable: 110,
            allocatable_bytes: 1 << 30,
            ..NodeLoad::default()
        };
        assert_eq!(nodes, [NodeLoad { name: "new".to_owned(), ..NodeLoad::default() }, w1, w2]);
    }

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        let table = [
            ("128Mi", 128 << 20),
            ("1G", 1_000_000_000),
            ("1500m", 2),
            ("1e3", 1000),
            ("0", 0),
            ("2E", 2_000_000_000_000_000_000),
        ];
        for (text, wanted) in table {
            assert_eq!(quantity(text), Some(wanted), "{text}");
        }
        for text in ["", "Mi", "-1", "1X", "NaN", "inf"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let of = |lines: &str| {
            parse(&format!("@@ readyz\n ok\n@@ end readyz ok\n@@ load\n{lines}@@ end load ok\n@@ done\n"))
        };
        assert!(of("").is_err());
        assert!(of(" allocatable w1 many 1Gi\n").is_err_and(|error| error.to_string().contains("w1 many")));
        assert!(of(" allocatable w1 1 1Gi\n pods 1 w1 ReplicaSet lots\n").is_err());
    }
}
