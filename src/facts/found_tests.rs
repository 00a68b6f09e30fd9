use super::*;

const API: &str = "@@ readyz
 server https://10.0.0.1:6443
 ok
@@ end readyz ok
@@ addresses
 node cp1
 labels {\"node-role.kubernetes.io/master\":\"\"}
 address 10.0.0.1 fd00::1
 node w1
 labels {\"zone\":\"a\"}
 address 10.0.0.9
@@ end addresses ok
@@ kubeadm
 apiVersion: kubeadm.k8s.io/v1beta2
 clusterName: kubernetes
 controlPlaneEndpoint: lb.example:6443
 etcd:
   external:
     caFile: /etc/etcd/ca.crt
     endpoints:
     - https://10.0.0.4:2379
     - \"https://10.0.0.5:2379\"
     keyFile: /etc/etcd/k
 networking:
   dnsDomain: cluster.local
@@ end kubeadm ok
@@ done
";

#[test]
fn a_cluster_is_told_by_its_api() {
    let found = cluster(API).expect("it answers");
    assert_eq!((found.name.as_str(), found.endpoint.as_str()), ("kubernetes", "lb.example:6443"));
    let urls = ["https://10.0.0.4:2379", "https://10.0.0.5:2379"].map(str::to_owned).to_vec();
    assert_eq!(found.etcd, Some(urls));
    let node = |name: &str, address: &str, control_plane| FoundNode {
        name: name.to_owned(),
        address: address.to_owned(),
        control_plane,
    };
    assert_eq!(found.nodes, [node("cp1", "10.0.0.1", true), node("w1", "10.0.0.9", false)]);
    let stacked = API.replace("   external:\n     caFile: /etc/etcd/ca.crt\n     endpoints:\n     - https://10.0.0.4:2379\n     - \"https://10.0.0.5:2379\"\n     keyFile: /etc/etcd/k\n", "   local:\n     dataDir: /var/lib/etcd\n");
    assert_eq!(cluster(&stacked).expect("it answers").etcd, None);
    let dead = "@@ readyz\n@@ end readyz unseen connection refused\n@@ done\n";
    assert!(matches!(cluster(dead), Err(ApiError::NotReady(_))));
}

/// Certificates that rcgen makes: a client's, and a server's alone.
fn body(usage: rcgen::ExtendedKeyUsagePurpose) -> String {
    let mut params = rcgen::CertificateParams::default();
    params.extended_key_usages = vec![usage];
    let made = params.self_signed(&rcgen::KeyPair::generate().expect("a key")).expect("a certificate");
    data_encoding::BASE64.encode(made.der())
}

#[test]
fn etcd_is_told_by_its_machine() {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let (client, server) = (body(ClientAuth), body(ServerAuth));
    let text = format!(
        "@@ etcd-service\n host etcd1\n unit etcd.service\n program /usr/bin/etcd\n package etcd-server\n client-package etcd-client\n \
         env-file /etc/default/etcd\n set trusted-ca-file /environment/ca.crt\n set cert-file /p/server.crt\n set \
         listen-client-urls https://127.0.0.1:4001,https://10.0.0.4:4001\n set trusted-ca-file /p/ca.crt\n certificate {client} \
         /p/a.crt\n key /p/a.key /p/a.crt\n certificate {client} /p/client.crt\n key /p/client.key /p/client.crt\n certificate \
         {server} /p/server.crt\n key /p/server.key /p/server.crt\n certificate none /p/x.crt\n key /p/x.key /p/x.crt\n@@ end \
         etcd-service ok\n@@ done\n"
    );
    let found = etcd(&text).expect("an answer").expect("it runs etcd");
    let pair = |name: &str| (format!("/p/{name}.crt"), format!("/p/{name}.key"));
    let wanted = FoundEtcd {
        host: "etcd1".to_owned(),
        service: Some("etcd".to_owned()),
        program: "/usr/bin/etcd".to_owned(),
        package: Some("etcd-server".to_owned()),
        client_package: Some("etcd-client".to_owned()),
        env_file: Some("/etc/default/etcd".to_owned()),
        ca: Some("/p/ca.crt".to_owned()),
        client_port: Some(4001),
        clients: vec![pair("client"), pair("a")],
        config_file: None,
    };
    assert_eq!(found, wanted);
    let none = "@@ etcd-service\n@@ end etcd-service unseen no etcd runs\n@@ done\n";
    assert_eq!(etcd(none), Ok(Err("no etcd runs".to_owned())));
    assert!(etcd("sudo: a password is required").is_err());
}
