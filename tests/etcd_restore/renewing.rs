//! Certificates of a real member are renewed while it runs: fresh connections get the new ones, without a restart.

use std::process::Command;

use windlass::decide::call::Script;

use crate::members::Members;
use crate::{RUN, written};

fn shell(members: &Members, script: &str) -> String {
    let ran = Command::new("sh").args(["-ec", script]).current_dir(members.path("")).output().expect("sh runs");
    assert!(ran.status.success(), "{script}: {ran:?}");
    String::from_utf8_lossy(&ran.stdout).trim().to_owned()
}

/// Another certificate of this authority, where a job finds what was sent: with a key, or with a key that is not its own.
fn send(members: &Members, authority: &str, own_key: bool) {
    let windlass = members.node(1).join("windlass/certificates/run");
    let script = format!(
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout new.key -out new.csr -subj /CN=node 2>/dev/null
         openssl x509 -req -in new.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial -days 9 -extfile ext -out new.crt 2>/dev/null
         {}
         mkdir -p {dir} && rm -rf {dir}/*
         {{ echo '--- 1'; cat new.crt; echo '--- 2'; cat new.key; }} >{dir}/sent.pem",
        if own_key { "" } else { "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out new.key" },
        dir = windlass.display(),
    );
    shell(members, &script);
}

/// The serial number of what a member shows at this address.
fn shown(members: &Members, url: &str) -> String {
    let address = url.strip_prefix("https://").expect("TLS");
    shell(members, &format!("openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -serial"))
}

const SENT: &str = "certificates/run/sent.pem";

fn renew(members: &Members) -> (i32, String) {
    let file = |name: &str| members.path(name).display().to_string();
    let (ca, cert, key) = (file("ca.crt"), file("node.crt"), file("node.key"));
    // One pair serves clients, peers and as a client's. All members of this test share it.
    let access = format!("{ca};{cert};{key};{};{},{}", members.urls[0], members.urls[1], members.urls[2]);
    let guard = format!("etcd;etcd;{access}");
    let pair = format!("{cert};{key};{ca}");
    let seen =
        format!("{};{pair};{cert},{};{pair};{cert},{};{pair};-", members.urls[0], members.peers[0], members.peers[1]);
    members.job(1, Script::RenewCertificates, &[SENT, "etcd", &guard, &seen, &cert, &key])
}

async fn renewed(version: &str) {
    let members = Members::start(version).await;
    written(&members).await;
    let pid = std::fs::read_to_string(members.node(1).join("pid")).expect("it runs");
    // Whoever leads is not touched: leadership is moved first, as the plan does.
    let mut client = members.client(1).await;
    let status = client.status().await.expect("a status");
    if status.leader() == status.header().expect("a header").member_id() {
        let list = client.member_list().await.expect("a list");
        let other = list.members().iter().find(|member| member.id() != status.leader()).expect("another");
        client.move_leader(other.id()).await.expect("moved");
    }
    let [former_server, former_peer] = [&members.urls[0], &members.peers[0]].map(|url| shown(&members, url));
    assert_eq!(former_server, former_peer);

    // A key that is not its own, and an authority that nobody trusts: not used, said, and taken back.
    shell(
        &members,
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key -out other.crt -days 2 -subj /CN=ca 2>/dev/null",
    );
    let file = |name: &str| members.path(name).display().to_string();
    let (cert, key) = (file("node.crt"), file("node.key"));
    for (authority, own_key) in [("ca", false), ("other", true)] {
        send(&members, authority, own_key);
        let (status, said) = renew(&members);
        assert_eq!(status, 1, "{said}");
        assert!(said.contains(&format!("{} does not answer a client with {cert}: ", members.urls[0])), "{said}");
        assert!(!said.contains("Master-Key") && !said.contains("PSK"), "{said}");
        members.well(1, Script::RestoreCertificates, &[SENT, &cert, &key]);
        assert_eq!(shown(&members, &members.urls[0]), former_server);
    }

    send(&members, "ca", true);
    let (status, said) = renew(&members);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains(&format!("{} takes {cert}, shows {cert}", members.peers[0])), "{said}");
    let new = shell(&members, "openssl x509 -noout -serial -in new.crt");
    assert_ne!(new, former_server);
    assert_eq!([&members.urls[0], &members.peers[0]].map(|url| shown(&members, url)), [new.clone(), new]);
    assert_eq!(std::fs::read_to_string(members.node(1).join("pid")).expect("it runs"), pid, "it was not restarted");
    members.await_health(std::time::Duration::from_secs(20)).await;
    assert_eq!(members.keys(1).await.0.len(), 130);
    assert!(!members.node(1).join("windlass").join(SENT).exists(), "{RUN}");
}

#[tokio::test]
#[ignore = "needs the lab's etcd packages"]
async fn members_of_3_4_and_3_5_show_renewed_certificates_without_a_restart() {
    renewed("3.4.23").await;
    renewed("3.5.16").await;
}
