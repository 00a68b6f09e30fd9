//! What a site has to have for a cluster to begin there.

use windlass::decide::bootstrap::{Files, Needs, needs};
use windlass::report;

use super::cluster::{Cluster, version};

fn told(cluster: &Cluster, etcd: Option<&str>, files: &Files) -> Result<Needs, Vec<String>> {
    needs(&cluster.inventory, &version("1.20.2"), etcd.map(version).as_ref(), files)
}

#[test]
fn packages_by_their_machines_and_only_those_tags_of_images_that_are_known_for_sure() {
    let needs = told(&Cluster::base(), Some("3.4.23"), &Files::default()).expect("told");
    let packages: Vec<String> = needs
        .packages
        .iter()
        .map(|package| {
            let version = package.version.as_ref().map_or("any".to_owned(), ToString::to_string);
            let optional = if package.optional { " optional" } else { "" };
            format!("{} {version} {}{optional}", package.names.join("|"), package.machines.len())
        })
        .collect();
    let wanted = [
        "kubeadm 1.20.2 5",
        "kubelet 1.20.2 5",
        "kubectl 1.20.2 5",
        "containerd.io|containerd any 5",
        "runc any 5 optional",
        "cri-tools any 5 optional",
        "kubernetes-cni any 5 optional",
        "etcd-server 3.4.23 3",
        "etcd-client 3.4.23 3",
    ];
    assert_eq!(packages, wanted);
    let images: Vec<(&str, Option<&str>)> =
        needs.images.iter().map(|image| (image.name.as_str(), image.tag.as_deref())).collect();
    let own = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];
    let mut wanted: Vec<_> = own.iter().map(|name| (*name, Some("v1.20.2"))).collect();
    wanted.extend([("coredns", None), ("pause", None)]);
    assert_eq!(images, wanted);
    let text = report::needs(&needs);
    for line in [
        "  etcd-server                  3.4.23                                 etcd1, etcd2 and etcd3\n",
        "  coredns                  as kubeadm's list says\n",
        " \"kubeadm=$(full kubeadm 1.20.2)\" \"kubelet=$(full kubelet 1.20.2)\" \"kubectl=$(full kubectl 1.20.2)\" containerd \
         \"etcd-server=$(full etcd-server 3.4.23)\" \"etcd-client=$(full etcd-client 3.4.23)\"\n",
        "kubeadm config images list --kubernetes-version v1.20.2 > images.txt\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let json = report::needs_json(&needs);
    assert_eq!(json["packages"][3]["any_of"][1], "containerd");
    assert_eq!(
        (&json["packages"][3]["version"], &json["images"][4]["tag"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert_eq!((&json["format"], &json["own_images"]), (&1.into(), &false.into()));
}

#[test]
fn a_stacked_etcd_is_an_image_and_ones_own_images_are_said() {
    let kubeadm =
        "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\nimageRepository: mirror.example.org/k8s\n";
    let files = Files { kubeadm: Some(kubeadm.to_owned()), ..Files::default() };
    let needs = told(&Cluster::stacked(), None, &files).expect("told");
    assert!(needs.packages.iter().all(|package| !package.names[0].starts_with("etcd")));
    assert_eq!(needs.images.last().map(|image| (image.name.as_str(), image.tag.clone())), Some(("etcd", None)));
    assert!(needs.own_images && report::needs(&needs).contains("its list has the last word\n"));
}

#[test]
fn what_cannot_be_told_is_said() {
    let none = Files::default();
    let said = |cluster: &Cluster, etcd| told(cluster, etcd, &none).expect_err("it cannot be told");
    assert_eq!(said(&Cluster::base(), None), ["etcd is external: say which version it begins with: --etcd VERSION"]);
    assert_eq!(
        said(&Cluster::stacked(), Some("3.5.16")),
        ["etcd is stacked: kubeadm chooses its version, leave --etcd out"]
    );
    let wrong = Files { kubeadm: Some("kind: [".to_owned()), ..Files::default() };
    assert!(told(&Cluster::stacked(), None, &wrong).is_err());
}
