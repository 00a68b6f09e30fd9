//! Three members of etcd behind one sshd, with certificates, some keys as Kubernetes writes them, and on the way to each a
//! relay that can be slow, stop, or act at a given moment.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::ports::free_port;
use crate::server::{Server, eventually};

/// The uid that the cluster's namespace `kube-system` has.
pub(super) const UID: &str = "0b6a5a3e-9a52-4dc4-8d2c-0f3f9a0c7b11";

/// What happens on the way of the bytes that a member sends on one connection: asked after each piece, with how many came.
type Way = Arc<Mutex<dyn FnMut(usize) + Send>>;

/// One cluster at a time: three members that compete for a busy machine with three others lose their leaders.
static ALONE: Mutex<()> = Mutex::new(());

/// The cluster.
pub(super) struct Cluster {
    pub(super) server: Server,
    etcds: Vec<Child>,
    /// What a member is started with: ports of clients and peers, the members.
    starts: (u16, u16, String),
    pub(super) port: u16,
    ways: Vec<Arc<Mutex<Option<Way>>>>,
    // Last, so that the next begins when all of this is gone.
    _alone: MutexGuard<'static, ()>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for etcd in &mut self.etcds {
            let _ = etcd.kill();
            let _ = etcd.wait();
        }
    }
}

/// The members are at 127.0.0.2 to 127.0.0.4: what listens at 127.0.0.1 would be every machine's.
fn host(number: usize) -> String {
    format!("127.0.0.{}", number + 2)
}

impl Cluster {
    /// Three members that are healthy, with their keys.
    pub(super) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, started with more words.
    pub(super) fn start_with(more: &[&str]) -> Self {
        // A test that failed is no reason for the others to.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let server = Server::start_for(4);
        certificates(server.base());
        let (port, inner, peer) = (free_port(), free_port(), free_port());
        let cluster: Vec<String> = (0..3).map(|n| format!("m{n}=http://{}:{peer}", host(n))).collect();
        let cluster = cluster.join(",");
        let etcds = (0..3).map(|n| start_member(server.base(), n, inner, peer, &cluster, more)).collect();
        let starts = (inner, peer, cluster);
        let ways: Vec<_> = (0..3).map(|_| Arc::new(Mutex::new(None))).collect();
        for (number, way) in ways.iter().enumerate() {
            relay(&host(number), port, inner, Arc::clone(way));
        }
        let cluster = Self { server, etcds, starts, port, ways, _alone: alone };
        cluster.write_inventory();
        assert!(eventually(|| cluster.etcdctl(&["endpoint", "health", "--cluster"], "").status.success()), "healthy");
        cluster.put(
            "/registry/namespaces/kube-system",
            &format!(r#"{{"kind":"Namespace","metadata":{{"name":"kube-system","uid":"{UID}"}}}}"#),
        );
        cluster.put("/registry/pods/default/a", "a");
        cluster.put("/registry/pods/default/b", "b");
        cluster.etcdctl(&["del", "/registry/pods/default/b"], "");
        cluster
    }

    fn write_inventory(&self) {
        let at = self.base();
        let mut text = format!(
            "format = 1\nname = \"loopback\"\n\
             [ssh]\nport = {}\nidentity = \"user\"\nknown_hosts = \"known_hosts\"\nconnect_timeout = \"5s\"\nsudo = false\n\
             [etcd]\ntopology = \"external\"\nca = \"{at}/ca.crt\"\ncert = \"{at}/node.crt\"\nkey = \"{at}/node.key\"\nclient_port = {}\n\
             [[node]]\nname = \"cp1\"\naddress = \"127.0.0.1\"\nroles = [\"control-plane\"]\n",
            self.server.port, self.port
        );
        for number in 0..3 {
            let (name, host) = (format!("e{number}"), host(number));
            text.push_str("[[node]]\nname = \"");
            text.push_str(&[&name, "\"\naddress = \"", &host, "\"\nroles = [\"etcd\"]\n"].concat());
        }
        std::fs::write(at.join("inventory.toml"), text).expect("written");
    }

    pub(super) fn base(&self) -> &Utf8Path {
        self.server.base()
    }

    pub(super) fn path(&self, name: &str) -> Utf8PathBuf {
        self.base().join(name)
    }

    pub(super) fn etcdctl(&self, words: &[&str], input: &str) -> Output {
        let at = self.base();
        let mut child = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            // A busy machine answers late; a second try might write twice.
            .args(["--dial-timeout", "30s", "--command-timeout", "60s"])
            .args(["--endpoints", &format!("https://{}:{}", host(0), self.port)])
            .args(["--cacert", at.join("ca.crt").as_str(), "--cert", at.join("node.crt").as_str()])
            .args(["--key", at.join("node.key").as_str()])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("etcdctl starts");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    }

    pub(super) fn put(&self, key: &str, value: &str) {
        let output = self.etcdctl(&["put", key], value);
        assert!(output.status.success(), "{output:?}");
    }

    /// Makes the database large enough that a stream of it can be met on its way.
    pub(super) fn fill(&self, mebibytes: usize) {
        let mut noise = 7_u64;
        for number in 0..mebibytes {
            let letter = |_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'a' + u8::try_from((noise >> 40) % 26).expect("a letter"))
            };
            let value: String = (0..1_000_000).map(letter).collect();
            self.put(&format!("/registry/configmaps/default/{number}"), &value);
        }
    }

    /// Which of the members leads.
    pub(super) fn leader(&self) -> usize {
        let find = || {
            let status = self.etcdctl(&["endpoint", "status", "--cluster"], "").stdout;
            let status = String::from_utf8_lossy(&status).into_owned();
            // endpoint, id, version, size, whether it leads, …
            let line = status.lines().find(|line| line.split(", ").nth(4) == Some("true"))?;
            (0..3).find(|number| line.contains(&format!("//{}:", host(*number))))
        };
        // On a busy machine there may be none for a moment.
        let mut leader = None;
        assert!(eventually(|| {
            leader = find();
            leader.is_some()
        }));
        leader.expect("one leads")
    }

    /// Signals a member's process.
    pub(super) fn signal(&self, number: usize, signal: &str) {
        let pid = self.etcds[number].id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().expect("kill runs").success());
    }

    /// Ends a member, changes its data, and starts it again.
    pub(super) fn restart_after(&mut self, number: usize, change: impl FnOnce(&std::path::Path)) {
        self.signal(number, "TERM");
        self.etcds[number].wait().expect("it ends");
        change(self.base().join(format!("m{number}")).as_std_path());
        let (inner, peer, cluster) = &self.starts;
        self.etcds[number] = start_member(self.server.base(), number, *inner, *peer, cluster, &[]);
        assert!(eventually(|| self.etcdctl(&["endpoint", "health", "--cluster"], "").status.success()), "healthy");
    }

    /// A member's process id.
    pub(super) fn pid(&self, number: usize) -> u32 {
        self.etcds[number].id()
    }

    /// On the way from every member: `way` is told after each piece how many bytes its connection has brought.
    pub(super) fn on_the_way(&self, way: impl FnMut(usize) + Send + 'static) {
        let way: Way = Arc::new(Mutex::new(way));
        for place in &self.ways {
            *place.lock().expect("no panic") = Some(Arc::clone(&way));
        }
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.args(words).current_dir(self.base()).env("WINDLASS_STATE", "state").stdin(Stdio::null());
        command
    }

    /// Runs windlass: exit code, what it printed, what it complained.
    pub(super) fn windlass(&self, words: &[&str]) -> (i32, String, String) {
        said(&self.command(words).output().expect("windlass runs"))
    }

    pub(super) fn backup(&self, words: &[&str]) -> (i32, String, String) {
        self.windlass(&[&["etcd", "backup", "-i", "inventory.toml", "--to", "backups"], words].concat())
    }

    /// Every file of the folder `backups`, hidden ones too.
    pub(super) fn kept(&self) -> Vec<String> {
        files(self.path("backups").as_std_path())
    }
}

pub(super) fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

pub(super) fn files(folder: &std::path::Path) -> Vec<String> {
    let Ok(listed) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        listed.map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Whether this is a backup's manifest.
pub(super) fn is_manifest(name: &str) -> bool {
    windlass::backup::BackupName::parse(name).is_some_and(|(_, part)| part == windlass::backup::Part::Manifest)
}

fn certificates(folder: &Utf8Path) {
    let script = "
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=ca
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout node.key -out node.csr -subj /CN=node
        echo subjectAltName=IP:127.0.0.2,IP:127.0.0.3,IP:127.0.0.4 >ext
        openssl x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out node.crt";
    let made = Command::new("sh").args(["-ec", script]).current_dir(folder).output().expect("sh runs");
    assert!(made.status.success(), "{made:?}");
}

fn start_member(folder: &Utf8Path, number: usize, client: u16, peer: u16, cluster: &str, more: &[&str]) -> Child {
    let (client, peer) = (format!("https://{}:{client}", host(number)), format!("http://{}:{peer}", host(number)));
    let log = std::fs::File::create(folder.join(format!("m{number}.log"))).expect("a log");
    Command::new("etcd")
        .args(["--heartbeat-interval", "200", "--election-timeout", "2000"])
        .args(["--name", &format!("m{number}"), "--data-dir", folder.join(format!("m{number}")).as_str()])
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client, "--client-cert-auth"])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer, "--initial-cluster", cluster])
        .args(["--trusted-ca-file", folder.join("ca.crt").as_str(), "--cert-file", folder.join("node.crt").as_str()])
        .args(["--key-file", folder.join("node.key").as_str()])
        .args(more)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("etcd starts")
}

/// Passes connections to `host:port` on to `host:inner`.
fn relay(host: &str, port: u16, inner: u16, way: Arc<Mutex<Option<Way>>>) {
    let listener = TcpListener::bind((host, port)).expect("a listener");
    let to = format!("{host}:{inner}");
    std::thread::spawn(move || {
        for from in listener.incoming().flatten() {
            // A member that is gone refuses; whoever asked sees the end.
            let Ok(to) = TcpStream::connect(&to) else { continue };
            let (from_back, to_back) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
            std::thread::spawn(move || pass(from, to, |_| ()));
            let way = Arc::clone(&way);
            std::thread::spawn(move || {
                pass(to_back, from_back, |count| {
                    let way = way.lock().expect("no panic").clone();
                    if let Some(way) = way {
                        way.lock().expect("no panic")(count);
                    }
                });
            });
        }
    });
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut way: impl FnMut(usize)) {
    let (mut buffer, mut all) = (vec![0; 1 << 16], 0);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        all += count;
        way(all);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Waits this long.
pub(super) fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// A key pair of age's: its secret half goes into the file `name`, its recipient is returned.
pub(super) fn identity(cluster: &Cluster, name: &str) -> String {
    use age::secrecy::ExposeSecret as _;
    let identity = age::x25519::Identity::generate();
    let text = format!("# a test's\n{}\n", identity.to_string().expose_secret());
    std::fs::write(cluster.path(name), text).expect("written");
    identity.to_public().to_string()
}
