//! What lies at a destination of backups, which others may write to as well, and what machines send for a backup.

use windlass::backup::metrics::Metrics;
use windlass::backup::{BackupName, Manifest, pki};
use windlass::remote::store::Store;

use super::{text, way};

const CLUSTER: &str = "lab";

/// The first byte says what it is.
pub(crate) fn backup(data: &[u8]) {
    let (kind, rest) = way(data);
    let text = text(rest);
    match kind % 5 {
        0 => manifest(&text),
        1 => name(&text),
        2 => metrics(&text),
        3 => drop(Store::parse(&text)),
        _ => drop(pki::parse(rest)),
    }
}

/// What was understood is written as it was understood.
fn manifest(text: &str) {
    let Ok(manifest) = Manifest::from_json(text) else { return };
    let written = manifest.to_json();
    assert_eq!(Manifest::from_json(&written).expect("it was just written").to_json(), written);
}

/// One name, one backup: nothing else is called like it.
fn name(text: &str) {
    let Some((name, part)) = BackupName::parse(text) else { return };
    assert_eq!(name.object(part), text);
    assert!(!name.cluster.is_empty());
}

/// Every line is understood or refused; what was understood is written so that it is understood again.
fn metrics(text: &str) {
    let Ok(metrics) = Metrics::parse(text, CLUSTER) else { return };
    let written = metrics.to_text();
    assert_eq!(Metrics::parse(&written, CLUSTER).expect("it was just written").to_text(), written);
}
