//! What every kind of destination does, of each kind.

use std::os::unix::fs::PermissionsExt as _;

use windlass::remote::store::{Entry, Store, StoreError};

use crate::place::Place;

/// Put, listed, read, fetched, not replaced, removed; small, and larger than what is sent at a time.
pub(crate) async fn keeps_what_it_is_given(store: &Store) {
    let place = Place::new();
    let (small, large) = (place.file("small", 1_000), place.file("large", (20 << 20) + 17));
    assert_eq!(store.list().await.expect("nothing yet"), []);
    store.put("a.json", &small).await.expect("put");
    store.put("a.db", &large).await.expect("put");
    let entry = |name: &str, bytes| Entry { name: name.to_owned(), bytes };
    assert_eq!(store.list().await.expect("a list"), [entry("a.db", (20 << 20) + 17), entry("a.json", 1_000)]);

    let back = place.base.join("back");
    store.get("a.db", &back).await.expect("fetched");
    assert!(std::fs::read(&back).expect("it came") == std::fs::read(&large).expect("a file"), "other bytes came back");
    assert_eq!(std::fs::metadata(&back).expect("it came").permissions().mode() & 0o777, 0o600);
    let onto = store.get("a.json", &back).await;
    assert!(matches!(onto, Err(StoreError::Failed { .. })), "what is there is not replaced: {onto:?}");
    assert_eq!(std::fs::metadata(&back).expect("it is there").len(), (20 << 20) + 17);

    let other = place.file("other", 1_000);
    for (name, from) in [("a.json", &other), ("a.db", &large), ("a.db", &other)] {
        let twice = store.put(name, from).await;
        assert!(matches!(&twice, Err(StoreError::Exists { name: found, .. }) if found == name), "{twice:?}");
    }
    let text = place.base.join("text");
    std::fs::write(&text, "{\"a\": \"ä\"}\n").expect("written");
    store.put("b.json", &text).await.expect("put");
    let texts = store.read(&["b.json".to_owned()]).await.expect("read");
    assert_eq!(texts, ["{\"a\": \"ä\"}\n"]);
    assert!(store.read(&["b.json".to_owned(), "c.json".to_owned()]).await.is_err());

    store.get("nothing", &place.base.join("x")).await.expect_err("there is none");
    assert!(!place.base.join("x").exists());
    for name in ["a.db", "a.json", "b.json"] {
        store.remove(name).await.expect("removed");
    }
    assert_eq!(store.list().await.expect("a list"), []);
    assert_eq!(std::fs::read_dir(&place.base).expect("a folder").count(), 5, "no temporary file is left");
}

#[tokio::test]
async fn a_folder_keeps_what_it_is_given() {
    let place = Place::new();
    let folder = place.base.join("deep/below");
    keeps_what_it_is_given(&Store::parse(folder.as_str()).expect("a destination")).await;
    assert_eq!(std::fs::read_dir(&folder).expect("it is there").count(), 0);
    assert_eq!(std::fs::metadata(&folder).expect("it is there").permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_bucket_keeps_what_it_is_given() {
    let server = crate::s3::Server::start().await;
    keeps_what_it_is_given(&server.store()).await;
    assert_eq!(server.files(), Vec::<String>::new());
}
