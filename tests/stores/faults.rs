//! What goes wrong at a bucket: each in words that tell what to do, and nothing half under a final name.

use std::time::{Duration, Instant};

use windlass::error::chain;
use windlass::remote::store::Store;

use crate::place::Place;
use crate::s3::{BUCKET, Line, Server, store, store_at};

fn said<T: std::fmt::Debug>(result: Result<T, windlass::remote::store::StoreError>) -> String {
    let words = chain(&result.expect_err("it fails")).join(": ");
    eprintln!("{words}");
    words
}

#[tokio::test]
async fn wrong_credentials_and_a_bucket_that_is_missing_are_told() {
    let server = Server::start().await;
    let place = Place::new();
    let (small, large) = (place.file("small", 10), place.file("large", 9 << 20));
    let words = said(store(server.at, BUCKET, "key", "wrong").put("a", &small).await);
    assert!(
        words.starts_with("could not put a into s3://backups/etcd/lab: the secret in AWS_SECRET_ACCESS_KEY"),
        "{words}"
    );
    let words = said(store(server.at, BUCKET, "nobody", "secret").put("a", &small).await);
    assert!(words.contains("AWS_ACCESS_KEY_ID"), "{words}");
    // A large one is looked for first, and the answer to that has no words.
    let words = said(store(server.at, BUCKET, "key", "wrong").put("a", &large).await);
    assert!(
        words.ends_with("the server refuses the credentials, or they do not allow it (bucket backups, 403)"),
        "{words}"
    );
    // (A small object would be put: this server makes the bucket by itself then, which S3 does not.)
    let words = said(store(server.at, "nowhere", "key", "secret").list().await);
    assert!(words.ends_with("there is no such bucket (bucket nowhere, NoSuchBucket)"), "{words}");
    let words = said(store(server.at, BUCKET, "key", "secret").get("b", &place.base.join("b")).await);
    assert!(words.contains("there is no such object"), "{words}");
    assert_eq!(server.files(), Vec::<String>::new());
}

#[tokio::test]
async fn plain_http_is_used_only_when_it_is_meant() {
    let server = Server::start().await;
    let variables = vec![
        ("AWS_ENDPOINT".to_owned(), format!("http://{}", server.at)),
        ("AWS_ACCESS_KEY_ID".to_owned(), "key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "secret".to_owned()),
    ];
    let store = Store::parse("s3://backups").expect("a destination").with_environment(variables);
    let words = said(store.list().await);
    assert!(words.ends_with("the endpoint is plain http; set AWS_ALLOW_HTTP=true if that is meant"), "{words}");
}

#[tokio::test]
async fn a_server_that_nobody_reaches_is_given_up_soon() {
    let since = Instant::now();
    let words = said(store(([127, 0, 0, 1], 1).into(), BUCKET, "key", "secret").list().await);
    assert!(words.contains("the server was not reached: ") && words.contains("Connection refused"), "{words}");
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_leaves_nothing_under_a_final_name() {
    let server = Server::start().await;
    let place = Place::new();
    let large = place.file("large", 30 << 20);
    // The first part is through, the second is on its way.
    let line = Line::to(server.at, 12 << 20).await;
    let words = said(store_at(line.at).put("a.db", &large).await);
    assert!(line.is_cut(), "{words}");
    assert!(words.contains("nor could its parts be taken back"), "{words}");
    assert_eq!(server.store().list().await.expect("a list"), []);
    line.mend();
    store_at(line.at).put("a.db", &large).await.expect("put, now that it is back");
}

#[tokio::test]
async fn the_parts_of_an_upload_that_failed_are_taken_back() {
    let server = Server::start().await;
    let place = Place::new();
    let large = place.file("large", 64 << 20);
    let store = server.store();
    let shrinking = async {
        while server.files().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let file = std::fs::OpenOptions::new().write(true).open(&large).expect("the file");
        file.set_len(1).expect("shrunk");
    };
    let (put, ()) = tokio::join!(store.put("a.db", &large), shrinking);
    let words = said(put);
    assert!(words.contains("the file cannot be read: it had 67108864 bytes and now has "), "{words}");
    assert!(!words.contains("nor could its parts be taken back"), "{words}");
    assert_eq!(server.files(), Vec::<String>::new());
}
