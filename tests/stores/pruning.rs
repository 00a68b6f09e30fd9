//! Retention at a destination: only what is this cluster's and whole counts or goes.

use std::num::NonZeroU32;

use camino::Utf8Path;
use windlass::backup::deliver::{Parcel, Retention, deliver};
use windlass::backup::keep::Keep;
use windlass::backup::manifest::{Hash, Id, Manifest, MemberHash, Object, Pki, Plain, Taken};
use windlass::backup::prune::{self, Newest, Whose};
use windlass::backup::{BackupName, Part};
use windlass::decide::plan::digest;
use windlass::remote::store::Store;

use crate::place::Place;

const DATABASE: Part = Part::Database { compressed: true, encrypted: false };

/// A backup of the cluster `lab` at this hour of a day, with `change` made to its manifest, put into the store.
async fn put(store: &Store, place: &Place, hour: u64, change: impl FnOnce(&mut Manifest)) -> BackupName {
    let taken = format!("2026-11-23T{hour:02}:00:00Z").parse().expect("a time");
    let name = BackupName { cluster: "lab".to_owned(), taken, revision: 100 + hour };
    let object = |part| Object { name: name.object(part), bytes: 40, sha256: "0".repeat(64) };
    let hash = Hash::Known { hash_kv: 1, compact_revision: 1 };
    let mut manifest = Manifest {
        format: 1,
        windlass: "0.1.0".to_owned(),
        cluster: "lab".to_owned(),
        cluster_id: Id(7),
        kube_system_uid: Some("uid".to_owned()),
        taken_at: taken,
        took_ms: 1,
        emergency: false,
        member: Taken { id: Id(1), name: "a".to_owned(), version: "3.5.16".to_owned() },
        members: vec![MemberHash { id: Id(1), name: "a".to_owned(), hash }],
        revision: name.revision,
        compact_revision: 1,
        keys: 2,
        registry_keys: 1,
        snapshot: Plain { bytes: 100, sha256: "0".repeat(64) },
        stored: object(DATABASE),
        pki: None,
    };
    change(&mut manifest);
    let database = place.file("database", 40);
    let mut parcels = vec![Parcel::new(manifest.stored.name.clone(), &database)];
    if let Some(pki) = &manifest.pki {
        parcels.push(Parcel::new(pki.stored.name.clone(), &database));
    }
    let text = place.base.join("manifest");
    let _ = std::fs::remove_file(&text);
    std::fs::write(&text, manifest.to_json()).expect("written");
    parcels.push(Parcel::new(name.object(Part::Manifest), &text));
    for parcel in parcels {
        store.put(&parcel.name, &parcel.from).await.expect("put");
    }
    name
}

fn ours() -> Whose {
    Whose { cluster: "lab".to_owned(), cluster_id: 7, kube_system_uid: Some("uid".to_owned()) }
}

fn last(count: u32) -> Keep {
    Keep { last: NonZeroU32::new(count), ..Keep::default() }
}

fn folder(path: &Utf8Path) -> Store {
    Store::parse(path.as_str()).expect("a destination")
}

async fn names(store: &Store) -> Vec<String> {
    store.list().await.expect("a list").into_iter().map(|entry| entry.name).collect()
}

#[tokio::test]
async fn the_last_stay_with_all_that_is_theirs_and_the_rest_goes() {
    let place = Place::new();
    let store = folder(&place.base.join("store"));
    for hour in 1..=3 {
        put(&store, &place, hour, |manifest| {
            let taken = manifest.stored.name.trim_end_matches(".db.zst").to_owned();
            let stored = Object { name: format!("{taken}.pki.tar.zst.age"), ..manifest.stored.clone() };
            manifest.pki = Some(Pki { stored, machines: Vec::new(), remarks: Vec::new() });
        })
        .await;
    }
    let pruning = prune::look(&store, &ours(), last(2), None).await.expect("looked");
    assert_eq!(names(&store).await.len(), 9, "to look removes nothing");
    let going: Vec<String> = pruning.goes[0].objects.iter().map(|object| object.name.clone()).collect();
    let one = "lab-20261123T010000Z-r101";
    assert_eq!(going, [".db.zst", ".pki.tar.zst.age", ".json"].map(|ending| format!("{one}{ending}")));
    assert_eq!((pruning.goes.len(), pruning.stays.len(), pruning.remarks.len()), (1, 2, 0));
    prune::carry_out(&store, &pruning).await.expect("removed");
    assert_eq!(names(&store).await.len(), 6);
    assert!(names(&store).await.iter().all(|name| !name.starts_with(one)));
    let again = prune::look(&store, &ours(), last(2), None).await.expect("looked");
    assert_eq!(again.goes, []);
}

#[tokio::test]
async fn only_what_is_ours_and_whole_counts_or_goes() {
    let place = Place::new();
    let store = folder(&place.base.join("store"));
    let first = put(&store, &place, 1, |_| {}).await;
    let second = put(&store, &place, 2, |_| {}).await;
    // Younger, and none of them may stand for the second in the count, nor go.
    put(&store, &place, 3, |manifest| manifest.kube_system_uid = Some("another".to_owned())).await;
    put(&store, &place, 4, |manifest| manifest.emergency = true).await;
    put(&store, &place, 5, |manifest| manifest.stored.bytes = 41).await;
    put(&store, &place, 6, |manifest| manifest.cluster = "lab2".to_owned()).await;
    let base = place.base.join("store");
    std::fs::write(base.join("lab-20261123T070000Z-r107.json"), "{}").expect("written");
    std::fs::write(base.join("lab-20261123T080000Z-r108.db.zst"), "?").expect("written");
    std::fs::write(base.join("notes.txt"), "mine").expect("written");
    let before = names(&store).await.len();
    let pruning = prune::look(&store, &ours(), last(1), None).await.expect("looked");
    assert_eq!(pruning.stays.iter().map(|(name, _)| name).collect::<Vec<_>>(), [&second]);
    assert_eq!(pruning.goes.iter().map(|going| &going.name).collect::<Vec<_>>(), [&first]);
    let remarks = [
        "lab-20261123T040000Z-r104 was taken in an emergency: it stays",
        "lab-20261123T050000Z-r105 is left alone: lab-20261123T050000Z-r105.db.zst has 40 bytes and not 41",
        "lab-20261123T070000Z-r107 is left alone: it is not a manifest: missing field `format` at line 1 column 2",
        "1 name without a manifest: nobody's backup, and left alone",
    ];
    assert_eq!(pruning.remarks, remarks);
    prune::carry_out(&store, &pruning).await.expect("removed");
    assert_eq!(names(&store).await.len(), before - 2);
}

#[tokio::test]
async fn after_a_restore_the_cluster_is_known_by_its_uid() {
    let place = Place::new();
    let store = folder(&place.base.join("store"));
    put(&store, &place, 1, |manifest| manifest.cluster_id = Id(6)).await;
    put(&store, &place, 2, |_| {}).await;
    let pruning = prune::look(&store, &ours(), last(1), None).await.expect("looked");
    assert_eq!(pruning.goes.len(), 1);
    // Without a uid on either side the etcd cluster's id decides, and it is another.
    let unknown = Whose { kube_system_uid: None, ..ours() };
    let pruning = prune::look(&store, &unknown, last(1), None).await.expect("looked");
    assert_eq!((pruning.goes.len(), pruning.stays.len()), (0, 1));
}

#[tokio::test]
async fn what_was_just_taken_stays_whatever_the_clock_said_before() {
    let place = Place::new();
    let store = folder(&place.base.join("store"));
    put(&store, &place, 9, |_| {}).await;
    let just = put(&store, &place, 1, |_| {}).await;
    let pruning = prune::look(&store, &ours(), last(1), Some(Newest::Just(&just))).await.expect("looked");
    assert_eq!(pruning.goes, []);
}

#[tokio::test]
async fn without_rules_nothing_goes() {
    let place = Place::new();
    let store = folder(&place.base.join("store"));
    put(&store, &place, 1, |_| {}).await;
    put(&store, &place, 2, |_| {}).await;
    let pruning = prune::look(&store, &ours(), Keep::default(), None).await.expect("looked");
    assert_eq!((pruning.goes.len(), pruning.stays.len()), (0, 2));
}

#[tokio::test]
async fn a_removal_that_was_interrupted_is_finished_by_the_next() {
    let place = Place::new();
    let store = folder(&place.base.join("store"));
    put(&store, &place, 1, |_| {}).await;
    put(&store, &place, 2, |_| {}).await;
    let pruning = prune::look(&store, &ours(), last(1), None).await.expect("looked");
    store.remove(&pruning.goes[0].objects[0].name).await.expect("removed");
    let again = prune::look(&store, &ours(), last(1), None).await.expect("looked");
    assert_eq!(again.goes[0].name, pruning.goes[0].name);
    prune::carry_out(&store, &again).await.expect("removed");
    assert_eq!(names(&store).await.len(), 2);
}

/// The newest has its size still, and not its bytes: the older one is the last good snapshot.
#[tokio::test]
async fn nothing_goes_on_the_strength_of_a_backup_that_is_spoilt() {
    let place = Place::new();
    let store = folder(&place.base.join("store"));
    put(&store, &place, 1, |_| {}).await;
    let bytes = std::fs::read(place.file("database", 40)).expect("a file");
    let newest = put(&store, &place, 2, |manifest| manifest.stored.sha256 = digest(&bytes)).await;
    let pruning = prune::look(&store, &ours(), last(1), None).await.expect("looked");
    assert_eq!(pruning.goes.len(), 1);
    prune::lean_on_newest(&store, &pruning, &place.base).await.expect("it is what it was");
    let object = place.base.join("store").join(newest.object(DATABASE));
    std::fs::write(&object, vec![b'?'; bytes.len()]).expect("spoilt");
    let said = prune::lean_on_newest(&store, &pruning, &place.base).await.expect_err("it is refused").to_string();
    let wanted = format!("{newest}, the newest that would stay, is not what its manifest says: nothing was removed");
    assert_eq!(said, wanted);
    // Where nothing goes, nothing is read.
    let pruning = prune::look(&store, &ours(), last(2), None).await.expect("looked");
    assert!(prune::lean_on_newest(&store, &pruning, &place.base).await.is_ok());
}

#[tokio::test]
async fn a_lonely_manifest_stays_while_there_is_no_whole_backup() {
    let place = Place::new();
    let store = folder(&place.base.join("store"));
    let name = put(&store, &place, 1, |_| {}).await;
    store.remove(&name.object(DATABASE)).await.expect("removed");
    let pruning = prune::look(&store, &ours(), last(1), None).await.expect("looked");
    assert_eq!(pruning.goes, []);
}

#[tokio::test]
async fn one_destination_that_fails_keeps_no_other_from_it() {
    let place = Place::new();
    std::fs::write(place.base.join("file"), "").expect("written");
    let stores = [folder(&place.base.join("file/below")), folder(&place.base.join("store"))];
    let manifest = place.base.join("manifest");
    std::fs::write(&manifest, "its manifest").expect("written");
    let parcels = [Parcel::new("a.db", &place.file("a", 10)), Parcel::new("a.json", &manifest)];
    let just =
        BackupName { cluster: "lab".to_owned(), taken: "2026-11-23T09:00:00Z".parse().expect("a time"), revision: 1 };
    let retention = Retention { whose: ours(), keep: Keep::default(), just };
    let done = deliver(&stores, &parcels, &retention).await;
    assert!(done[0].put.is_err() && done[1].put.is_ok(), "{done:?}");
    assert_eq!(names(&stores[1]).await, ["a.db", "a.json"]);
    // The manifest is there since a try whose answer was lost: it is this backup's own.
    std::fs::remove_file(place.base.join("store/a.db")).expect("removed");
    let done = deliver(&stores[1..], &parcels, &retention).await;
    assert!(done[0].put.is_ok(), "{done:?}");
    assert_eq!(names(&stores[1]).await, ["a.db", "a.json"]);
    // Its name is somebody's: nothing of what was tried is left, and what was there is.
    std::fs::remove_file(place.base.join("store/a.db")).expect("removed");
    std::fs::write(place.base.join("store/a.json"), "another").expect("written");
    let done = deliver(&stores[1..], &parcels, &retention).await;
    assert!(done[0].put.is_err(), "{done:?}");
    assert_eq!(names(&stores[1]).await, ["a.json"]);
}

#[tokio::test]
async fn only_where_the_new_one_was_put_old_ones_go() {
    let place = Place::new();
    let (one, two) = (folder(&place.base.join("one")), folder(&place.base.join("two")));
    for store in [&one, &two] {
        put(store, &place, 1, |_| {}).await;
    }
    let just = put(&folder(&place.base.join("three")), &place, 2, |_| {}).await;
    let parcels: Vec<Parcel> = [DATABASE, Part::Manifest]
        .map(|part| Parcel::new(just.object(part), &place.base.join("three").join(just.object(part))))
        .into();
    // The second has something of that name already.
    std::fs::write(place.base.join("two").join(just.object(DATABASE)), "?").expect("written");
    let retention = Retention { whose: ours(), keep: last(1), just: just.clone() };
    let done = deliver(&[one.clone(), two.clone()], &parcels, &retention).await;
    assert!(matches!(&done[0].pruned, Some(Ok(pruning)) if pruning.goes.len() == 1), "{done:?}");
    assert!(done[1].put.is_err() && done[1].pruned.is_none(), "{done:?}");
    assert_eq!(names(&one).await, [DATABASE, Part::Manifest].map(|part| just.object(part)));
    assert_eq!(names(&two).await.len(), 3);
}
