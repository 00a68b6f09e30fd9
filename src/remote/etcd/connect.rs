//! Opening a client: the identity from the node, a forward, TLS over it.

use camino::{Utf8Path, Utf8PathBuf};
use etcd_client::{Certificate, Channel, Client, Identity, TlsOptions};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::{Endpoint, Uri};
use zeroize::Zeroizing;

use super::super::ssh::{Link, chain, failed, forward};
use super::super::{Call, Script, scripts};
use super::{ANSWER_LIMIT, Way};
use crate::inventory::{Address, Etcd, NodeName};
use crate::remote::RemoteError;

/// Where a forward comes out, and what the member behind it may be called.
pub(super) struct Socket<'a> {
    pub(super) node: &'a NodeName,
    pub(super) address: &'a Address,
    /// Begin of the local socket's path; the listener's number is put after it.
    pub(super) path: &'a Utf8PathBuf,
}

/// The certificates and the key that etcd's clients on the node use.
struct Pems {
    ca: Zeroizing<Vec<u8>>,
    cert: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
}

/// Opens a client that has shaken hands. Etcd usually listens on the node's loopback; when it does not, on its address.
pub(super) async fn open(way: Way<'_>, etcd: &Etcd, socket: &Socket<'_>) -> Result<Client, RemoteError> {
    let trouble = |what: String| RemoteError::Etcd { node: socket.node.clone(), what };
    let pems = match way {
        Way::Over(link) => identity(link, etcd, socket.node).await?,
        Way::Here => own_identity(etcd).map_err(trouble)?,
    };
    let mut complaints = Vec::new();
    for (number, host) in listeners(socket.address).into_iter().enumerate() {
        let end = match way {
            Way::Over(link) => forwarded(link, etcd, socket, number, host).await?,
            Way::Here => End::Tcp(host.to_owned(), etcd.client_port),
        };
        let complaint = match shake_hands(&end, &pems, socket).await {
            Ok(client) => return Ok(client),
            Err(complaint) => complaint,
        };
        complaints.push(format!("{host}:{}: {}", etcd.client_port, complaint.words));
        if !complaint.nobody_there {
            break;
        }
    }
    Err(trouble(complaints.join("; ")))
}

/// Where a client connects to on this machine.
#[derive(Clone)]
enum End {
    Unix(Utf8PathBuf),
    Tcp(String, u16),
}

/// What a client reads from and writes to.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl End {
    async fn connect(&self) -> std::io::Result<Box<dyn Wire>> {
        Ok(match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        })
    }
}

/// The local end of a forward to `host` as the node sees it.
async fn forwarded(
    link: &Link,
    etcd: &Etcd,
    socket: &Socket<'_>,
    number: usize,
    host: &str,
) -> Result<End, RemoteError> {
    let not_reached = |cause| RemoteError::NotStarted { node: socket.node.clone(), cause: Box::new(cause) };
    let (session, _) = link.session().await.map_err(not_reached)?;
    let path = Utf8PathBuf::from(format!("{}-{number}", socket.path));
    if let Err(error) = forward(&session, &path, host, etcd.client_port).await {
        // The session is lost, or forwarding is refused: another listener will not help.
        link.forget(&session).await;
        let what = format!("no forward over SSH: {error}");
        return Err(RemoteError::Etcd { node: socket.node.clone(), what });
    }
    Ok(End::Unix(path))
}

/// Where etcd may listen, as seen from its node.
fn listeners(address: &Address) -> Vec<&str> {
    let mut hosts = vec!["127.0.0.1", address.as_str()];
    hosts.dedup();
    hosts
}

/// Why a handshake failed.
struct Complaint {
    words: String,
    /// Whether the stream ended at once: all that is seen here of a refused or forbidden forward.
    nobody_there: bool,
}

/// Tries the names that a member's certificate usually holds. All of them mean this node: the way there is SSH's.
async fn shake_hands(end: &End, pems: &Pems, socket: &Socket<'_>) -> Result<Client, Complaint> {
    let mut words = String::new();
    for name in ["localhost", "127.0.0.1", socket.address.as_str(), socket.node.as_str()] {
        match tokio::time::timeout(ANSWER_LIMIT, connect(end, pems, name)).await {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(said)) => words = said,
            Err(_) => words = format!("no handshake within {} s", ANSWER_LIMIT.as_secs()),
        }
        if !words.contains("not valid for name") {
            break;
        }
    }
    let nobody_there =
        ["eof", "reset by peer", "Broken pipe", "Connection refused"].iter().any(|sign| words.contains(sign));
    match end {
        End::Unix(_) if nobody_there => words.push_str(" (nobody listens there, or sshd forbids forwarding)"),
        _ => {}
    }
    Err(Complaint { words, nobody_there })
}

async fn connect(end: &End, pems: &Pems, name: &str) -> Result<Client, String> {
    let tls = TlsOptions::new()
        .ca_certificate(Certificate::from_pem(&*pems.ca))
        .identity(Identity::from_pem(&*pems.cert, &*pems.key))
        .domain_name(name);
    let endpoint = Endpoint::from_static("https://etcd").tls_config(tls).map_err(|error| chain(&error))?;
    over(endpoint, end.clone()).await
}

/// A client of a member of this machine that listens at a socket, without TLS.
pub(in crate::remote) async fn plain_client(socket: &Utf8Path) -> Result<Client, String> {
    over(Endpoint::from_static("http://etcd"), End::Unix(socket.to_owned())).await
}

async fn over(endpoint: Endpoint, end: End) -> Result<Client, String> {
    let connector = tower::service_fn(move |_: Uri| {
        let end = end.clone();
        async move { end.connect().await.map(TokioIo::new) }
    });
    let channel = endpoint.connect_with_connector(connector).await.map_err(|error| chain(&error))?;
    Client::from_channel(Channel::Tonic(channel), None).await.map_err(|error| chain(&error))
}

async fn identity(link: &Link, etcd: &Etcd, node: &NodeName) -> Result<Pems, RemoteError> {
    let args = [&etcd.ca, &etcd.cert, &etcd.key].map(ToString::to_string);
    let call = Call { script: Script::EtcdIdentity, args: args.to_vec() };
    let answer = link.run_script(&scripts::text(&call), &call.args, ANSWER_LIMIT * 2).await;
    let answer = answer.map_err(|failure| failed(node, failure))?;
    let trouble = |what: String| RemoteError::Etcd { node: node.clone(), what };
    if answer.status != 0 {
        let said = String::from_utf8_lossy(&answer.stderr);
        return Err(trouble(format!("its client's certificates could not be read: {}", said.trim())));
    }
    pems(&answer.stdout).ok_or_else(|| trouble("its client's certificates came in a form unknown".to_owned()))
}

/// The same from files of this machine.
fn own_identity(etcd: &Etcd) -> Result<Pems, String> {
    let read = |path: &Utf8PathBuf| {
        let bytes = std::fs::read(path).map(Zeroizing::new);
        bytes.map_err(|error| format!("its client's certificates could not be read: {path}: {error}"))
    };
    Ok(Pems { ca: read(&etcd.ca)?, cert: read(&etcd.cert)?, key: read(&etcd.key)? })
}

/// The three parts of what `etcd-identity` prints.
fn pems(printed: &[u8]) -> Option<Pems> {
    let text = std::str::from_utf8(printed).ok()?;
    let (_, rest) = text.split_once("--- ca\n")?;
    let (ca, rest) = rest.split_once("--- cert\n")?;
    let (cert, key) = rest.split_once("--- key\n")?;
    let part = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
    Some(Pems { ca: part(ca), cert: part(cert), key: part(key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_cut_into_its_parts() {
        let printed = b"--- ca\nA\n\n--- cert\nB\n\n--- key\nC\n\n";
        let pems = pems(printed).expect("it has three parts");
        assert_eq!((&pems.ca[..], &pems.cert[..], &pems.key[..]), (&b"A\n\n"[..], &b"B\n\n"[..], &b"C\n\n"[..]));
    }

    #[test]
    fn a_missing_part_is_no_identity() {
        assert!(super::pems(b"--- ca\nA\n--- cert\nB\n").is_none());
    }
}
