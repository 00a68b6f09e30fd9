//! A backup as it was taken, and as it was found, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::backup::Manifest;
use crate::backup::deliver::Delivered;
use crate::backup::manifest::Hash;
use crate::backup::prove::Proof;
use crate::backup::verify::{Fault, Good};
use crate::error::chain;
use crate::text;

/// What was taken and where it went. `lacking` is why there are no keys with it, when they were wanted.
pub fn backup(manifest: &Manifest, emergency: Option<&str>, lacking: &[String], told: &[Delivered]) -> String {
    let mut out = String::new();
    let Manifest { cluster, member, revision, keys, snapshot, stored, .. } = manifest;
    // Writing to a String does not fail.
    let _ = writeln!(out, "backup of cluster {cluster} (etcd {})", manifest.cluster_id);
    if let Some(why) = emergency {
        let _ = writeln!(out, "  EMERGENCY    what one member had, and it may be stale: {why}");
    }
    let _ = writeln!(out, "  from         {}, etcd {}", member.name, member.version);
    let _ = writeln!(
        out,
        "  snapshot     {}, revision {revision}, {keys} keys, {} of them below /registry; hash and pages verified",
        text::bytes(snapshot.bytes),
        manifest.registry_keys
    );
    let _ = writeln!(out, "  members      {}", hashes(manifest));
    let kube_system = "none that could be read in the snapshot: it is told from others by its etcd only";
    let _ = writeln!(out, "  kube-system  {}", manifest.kube_system_uid.as_deref().unwrap_or(kube_system));
    let _ = writeln!(out, "  stored       {}, {}", stored.name, text::bytes(stored.bytes));
    if let Some(pki) = &manifest.pki {
        let from = text::list(&pki.machines, "and");
        let _ = writeln!(out, "  keys         {}, {}, of {from}", pki.stored.name, text::bytes(pki.stored.bytes));
        for remark in &pki.remarks {
            let _ = writeln!(out, "  warning      {remark}");
        }
    }
    for why in lacking {
        let _ = writeln!(out, "  warning      no keys and configuration with it: {why}");
    }
    for Delivered { store, put, pruned } in told {
        let _ = match put {
            Ok(()) => writeln!(out, "  written      {store}"),
            Err(_) => writeln!(out, "  NOT WRITTEN  {store}"),
        };
        let Some(Ok(pruned)) = pruned else { continue };
        for going in &pruned.goes {
            let _ = writeln!(out, "  removed      {}, {}, from {store}", going.name, text::bytes(going.bytes()));
        }
        for remark in &pruned.remarks {
            let _ = writeln!(out, "  note         {remark} ({store})");
        }
    }
    // Names and complaints come from other machines.
    text::printable(&out)
}

fn hashes(manifest: &Manifest) -> String {
    let known = manifest.members.iter().filter_map(|member| match member.hash {
        Hash::Known { hash_kv, .. } => Some(hash_kv),
        Hash::Unknown(_) => None,
    });
    let known: Vec<u32> = known.collect();
    let silent = manifest.members.iter().filter_map(|member| match &member.hash {
        Hash::Known { .. } => None,
        Hash::Unknown(why) => Some(format!("; {}: {why}", member.name)),
    });
    let same = match known.as_slice() {
        [] => "no hash is known".to_owned(),
        [first, rest @ ..] if rest.iter().all(|hash| hash == first) => format!("HashKV {first}"),
        several => format!("HashKV {several:?}, not compared"),
    };
    let (all, silent) = (manifest.members.len(), silent.collect::<String>());
    format!("{same} on {} of {all} at this revision{silent}", known.len())
}

/// The same for programs.
pub fn backup_json(manifest: &Manifest, emergency: Option<&str>, lacking: &[String], told: &[Delivered]) -> Value {
    let each = told.iter().map(|Delivered { store, put, pruned }| {
        let pruned = pruned.as_ref().and_then(|pruned| pruned.as_ref().ok());
        let removed = pruned.map(|pruned| pruned.goes.iter().map(|going| going.name.to_string()).collect::<Vec<_>>());
        let error = put.as_ref().err().map(|error| chain(error));
        json!({ "to": store, "written": put.is_ok(), "error": error, "removed": removed.unwrap_or_default() })
    });
    json!({
        "manifest": manifest,
        "emergency": emergency,
        "lacking": lacking,
        "destinations": each.collect::<Vec<_>>(),
    })
}

/// A backup that was looked at: what it is called, and what was found.
pub struct Looked {
    /// Its name, with where it is.
    pub what: String,
    /// Its manifest, when it has one.
    pub manifest: Option<Manifest>,
    /// What is in it, or what is wrong.
    pub found: Result<Good, Fault>,
    /// Its proof, when it was asked for.
    pub proof: Option<Proof>,
}

/// What was found in each.
pub fn verified(all: &[Looked]) -> String {
    let mut out = String::new();
    for Looked { what, manifest, found, proof } in all {
        let _ = match found {
            Err(fault) => writeln!(out, "{what}: BAD: {fault}"),
            Ok(found) => writeln!(out, "{what}: {}", good(found, manifest.as_ref())),
        };
        if let Some(Proof { said, etcd, took, members }) = proof {
            let (seconds, hash) = (took.as_secs_f64(), said.hash_kv);
            let hashes = match members {
                0 => "compared with no member's: none was told, or a compaction passed meanwhile".to_owned(),
                some => format!("that of {}", text::count(*some, "member")),
            };
            let same = format!("revision, keys and compaction are the same, HashKV {hash} is {hashes}");
            let _ = writeln!(out, "  proven: restored and started on etcd {etcd} in {seconds:.1} s; {same}");
        }
    }
    text::printable(&out)
}

fn good(Good { inside, .. }: &Good, manifest: Option<&Manifest>) -> String {
    let contents = &inside.contents;
    let size = text::bytes(contents.bytes);
    let (revision, compacted) = (contents.revision, contents.compact_revision);
    let found = format!("{size}, revision {revision}, compacted to {compacted}, {} keys", contents.keys);
    match manifest {
        None => format!("good; {found}; it has no manifest: what it should be is not known"),
        Some(manifest) => {
            let stale = if manifest.emergency { "; taken in an EMERGENCY: it may be stale" } else { "" };
            let (cluster, at, from) = (&manifest.cluster, manifest.taken_at, &manifest.member.name);
            format!("good; {found}; cluster {cluster}, taken {at} from {from}{stale}")
        }
    }
}

/// The same for programs.
pub fn verified_json(all: &[Looked]) -> Value {
    let each = all.iter().map(|Looked { what, manifest, found, proof }| match found {
        Err(fault) => json!({ "backup": what, "good": false, "fault": fault.word(), "why": fault.to_string() }),
        Ok(Good { inside, .. }) => json!({
            "backup": what,
            "good": true,
            "revision": inside.contents.revision,
            "compact_revision": inside.contents.compact_revision,
            "keys": inside.contents.keys,
            "bytes": inside.contents.bytes,
            "manifest": manifest,
            "proven": proof.is_some(),
        }),
    });
    Value::Array(each.collect())
}
