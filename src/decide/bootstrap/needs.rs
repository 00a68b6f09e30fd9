//! What a site has to have for a cluster to begin there: packages and images, as far as they are known before a machine is asked.

use semver::Version;

use super::kubeadm::Documents;
use super::{BESIDE, Files, RUNC, RUNTIMES, balancer, is_member};
use crate::decide::planner::packages::KUBERNETES;
use crate::inventory::{Inventory, Node, Role, is_program};

/// The images that are at the version of Kubernetes itself, by the last part of their names.
const IMAGES: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];
/// The images whose versions only kubeadm knows.
const BESIDE_IMAGES: [&str; 2] = ["coredns", "pause"];

/// A package that machines have to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its names: one of them is enough.
    pub names: Vec<String>,
    /// The version that it carries; any is good where none is given.
    pub version: Option<Version>,
    /// Whether it is left out where no source has it: others carry what it has.
    pub optional: bool,
    /// The machines, by their names.
    pub machines: Vec<String>,
}

/// An image that nodes have to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The last part of its name.
    pub name: String,
    /// Its tag; where none is given, kubeadm's own list says it.
    pub tag: Option<String>,
}

/// What a site has to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The version of Kubernetes.
    pub kubernetes: Version,
    /// The packages.
    pub packages: Vec<Package>,
    /// The images, with names as kubeadm knows them.
    pub images: Vec<Image>,
    /// Whether the operator's own configuration for kubeadm says where images come from, or which.
    pub own_images: bool,
}

/// What has to be had for this cluster, or why that cannot be told.
pub fn needs(
    inventory: &Inventory,
    kubernetes: &Version,
    etcd: Option<&Version>,
    files: &Files,
) -> Result<Needs, Vec<String>> {
    let documents = Documents::read(files.kubeadm.as_deref(), kubernetes)?;
    let on = |has: &dyn Fn(&Node) -> bool| -> Vec<String> {
        inventory.nodes.iter().filter(|node| has(node)).map(|node| node.name.to_string()).collect()
    };
    let nodes = on(&Node::is_kube);
    let members = on(&|node| is_member(inventory, node));
    let mut packages = Vec::new();
    let mut add = |names: &[&str], version: Option<&Version>, optional: bool, machines: &[String]| {
        if !machines.is_empty() {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            packages.push(Package { names, version: version.cloned(), optional, machines: machines.to_vec() });
        }
    };
    for name in KUBERNETES {
        add(&[name], Some(kubernetes), false, &nodes);
    }
    add(&RUNTIMES, None, false, &nodes);
    add(&[RUNC], None, true, &nodes);
    for name in BESIDE {
        add(&[name], None, true, &nodes);
    }
    let balancers = on(&|node| node.roles.contains(&Role::LoadBalancer));
    for name in balancer::packages(inventory) {
        add(&[name], None, false, &balancers);
    }
    let own = &inventory.etcd;
    if !members.is_empty() {
        let Some(version) = etcd else {
            return Err(vec!["etcd is external: say which version it begins with: --etcd VERSION".to_owned()]);
        };
        if is_program(&own.package) {
            return Err(vec![
                "etcd is installed from a package: name one in the inventory ([etcd] package)".to_owned(),
            ]);
        }
        for name in std::iter::once(&own.package).chain(&own.client_package) {
            add(&[name], Some(version), false, &members);
        }
    } else if etcd.is_some() {
        return Err(vec!["etcd is stacked: kubeadm chooses its version, leave --etcd out".to_owned()]);
    }
    let image = |name: &&str, tag: Option<String>| Image { name: (*name).to_owned(), tag };
    let mut images: Vec<Image> = IMAGES.iter().map(|name| image(name, Some(format!("v{kubernetes}")))).collect();
    images.extend(BESIDE_IMAGES.iter().map(|name| image(name, None)));
    images.extend(members.is_empty().then(|| image(&"etcd", None)));
    Ok(Needs { kubernetes: kubernetes.clone(), packages, images, own_images: documents.names_images() })
}
