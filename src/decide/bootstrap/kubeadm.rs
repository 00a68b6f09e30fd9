//! kubeadm's configuration: the operator's own documents, with what they leave out filled in. Where they say something else than
//! the inventory, nobody guesses who is right.

use semver::Version;
use serde_json::{Map, Value, json};

use crate::inventory::{Etcd, Inventory, Node, Topology};

/// The group of kubeadm's documents.
const GROUP: &str = "kubeadm.k8s.io/";
/// The version of the kubelet's own configuration.
const KUBELET: &str = "kubelet.config.k8s.io/v1beta1";

/// kubeadm's versions of its configuration: the first and the last minor of Kubernetes 1 whose kubeadm reads it (kubeadm's own
/// release notes).
const VERSIONS: [(&str, u64, u64); 4] =
    [("v1beta1", 13, 21), ("v1beta2", 15, 26), ("v1beta3", 22, 36), ("v1beta4", 31, u64::MAX)];

/// Where containerd listens.
const SOCKET: &str = "/run/containerd/containerd.sock";
/// The client certificate of API servers for an external etcd, where kubeadm looks for it: CA, certificate, key.
pub(crate) const EXTERNAL_PEMS: [&str; 3] = [
    "/etc/kubernetes/pki/etcd/ca.crt",
    "/etc/kubernetes/pki/apiserver-etcd-client.crt",
    "/etc/kubernetes/pki/apiserver-etcd-client.key",
];

type Document = Map<String, Value>;

/// The operator's documents.
#[derive(Clone, Debug)]
pub(in crate::decide) struct Documents {
    version: String,
    init: Document,
    join: Document,
    cluster: Document,
    kubelet: Document,
    /// What kubeadm passes on: kube-proxy's.
    others: Vec<Document>,
}

impl Documents {
    /// Reads the operator's file, if there is one, for the kubeadm of `to`. Fails with everything that is wrong with it.
    pub(in crate::decide) fn read(text: Option<&str>, to: &Version) -> Result<Self, Vec<String>> {
        let newest = VERSIONS.iter().rev().find(|(_, first, last)| (*first..=*last).contains(&to.minor));
        let version = newest.map_or("v1beta4", |(version, ..)| version).to_owned();
        let mut read = Self {
            version,
            init: Document::new(),
            join: Document::new(),
            cluster: Document::new(),
            kubelet: Document::new(),
            others: Vec::new(),
        };
        let Some(text) = text else { return Ok(read) };
        let values: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| vec![error.to_string()])?;
        let mut wrong = Vec::new();
        let mut versions: Vec<String> = Vec::new();
        for value in values {
            if value.is_null() {
                continue;
            }
            let Value::Object(document) = value else {
                wrong.push("a document of it is no mapping".to_owned());
                continue;
            };
            let word = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (kind, api) = (word("kind"), word("apiVersion"));
            let Some(place) = (match kind.as_str() {
                "InitConfiguration" => Some(&mut read.init),
                "JoinConfiguration" => Some(&mut read.join),
                "ClusterConfiguration" => Some(&mut read.cluster),
                "KubeletConfiguration" => Some(&mut read.kubelet),
                "KubeProxyConfiguration" => None,
                other => {
                    wrong.push(format!(
                        "a document of kind {} is nothing that kubeadm reads",
                        crate::text::quoted(other)
                    ));
                    continue;
                }
            }) else {
                read.others.push(document);
                continue;
            };
            if !place.is_empty() {
                wrong.push(format!("it has two documents of kind {kind}"));
            }
            if let Some(version) = api.strip_prefix(GROUP) {
                versions.push(version.to_owned());
            } else if kind != "KubeletConfiguration" {
                wrong.push(format!("the {kind} has apiVersion {}, not one of {GROUP}", crate::text::quoted(&api)));
            }
            *place = document;
        }
        versions.sort();
        versions.dedup();
        if versions.len() > 1 {
            wrong.push(format!("its documents are of several versions: {}", versions.join(", ")));
        }
        if let Some(own) = versions.into_iter().next() {
            match VERSIONS.iter().find(|(version, ..)| *version == own) {
                Some((_, first, last)) if (*first..=*last).contains(&to.minor) => read.version = own,
                _ => wrong.push(format!("kubeadm {to} does not read {GROUP}{own}: write {GROUP}{}", read.version)),
            }
        }
        wrong.extend(read.not_ones_own());
        if wrong.is_empty() { Ok(read) } else { Err(wrong) }
    }

    /// What nobody but Windlass says: secrets, which are made when they are needed, and what differs between machines.
    fn not_ones_own(&self) -> Vec<String> {
        let left = [
            ("ClusterConfiguration", &self.cluster, "certificatesDir"),
            ("JoinConfiguration", &self.join, "caCertPath"),
            ("InitConfiguration", &self.init, "bootstrapTokens"),
            ("InitConfiguration", &self.init, "certificateKey"),
            ("InitConfiguration", &self.init, "localAPIEndpoint"),
            ("JoinConfiguration", &self.join, "discovery"),
            ("JoinConfiguration", &self.join, "controlPlane"),
        ];
        let found = left.into_iter().filter(|(_, document, key)| document.contains_key(*key));
        let mut wrong: Vec<String> = found
            .map(|(kind, _, key)| format!("leave {key} out of the {kind}: what is there is Windlass's to say"))
            .collect();
        let data = self.cluster.get("etcd").and_then(|etcd| etcd.get("local")?.get("dataDir"));
        if data.is_some_and(|data| data != "/var/lib/etcd") {
            wrong.push(
                "leave etcd.local.dataDir out of the ClusterConfiguration: only /var/lib/etcd is looked after"
                    .to_owned(),
            );
        }
        for (kind, document) in [("InitConfiguration", &self.init), ("JoinConfiguration", &self.join)] {
            let socket = document.get("nodeRegistration").and_then(|it| it.get("criSocket")?.as_str());
            if socket.is_some_and(|socket| socket.trim_start_matches("unix://") != SOCKET) {
                wrong.push(format!("the {kind} names another criSocket than containerd's, which is what is set up"));
            }
        }
        wrong
    }

    /// Whether images come from elsewhere than kubeadm's own list says: only kubeadm itself knows them then.
    pub(in crate::decide) fn names_images(&self) -> bool {
        let within = |path: [&str; 2]| self.cluster.get(path[0]).and_then(|it| it.get(path[1])).is_some();
        let etcd = self
            .cluster
            .get("etcd")
            .and_then(|etcd| etcd.get("local"))
            .is_some_and(|local| ["imageRepository", "imageTag"].iter().any(|key| local.get(*key).is_some()));
        self.cluster.contains_key("imageRepository")
            || etcd
            || within(["dns", "imageRepository"])
            || within(["dns", "imageTag"])
    }

    /// Whether kubelets may run beside swap.
    pub(in crate::decide) fn tolerates_swap(&self) -> bool {
        self.kubelet.get("failSwapOn") == Some(&Value::Bool(false))
    }

    /// What `kubeadm init` reads on the first control plane, or where it says something else than the inventory.
    pub(super) fn of_init(&self, inventory: &Inventory, node: &Node, to: &Version) -> Result<String, Vec<String>> {
        let mut init = self.headed(&self.init, "InitConfiguration");
        // The run's name is filled in on the machine.
        init.insert("bootstrapTokens".to_owned(), json!([{ "ttl": "30m0s", "description": "windlass-@RUN@" }]));
        init.insert("localAPIEndpoint".to_owned(), json!({ "advertiseAddress": node.address.as_str() }));
        self.register(&mut init, node, to);
        let mut cluster = self.headed(&self.cluster, "ClusterConfiguration");
        let mut wrong = Vec::new();
        let mut agree = |key: &str, wanted: Value| match cluster.get(key) {
            None => _ = cluster.insert(key.to_owned(), wanted),
            Some(own) if *own == wanted => {}
            Some(own) => wrong.push(format!("its {key} is {own}, and here it is {wanted}")),
        };
        agree("kubernetesVersion", json!(format!("v{to}")));
        agree("controlPlaneEndpoint", json!(inventory.api.endpoint));
        cluster.entry("clusterName").or_insert_with(|| json!(inventory.name));
        if let Err(why) = self.etcd(&mut cluster, inventory) {
            wrong.push(why);
        }
        let mut kubelet = self.kubelet.clone();
        kubelet.entry("apiVersion").or_insert_with(|| json!(KUBELET));
        kubelet.entry("kind").or_insert_with(|| json!("KubeletConfiguration"));
        if inventory.bootstrap.containerd.is_none() && kubelet.get("cgroupDriver").is_some_and(|own| own != "systemd") {
            wrong
                .push("its cgroupDriver is not systemd's, and containerd's is: name its configuration, too".to_owned());
        }
        if inventory.bootstrap.containerd.is_none() {
            // As containerd is set up; kubeadm's own default only from 1.22 on.
            kubelet.entry("cgroupDriver").or_insert_with(|| json!("systemd"));
        }
        let documents: Vec<String> =
            [init, cluster, kubelet].iter().chain(&self.others).map(|it| json!(it).to_string()).collect();
        if wrong.is_empty() { Ok(documents.join("\n---\n")) } else { Err(wrong) }
    }

    /// What `kubeadm join` reads on a machine; `@TOKEN@` and `@HASH@` are filled in there.
    pub(super) fn of_join(&self, inventory: &Inventory, node: &Node, to: &Version, control_plane: bool) -> String {
        let mut join = self.headed(&self.join, "JoinConfiguration");
        let token = json!({
            "apiServerEndpoint": inventory.api.endpoint, "token": "@TOKEN@", "caCertHashes": ["@HASH@"],
        });
        join.insert("discovery".to_owned(), json!({ "bootstrapToken": token }));
        if control_plane {
            let endpoint = json!({ "advertiseAddress": node.address.as_str() });
            join.insert("controlPlane".to_owned(), json!({ "localAPIEndpoint": endpoint }));
        }
        self.register(&mut join, node, to);
        json!(join).to_string()
    }

    fn headed(&self, document: &Document, kind: &str) -> Document {
        let mut headed = document.clone();
        headed.insert("apiVersion".to_owned(), json!(format!("{GROUP}{}", self.version)));
        headed.insert("kind".to_owned(), json!(kind));
        headed
    }

    /// Under which name and address a machine is a node.
    fn register(&self, document: &mut Document, node: &Node, to: &Version) {
        let registration = document.entry("nodeRegistration").or_insert_with(|| json!({}));
        let Some(registration) = registration.as_object_mut() else { return };
        registration.insert("name".to_owned(), json!(node.name.as_str()));
        // Without its scheme a socket is understood by every kubeadm before 1.24, and with it by every one from then on.
        let socket = if to.minor < 24 { SOCKET.to_owned() } else { format!("unix://{SOCKET}") };
        registration.entry("criSocket").or_insert_with(|| json!(socket));
        if node.address.as_str().parse::<std::net::IpAddr>().is_ok() {
            let arguments = registration.entry("kubeletExtraArgs").or_insert_with(|| self.no_arguments());
            argument(arguments, "node-ip", node.address.as_str());
        }
    }

    /// Flags are a list from v1beta4 on, and a mapping before.
    fn no_arguments(&self) -> Value {
        if self.version.as_str() < "v1beta4" { json!({}) } else { json!([]) }
    }

    /// Where etcd is, and how fast it beats.
    fn etcd(&self, cluster: &mut Document, inventory: &Inventory) -> Result<(), String> {
        let etcd = cluster.entry("etcd").or_insert_with(|| json!({}));
        let Some(etcd) = etcd.as_object_mut() else { return Err("its etcd is no mapping".to_owned()) };
        match inventory.etcd.topology {
            Topology::External if etcd.is_empty() => {
                let [ca, cert, key] = EXTERNAL_PEMS;
                let endpoints: Vec<String> =
                    inventory.etcd_nodes().map(|node| client_url(&inventory.etcd, node)).collect();
                let external = json!({ "endpoints": endpoints, "caFile": ca, "certFile": cert, "keyFile": key });
                etcd.insert("external".to_owned(), external);
                Ok(())
            }
            Topology::External => Err("leave etcd out of it: where its members are is filled in".to_owned()),
            Topology::Stacked if etcd.contains_key("external") => {
                Err("its etcd is external, and in the inventory it is stacked".to_owned())
            }
            Topology::Stacked => {
                let local = etcd.entry("local").or_insert_with(|| json!({}));
                let Some(local) = local.as_object_mut() else { return Err("its etcd.local is no mapping".to_owned()) };
                let arguments = local.entry("extraArgs").or_insert_with(|| self.no_arguments());
                let times = &inventory.bootstrap;
                argument(arguments, "heartbeat-interval", &times.heartbeat_ms.to_string());
                argument(arguments, "election-timeout", &times.election_ms.to_string());
                Ok(())
            }
        }
    }
}

/// Adds a flag, unless it is there.
fn argument(arguments: &mut Value, name: &str, value: &str) {
    match arguments {
        Value::Object(map) => _ = map.entry(name).or_insert_with(|| json!(value)),
        Value::Array(list) if !list.iter().any(|known| known.get("name") == Some(&json!(name))) => {
            list.push(json!({ "name": name, "value": value }));
        }
        _ => {}
    }
}

/// Where a member's clients reach it.
pub(super) fn client_url(etcd: &Etcd, node: &Node) -> String {
    url(node, etcd.client_port)
}

/// Where a member's peers reach it: at etcd's own port for that.
pub(in crate::decide) fn peer_url(node: &Node) -> String {
    url(node, 2380)
}

fn url(node: &Node, port: u16) -> String {
    let host = node.address.as_str();
    if host.contains(':') { format!("https://[{host}]:{port}") } else { format!("https://{host}:{port}") }
}
