//! Another machine's folder, over a real sshd on loopback and its own SFTP server.

use windlass::error::chain;
use windlass::remote::store::{Store, StoreError};

use crate::everywhere::keeps_what_it_is_given;
use crate::place::Place;
use crate::server::Server;

/// The folder `path` of this machine as the server gives it, reached with a configuration of ssh's that `changes` comes first in.
fn store(server: &Server, path: &str, changes: &str) -> Store {
    let at = server.base();
    let config = at.join("config");
    let text = format!(
        "{changes}\nHost *\n  IdentityFile {at}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {at}/known_hosts\n"
    );
    std::fs::write(&config, text).expect("written");
    let store = Store::parse(&format!("ssh://127.0.0.1:{}{path}", server.port)).expect("a destination");
    store.with_ssh_config(Some(&config))
}

fn said<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    let words = chain(&result.expect_err("it fails")).join(": ");
    eprintln!("{words}");
    words
}

fn left(folder: &camino::Utf8Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
}

#[tokio::test]
#[ignore = "needs sshd on this machine"]
async fn another_machine_keeps_what_it_is_given() {
    let server = Server::start();
    let folder = server.base().join("deep/below");
    keeps_what_it_is_given(&store(&server, folder.as_str(), "")).await;
    assert_eq!(left(&folder), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs sshd on this machine"]
async fn why_another_machine_keeps_nothing_is_told() {
    let (server, place) = (Server::start(), Place::new());
    let file = place.file("a", 10);
    let folder = server.base().join("backups");
    let at = folder.as_str();
    // A file is where the folder should be.
    std::fs::write(server.base().join("file"), "").expect("written");
    let words = said(store(&server, &format!("{}/file", server.base()), "").put("a", &file).await);
    assert!(words.starts_with("could not put a into ssh://127.0.0.1:"), "{words}");

    let words = said(store(&server, at, "PreferredAuthentications password").put("a", &file).await);
    assert!(words.contains("Permission denied"), "{words}");
    std::fs::write(server.base().join("known_hosts"), "").expect("written");
    let words = said(store(&server, at, "").put("a", &file).await);
    assert!(words.contains("strict checking") || words.contains("Host key verification failed"), "{words}");
    assert!(!folder.exists());
}

#[tokio::test]
#[ignore = "needs sshd on this machine"]
async fn a_connection_that_is_cut_leaves_nothing_under_a_final_name() {
    let (server, place) = (Server::start(), Place::new());
    let large = place.file("large", 64 << 20);
    let folder = server.base().join("backups");
    let store = store(&server, folder.as_str(), "");
    let cutting = async {
        while !folder.exists() || left(&folder).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        server.signal("KILL");
    };
    let (put, ()) = tokio::join!(store.put("a.db", &large), cutting);
    let words = said(put);
    assert!(words.contains("the connection was cut off"), "{words}");
    assert_eq!(store.list().await.expect("a list"), []);
    store.put("a.db", &place.file("small", 10)).await.expect("put");
}
