//! A client that writes unique keys to all of etcd's endpoints while things happen, and then reads every one back that was
//! acknowledged.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcd_client::{Certificate, Client, ConnectOptions, GetOptions, Identity, TlsOptions};

use super::lab::{address, on};

/// Writers at the same time; each writes a key every [`PACE`], so that 100 keys a second are asked for.
const WRITERS: u64 = 4;
/// Between two keys of one writer.
const PACE: Duration = Duration::from_millis(40);
/// One try's patience: a member that stops in the middle of a call does not answer it.
const TRY: Duration = Duration::from_secs(1);
/// What the keys begin with.
const PREFIX: &str = "/windlass-test/";

/// A writer that goes on until it is asked for its results.
pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    longest_micros: Arc<AtomicU64>,
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    thread: std::thread::JoinHandle<()>,
    began: Instant,
    members: Members,
}

/// What a writer saw.
pub(crate) struct Written {
    /// Keys acknowledged.
    pub(crate) keys: usize,
    /// Keys acknowledged a second, over all of its time.
    pub(crate) rate: f64,
    /// The longest that one key waited for its acknowledgement, tries together.
    pub(crate) longest: Duration,
    /// Acknowledged keys that cannot be read back.
    pub(crate) lost: Vec<String>,
}

/// Whose members are written to, and who that is towards them.
#[derive(Clone)]
struct Members {
    endpoints: [String; 3],
    /// Authority, certificate and key, in PEM.
    identity: [Vec<u8>; 3],
}

impl Members {
    fn external() -> Self {
        let file = |name: &str| on("etcd1", &format!("cat /etc/etcd/pki/{name}")).into_bytes();
        Self { endpoints: [11, 12, 13].map(endpoint), identity: ["ca.crt", "client.crt", "client.key"].map(file) }
    }

    fn stacked() -> Self {
        let file = |name: &str| on("cp1", &format!("cat /etc/kubernetes/pki/etcd/{name}")).into_bytes();
        let files = ["ca.crt", "healthcheck-client.crt", "healthcheck-client.key"];
        Self { endpoints: [21, 22, 23].map(endpoint), identity: files.map(file) }
    }

    async fn connect(&self) -> Client {
        let [authority, certificate, key] = &self.identity;
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(authority))
            .identity(Identity::from_pem(certificate, key));
        let options = ConnectOptions::new().with_tls(tls).with_connect_timeout(TRY);
        Client::connect(&self.endpoints, Some(options)).await.expect("etcd's client")
    }
}

fn endpoint(host: u8) -> String {
    format!("https://{}:2379", address(host))
}

impl Writer {
    /// Begins to write to external etcd.
    pub(crate) fn start() -> Self {
        Self::to(Members::external())
    }

    /// Begins to write to the members on the control planes.
    pub(crate) fn start_stacked() -> Self {
        Self::to(Members::stacked())
    }

    fn to(members: Members) -> Self {
        let whose = members.clone();
        let (stop, longest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
        let shared = (Arc::clone(&stop), Arc::clone(&longest), Arc::clone(&acknowledged));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let client = whose.connect().await;
                let writers = (0..WRITERS).map(|writer| write(writer, client.clone(), &shared.0, &shared.1, &shared.2));
                futures_util::future::join_all(writers).await;
            });
        });
        Self { stop, longest_micros: longest, acknowledged, thread, began: Instant::now(), members }
    }

    /// Stops writing, reads everything back, and says what was seen.
    pub(crate) fn finish(self) -> Written {
        let took = self.began.elapsed();
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the writers");
        let acknowledged = self.acknowledged.lock().expect("the keys").clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let present = runtime.block_on(read_back(&self.members));
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = acknowledged.len() as f64 / took.as_secs_f64();
        Written {
            keys: acknowledged.len(),
            rate,
            longest: Duration::from_micros(self.longest_micros.load(Ordering::SeqCst)),
            lost: acknowledged.difference(&present).cloned().collect(),
        }
    }
}

async fn write(
    writer: u64,
    client: Client,
    stop: &AtomicBool,
    longest: &AtomicU64,
    acknowledged: &Mutex<BTreeSet<String>>,
) {
    let run = std::process::id();
    let mut client = client.kv_client();
    for number in 0_u64.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let (key, began) = (format!("{PREFIX}{run}/{writer}/{number:08}"), Instant::now());
        while !matches!(tokio::time::timeout(TRY, client.put(key.as_str(), "x", None)).await, Ok(Ok(_))) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let waited = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        longest.fetch_max(waited, Ordering::SeqCst);
        acknowledged.lock().expect("the keys").insert(key);
        tokio::time::sleep(PACE.saturating_sub(began.elapsed())).await;
    }
}

/// All keys of this process that etcd has, by linearizable reads, in pages.
async fn read_back(members: &Members) -> BTreeSet<String> {
    let mut client = members.connect().await;
    let prefix = format!("{PREFIX}{}/", std::process::id());
    let end = format!("{prefix}\u{7f}");
    let (mut from, mut present) = (prefix.clone(), BTreeSet::new());
    loop {
        let options = GetOptions::new().with_range(end.as_str()).with_keys_only().with_limit(5000);
        let page = client.get(from.as_str(), Some(options)).await.expect("a read");
        present.extend(page.kvs().iter().map(|kv| kv.key_str().expect("a key").to_owned()));
        match (page.more(), page.kvs().last()) {
            (true, Some(last)) => from = format!("{}\0", last.key_str().expect("a key")),
            _ => return present,
        }
    }
}
