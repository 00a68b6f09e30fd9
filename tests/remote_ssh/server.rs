//! An sshd of the test's own, and the inventory that leads to it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use camino::Utf8Path;
use windlass::inventory::{
    Address, Api, Bootstrap, Etcd, Inventory, Kubeadm, LoadBalancer, Node, NodeName, Role, Ssh, Topology,
};
use windlass::remote::ssh::Fleet;
use windlass::remote::{Call, Script};

use crate::ports::free_port;

const SSHD: &str = "/usr/sbin/sshd";

pub(crate) struct Server {
    pub(crate) sshd: Child,
    pub(crate) port: u16,
    pub(crate) folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("CONT");
        self.signal("KILL");
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

impl Server {
    /// A server that is ready.
    pub(crate) fn start() -> Self {
        Self::start_for(1)
    }

    /// The same for this many machines at once: 127.0.0.1, 127.0.0.2 and so on, each with a folder of its own for
    /// Windlass (`node`, `node2` and so on).
    pub(crate) fn start_for(machines: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("sshd-").tempdir().expect("a folder");
        let port = free_port();
        for key in ["host", "other_host", "user", "other_user"] {
            let file = folder.path().join(key);
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file));
        }
        let at = folder.path().display();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {at}/host\nAuthorizedKeysFile {at}/user.pub\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n\
             SetEnv WINDLASS_ROOT={at}/node WINDLASS_FILES={at}/files PATH={at}/bin:/usr/bin:/bin\n"
        );
        let (mut first, mut last) = (String::new(), String::new());
        for number in 2..=machines {
            let set =
                format!("SetEnv WINDLASS_ROOT={at}/node{number} WINDLASS_FILES={at}/files PATH={at}/bin:/usr/bin:/bin");
            first.push_str(&["ListenAddress 127.0.0.", &number.to_string(), ":", &port.to_string(), "\n"].concat());
            last.push_str(&["Match LocalAddress 127.0.0.", &number.to_string(), "\n", &set, "\n"].concat());
        }
        let config = format!("{first}{config}{last}");
        std::fs::write(folder.path().join("sshd_config"), config).expect("written");
        // What Debian's unit makes before it starts sshd; only root's sshd wants it.
        let _ = std::fs::create_dir_all("/run/sshd");
        let sshd = Command::new(SSHD)
            .args(["-D", "-E"])
            .arg(folder.path().join("log"))
            .arg("-f")
            .arg(folder.path().join("sshd_config"))
            .stdin(Stdio::null())
            .spawn()
            .expect("an sshd (Debian package openssh-server)");
        let server = Self { sshd, port, folder };
        server.knows("known_hosts", "host");
        let ready = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(eventually(ready), "sshd listens: {:?}", std::fs::read_to_string(server.folder.path().join("log")));
        server
    }

    /// Writes a known_hosts file with the public key `key`.
    pub(crate) fn knows(&self, file: &str, key: &str) {
        let public = std::fs::read_to_string(self.folder.path().join(format!("{key}.pub"))).expect("a key");
        let line = format!("[127.0.0.*]:{port},[localhost]:{port} {public}", port = self.port);
        std::fs::write(self.folder.path().join(file), line).expect("written");
    }

    pub(crate) fn inventory(&self) -> Inventory {
        Inventory {
            name: "loopback".to_owned(),
            ssh: Ssh {
                user: None,
                port: self.port,
                identity: Some("user".into()),
                config: None,
                known_hosts: Some("known_hosts".into()),
                jump: None,
                connect_timeout: Duration::from_secs(2),
                keepalive: Duration::from_secs(1),
                sudo: false,
                strict_host_keys: true,
            },
            api: Api::default(),
            load_balancer: LoadBalancer::default(),
            etcd: Etcd {
                topology: Topology::External,
                service: "etcd".to_owned(),
                package: "etcd-server".to_owned(),
                client_package: None,
                ca: "/nowhere/ca".into(),
                cert: "/nowhere/cert".into(),
                key: "/nowhere/key".into(),
                env_file: "/etc/default/etcd".into(),
                client_port: 2379,
            },
            kubeadm: Kubeadm::default(),
            bootstrap: Bootstrap::default(),
            nodes: vec![Node {
                name: name("here"),
                address: Address::new("127.0.0.1").expect("an address"),
                roles: BTreeSet::from([Role::Worker]),
                labels: BTreeMap::new(),
            }],
        }
    }

    pub(crate) fn base(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).expect("a path in UTF-8")
    }

    pub(crate) fn fleet(&self) -> Fleet {
        Fleet::new(&self.inventory(), self.base()).expect("a fleet")
    }

    /// Signals the processes that serve connections, not the one that listens.
    pub(crate) fn signal(&self, signal: &str) {
        let mut parents = vec![self.sshd.id().to_string()];
        while let Some(parent) = parents.pop() {
            let listed = Command::new("ps").args(["--ppid", &parent, "-o", "pid=,comm="]).output().expect("ps runs");
            for line in String::from_utf8_lossy(&listed.stdout).lines().filter(|line| line.contains("sshd")) {
                let pid = line.split_whitespace().next().unwrap_or_default().to_owned();
                let _ = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
                parents.push(pid);
            }
        }
    }
}

pub(crate) fn run(command: &mut Command) {
    assert!(command.status().expect("it runs").success(), "{command:?}");
}

pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    // Five seconds: a loaded machine starts a process within one.
    (0..100).any(|_| {
        let now = holds();
        if !now {
            std::thread::sleep(Duration::from_millis(50));
        }
        now
    })
}

pub(crate) fn name(word: &str) -> NodeName {
    NodeName::new(word).expect("a node name")
}

pub(crate) fn call(script: Script, args: &[&str]) -> Call {
    Call { script, args: args.iter().map(|arg| (*arg).to_owned()).collect() }
}

pub(crate) fn status_call() -> Call {
    call(Script::UnitStatus, &["run", "unit"])
}
