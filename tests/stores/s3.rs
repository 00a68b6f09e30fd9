//! An S3 server of the test's own, and a line to it that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use windlass::remote::store::Store;

pub(crate) const BUCKET: &str = "backups";

/// A server over the folder that it keeps its objects in.
pub(crate) struct Server {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) at: SocketAddr,
}

impl Server {
    /// One that listens, with one bucket.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("s3-").tempdir().expect("a folder");
        let at = serve(folder.path()).await;
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        Self { folder, at }
    }

    /// Its bucket.
    pub(crate) fn store(&self) -> Store {
        store_at(self.at)
    }

    /// Every file in its folder, also those of uploads that were not finished; what it writes of itself beside an object left
    /// out.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = walk(self.folder.path());
        names.retain(|name| !(name.contains("/.") && name.rsplit_once('.').is_some_and(|(_, end)| end == "json")));
        names.sort();
        names
    }
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path.display().to_string()] }).collect()
}

/// A server's bucket, reached at `at`.
pub(crate) fn store_at(at: SocketAddr) -> Store {
    store(at, BUCKET, "key", "secret")
}

/// A destination in `bucket` of the server at `at`.
pub(crate) fn store(at: SocketAddr, bucket: &str, key: &str, secret: &str) -> Store {
    let variables = [
        ("AWS_ENDPOINT", format!("http://{at}").as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", secret),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Store::parse(&format!("s3://{bucket}/etcd/lab")).expect("a destination").with_environment(variables.to_vec())
}

/// Serves the folder for as long as the test runs.
pub(crate) async fn serve(folder: &std::path::Path) -> SocketAddr {
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).expect("a folder"));
    builder.set_auth(SimpleAuth::from_single("key", "secret"));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (http, service) = (Builder::new(TokioExecutor::new()), service.clone());
            tokio::spawn(async move {
                let _ = http.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    at
}

/// A line that lets so many bytes through to the server, and then is dead: what is open is cut, and nobody is let in, until it
/// is mended.
pub(crate) struct Line {
    pub(crate) at: SocketAddr,
    left: Arc<AtomicU64>,
}

impl Line {
    pub(crate) async fn to(server: SocketAddr, bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let left = Arc::new(AtomicU64::new(bytes));
        let budget = Arc::clone(&left);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if budget.load(Ordering::SeqCst) > 0 {
                    tokio::spawn(through(client, server, Arc::clone(&budget)));
                }
            }
        });
        Self { at, left }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    pub(crate) fn mend(&self) {
        self.left.store(u64::MAX, Ordering::SeqCst);
    }
}

async fn through(client: TcpStream, server: SocketAddr, left: Arc<AtomicU64>) {
    let server = TcpStream::connect(server).await.expect("the server listens");
    let ((mut from, mut to), (mut back_from, mut back_to)) = (client.into_split(), server.into_split());
    let up = async {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let count = from.read(&mut buffer).await.unwrap_or(0);
            let before =
                left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(count as u64)));
            if count == 0
                || before.is_ok_and(|before| before <= count as u64)
                || back_to.write_all(&buffer[..count]).await.is_err()
            {
                break;
            }
        }
    };
    tokio::select! {
        () = up => {}
        _ = tokio::io::copy(&mut back_from, &mut to) => {}
    }
}
