//! etcd that is no package: its programs come from archives, of which one does not start and one is not the one that was meant.
//! All of it under a client that writes. Starts from a fresh lab; leaves etcd 3.5.16 in /usr/local/bin, and no package of it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::caring::nothing_is_lost;
use super::lab::{ETCD, ETCDCTL, lab, on, root};
use super::outcome::assert_members;
use super::run::{Ran, apply, folder, windlass};
use super::writing::Writer;

/// The package repository's machine serves the archives as well.
const SERVED: &str = "http://172.30.0.5:8080";
/// etcd's own unit file, for a program in no package. Without limits, which the lab's containers could not raise.
const UNIT: &str = "[Unit]\\nDescription=etcd, from an archive\\nAfter=network-online.target\\n\\n[Service]\\nType=notify\\n\
                    User=etcd\\nEnvironmentFile=/etc/default/etcd\\nExecStart=/usr/local/bin/etcd\\nRestart=on-failure\\n\\n\
                    [Install]\\nWantedBy=multi-user.target\\n";

pub(crate) fn etcd_is_raised_from_an_archive() {
    let (good, broken) = archives();
    serve(&good);
    for node in ETCD {
        unpackage(node);
    }
    assert_members("3.4.23", "3.4.0");
    let before = members();
    let writer = Writer::start();
    what_is_not_the_one_moves_nothing(&good);
    assert_eq!(members(), before, "programs, or a restart");
    a_program_that_does_not_start_is_put_back(&broken);
    let after = members();
    assert_eq!(digests(&after), digests(&before), "the former programs");
    assert_eq!(after.iter().zip(&before).filter(|(after, before)| after != before).count(), 1, "one was restarted");
    nothing_is_lost("refused, and put back", &writer.finish());
    raised(&good);
}

/// A member that has its programs in /usr/local/bin and a unit file of somebody's own, and no package.
fn unpackage(node: &str) {
    on(
        node,
        &format!(
            "set -e; export DEBIAN_FRONTEND=noninteractive
             cp /usr/bin/etcd /usr/bin/etcdctl /usr/local/bin/
             apt-get remove -q -y --allow-change-held-packages etcd-server etcd-client
             systemctl unmask etcd 2>/dev/null || true; rm -rf /etc/systemd/system/etcd.service /etc/systemd/system/etcd.service.d
             printf \"{UNIT}\" >/etc/systemd/system/etcd.service
             systemctl daemon-reload; systemctl reset-failed etcd 2>/dev/null || true; systemctl enable etcd; systemctl start etcd"
        ),
    );
    let since = Instant::now();
    while !lab(&["ssh", "etcd1", &format!("sudo sh -c '{ETCDCTL} endpoint health --cluster'")]).status.success() {
        assert!(since.elapsed() < Duration::from_secs(60), "{node} did not come back");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// An archive on this machine, and its SHA-256.
struct Archive {
    path: String,
    sha256: String,
}

/// As etcd releases them: of 3.5.16, and one whose etcd tells that it is 3.5.16, and no more.
fn archives() -> (Archive, Archive) {
    on(
        "etcd1",
        "set -e; apt-get update -q; rm -rf /root/archive; mkdir -p /root/archive/etcd-v3.5.16-linux-amd64; cd /root/archive
         for name in etcd-server etcd-client; do
           version=$(apt-cache madison $name | awk '$3 ~ /^3.5.16/ { print $3 }')
           apt-get download -q -o APT::Sandbox::User=root $name=$version; dpkg-deb -x ${name}_3.5.16*.deb .
         done
         for program in etcd etcdctl etcdutl; do [ ! -e usr/bin/$program ] || cp usr/bin/$program etcd-v3.5.16-linux-amd64/; done
         tar -czf good.tar.gz etcd-v3.5.16-linux-amd64
         printf \"#!/bin/sh\\necho etcd Version: 3.5.16\\n[ \\\"\\$1\\\" = --version ]\\n\" >etcd-v3.5.16-linux-amd64/etcd
         chmod 755 etcd-v3.5.16-linux-amd64/etcd; etcd-v3.5.16-linux-amd64/etcd --version
         tar -czf broken.tar.gz etcd-v3.5.16-linux-amd64",
    );
    let fetched = |name: &str| {
        let path: PathBuf = folder().join(name);
        let sent = lab(&["ssh", "etcd1", "sudo", "cat", &format!("/root/archive/{name}")]);
        assert!(sent.status.success(), "{name}");
        std::fs::write(&path, sent.stdout).expect("written");
        let sum = on("etcd1", &format!("sha256sum </root/archive/{name}"));
        let sha256 = sum.split(' ').next().expect("a hash").to_owned();
        Archive { path: path.to_string_lossy().into_owned(), sha256 }
    };
    let both = (fetched("good.tar.gz"), fetched("broken.tar.gz"));
    on("etcd1", "rm -r /root/archive");
    both
}

/// Serves an archive to the nodes over http.
fn serve(archive: &Archive) {
    let file = std::fs::File::open(&archive.path).expect("the archive");
    let put = "sudo sh -c 'mkdir -p /srv/archives && cat >/srv/archives/etcd.tar.gz'";
    let status =
        Command::new(root().join("tests/lab/lab")).args(["ssh", "repo", put]).stdin(Stdio::from(file)).status();
    assert!(status.expect("the lab's command runs").success());
    on(
        "repo",
        "printf \"server.document-root = \\\"/srv/archives\\\"\\nserver.port = 8080\\n\" >/etc/lighttpd/archives.conf
         systemctl stop archives 2>/dev/null; systemctl reset-failed archives 2>/dev/null
         systemd-run --unit=archives /usr/sbin/lighttpd -D -f /etc/lighttpd/archives.conf",
    );
}

/// What each member has in place, and the process that runs on it.
fn members() -> Vec<(String, String)> {
    let programs = "sha256sum $(ls /usr/local/bin/etcd /usr/local/bin/etcdctl /usr/local/bin/etcdutl 2>/dev/null)";
    let process = "systemctl show -p MainPID --value etcd";
    ETCD.iter().map(|node| (on(node, programs), on(node, process))).collect()
}

fn digests(members: &[(String, String)]) -> Vec<&String> {
    members.iter().map(|(programs, _)| programs).collect()
}

/// The lab's inventory with etcd called by its program.
fn inventory() -> String {
    let text = std::fs::read_to_string("inventories/lab.toml").expect("the lab's inventory");
    let text = text
        .replace("package = \"etcd-server\"\nclient_package = \"etcd-client\"\n", "package = \"/usr/local/bin/etcd\"\n")
        .replace("\"../tests/lab", &format!("\"{}/tests/lab", env!("CARGO_MANIFEST_DIR")));
    assert!(text.contains("\"/usr/local/bin/etcd\""), "{text}");
    let path = folder().join("etcd-programs.toml");
    std::fs::write(&path, text).expect("an inventory");
    path.to_string_lossy().into_owned()
}

fn planned(name: &str, from: &str, sha256: &str) -> (String, Ran) {
    let (inventory, out) = (inventory(), folder().join(name).to_string_lossy().into_owned());
    let words = ["upgrade", "plan", "-i", &inventory, "--etcd-to", "3.5.16", "--out", &out];
    let ran = windlass(&[&words[..], &["--etcd-archive", from, "--etcd-sha256", sha256]].concat());
    (out, ran)
}

fn given_up(plan: &str) {
    let ran = windlass(&["upgrade", "abort", plan, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
}

/// A file is looked at here, what has an address where it arrives.
fn what_is_not_the_one_moves_nothing(archive: &Archive) {
    let wrong = "0".repeat(64);
    let (_, refused) = planned("wrong-file.json", &archive.path, &wrong);
    assert_eq!(refused.code, 10, "{}", refused.text);
    assert!(refused.text.contains(&format!("has the SHA-256 {}, not {wrong}", archive.sha256)), "{}", refused.text);
    let (plan, ran) = planned("wrong-address.json", &format!("{SERVED}/etcd.tar.gz"), &wrong);
    assert_eq!(ran.code, 0, "{}", ran.text);
    let ran = apply(&plan);
    assert_eq!(ran.code, 13, "{}", ran.text);
    for word in ["archive-of-etcd failed", &format!("has the SHA-256 {}, not {wrong}", archive.sha256)] {
        assert!(ran.text.contains(word), "no `{word}` in: {}", ran.text);
    }
    given_up(&plan);
}

/// It is the archive that was asked for, it tells the version that was asked for, and it does not start.
fn a_program_that_does_not_start_is_put_back(archive: &Archive) {
    let (plan, ran) = planned("broken.json", &archive.path, &archive.sha256);
    assert_eq!(ran.code, 0, "{}", ran.text);
    let ran = apply(&plan);
    assert_eq!(ran.code, 13, "{}", ran.text);
    for word in ["/package failed", "was taken back: /usr/local/bin/etcd 3.4.23 put back"] {
        assert!(ran.text.contains(word), "no `{word}` in: {}", ran.text);
    }
    println!("--- a program that does not start: put back, {:.1} s in all", ran.took.as_secs_f64());
    assert_members("3.4.23", "3.4.0");
    given_up(&plan);
}

fn raised(archive: &Archive) {
    let writer = Writer::start();
    let (plan, ran) = planned("good.json", &format!("{SERVED}/etcd.tar.gz"), &archive.sha256);
    assert_eq!(ran.code, 0, "{}", ran.text);
    let ran = apply(&plan);
    assert_eq!(ran.code, 0, "{}", ran.text);
    println!("--- etcd 3.4.23 to 3.5.16 from an archive: {:.1} s", ran.took.as_secs_f64());
    nothing_is_lost("3.4.23 to 3.5.16 from an archive", &writer.finish());
    assert_members("3.5.16", "3.5.0");
    for node in ETCD {
        assert_eq!(
            on(node, "stat -c \"%U %G %a\" /usr/local/bin/etcd /usr/local/bin/etcdctl"),
            "root root 755\n".repeat(2)
        );
        assert_eq!(
            on(node, "readlink /proc/$(systemctl show -p MainPID --value etcd)/exe").trim(),
            "/usr/local/bin/etcd"
        );
        assert_eq!(on(node, "ls -A /usr/local/bin | grep \"^[.]\" || true"), "", "nothing is left beside them");
    }
    let kept = format!("ls /var/lib/windlass/packages/{} 2>/dev/null || true", super::journal::id(&plan));
    let files = on("etcd1", &kept);
    assert!(files.contains("programs") && files.contains(".tar.gz"), "{files}");
    let ran = windlass(&["upgrade", "finish", &plan, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    assert_eq!(on("etcd1", &kept), "");
}
