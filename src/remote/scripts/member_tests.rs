//! The jobs that change etcd's members, against an etcdctl and a systemctl of the test's own.

use super::Script;
use super::job_tests::Fakes;

/// An etcdctl with a list of members in the file `list`; what it is told to change there, it does.
const ETCDCTL: &str = r#"case "$*" in
    *'endpoint health'*) [ ! -e "$FAKES/cut-off" ] ;;
    *'member list'*) cat "$FAKES/list" ;;
    *'member remove'*) for id; do :; done; grep -v "^$id," "$FAKES/list" >"$FAKES/new"; mv "$FAKES/new" "$FAKES/list"; exit "${ANSWER:-0}" ;;
    *'member add'*) [ ! -e "$FAKES/refuses" ] || exit 1; echo "b, unstarted, , https://10.0.0.9:2380, , true" >>"$FAKES/list" ;;
    *'member promote'*) sed -i '/^b,/s/true$/false/' "$FAKES/list" ;;
esac"#;

const LIST: &str = "a, started, etcd1, https://10.0.0.1:2380, https://10.0.0.1:2379, false\n\
                    1f, started, etcd2, https://10.0.0.2:2380, https://10.0.0.2:2379, false\n";

const ACCESS: [&str; 4] = ["/ca", "/cert", "/key", "https://10.0.0.1:2379"];

fn fakes() -> Fakes {
    let fakes = Fakes::new(&[("etcdctl", ETCDCTL), ("systemctl", ""), ("sleep", "")]);
    write(&fakes, "list", LIST);
    fakes
}

fn write(fakes: &Fakes, file: &str, text: &str) {
    std::fs::write(fakes.path().join(file), text).expect("written");
}

fn read(fakes: &Fakes, file: &str) -> String {
    std::fs::read_to_string(fakes.path().join(file)).expect("a file")
}

fn run(fakes: &Fakes, script: Script, args: &[&str]) -> (i32, String) {
    fakes.run(script, &[&ACCESS, args].concat())
}

/// What was asked of etcd that changes it.
fn changes(fakes: &Fakes) -> Vec<String> {
    let own = "etcdctl --endpoints=https://10.0.0.1:2379 --command-timeout=10s ";
    let calls =
        fakes.calls("etcdctl").into_iter().map(|call| call.strip_prefix(own).expect("of this member").to_owned());
    calls.filter(|call| call != "endpoint health" && call != "member list").collect()
}

#[test]
fn a_member_is_removed_once_and_the_list_is_believed() {
    let fakes = fakes();
    assert_eq!(run(&fakes, Script::MemberRemove, &["1f"]).0, 0);
    assert_eq!(run(&fakes, Script::MemberRemove, &["1f"]).0, 0);
    assert_eq!(changes(&fakes), ["member remove 1f"]);
    // `1` is not `1f`.
    assert_eq!(run(&fakes, Script::MemberRemove, &["1"]).0, 0);
    assert_eq!(changes(&fakes).len(), 1);
}

#[test]
fn nothing_is_changed_through_a_member_that_is_cut_off() {
    let fakes = fakes();
    write(&fakes, "cut-off", "");
    for (script, args) in [
        (Script::MemberRemove, &["1f"][..]),
        (Script::MemberAdd, &["etcd9", "https://10.0.0.9:2380", "learner"]),
        (Script::MemberPromote, &["https://10.0.0.2:2380"]),
        (Script::MemberRetire, &["2f", "etcd", "/nowhere", "run"]),
    ] {
        let (status, said) = run(&fakes, script, args);
        assert_eq!(status, 1, "{script:?}");
        assert!(said.contains("the member at https://10.0.0.1:2379 does not reach a quorum"), "{said}");
    }
    assert_eq!(changes(&fakes), [""; 0]);
    assert_eq!(fakes.calls("systemctl"), [""; 0]);
}

#[test]
fn a_member_is_added_as_a_learner_once_and_then_votes() {
    let fakes = fakes();
    let add = ["etcd9", "https://10.0.0.9:2380", "learner"];
    assert_eq!(run(&fakes, Script::MemberAdd, &add).0, 0);
    assert_eq!(run(&fakes, Script::MemberAdd, &add).0, 0);
    assert_eq!(changes(&fakes), ["member add etcd9 --peer-urls=https://10.0.0.9:2380 --learner"]);
    assert_eq!(run(&fakes, Script::MemberPromote, &["https://10.0.0.9:2380"]).0, 0);
    assert_eq!(run(&fakes, Script::MemberPromote, &["https://10.0.0.9:2380"]).0, 0);
    assert_eq!(changes(&fakes)[1..], ["member promote b"]);
    assert_eq!(run(&fakes, Script::MemberPromote, &["https://10.0.0.3:2380"]).0, 1, "who is no member cannot vote");
}

#[test]
fn what_etcd_refuses_is_tried_again_for_a_while_and_then_given_up() {
    let fakes = fakes();
    write(&fakes, "refuses", "");
    assert_eq!(run(&fakes, Script::MemberAdd, &["etcd9", "https://10.0.0.9:2380", "voter"]).0, 1);
    // etcd refuses for 5 s after a member has come back; each of these is a second apart.
    assert_eq!(changes(&fakes).len(), 12);
    assert_eq!(read(&fakes, "list"), LIST);
}

#[test]
fn before_there_were_learners_a_member_is_added_as_a_voter() {
    let fakes = fakes();
    assert_eq!(run(&fakes, Script::MemberAdd, &["etcd9", "https://10.0.0.9:2380", "voter"]).0, 0);
    assert_eq!(changes(&fakes), ["member add etcd9 --peer-urls=https://10.0.0.9:2380"]);
}

/// kubeadm puts a member on the list and writes its manifest; `dies` between the two when there is a file of that name.
const KUBEADM: &str = r#"case "$*" in
    *'etcd-join --help') exit 1 ;;
    *--help) echo 'kubeadm join phase control-plane-join etcd [flags]' ;;
    *) echo "c, unstarted, , https://10.0.0.9:2380, , false" >>"$FAKES/list"
       [ ! -e "$FAKES/dies" ] || exit 1
       echo made >"$FAKES/from/etc/kubernetes/manifests/etcd.yaml" ;;
esac"#;

#[test]
fn kubeadm_makes_a_member_once_and_one_that_never_started_is_taken_off_first() {
    let fakes = Fakes::new(&[("etcdctl", ETCDCTL), ("kubeadm", KUBEADM), ("sleep", "")]);
    write(&fakes, "list", LIST);
    let (data, manifests) = (fakes.path().join("data"), fakes.path().join("from/etc/kubernetes/manifests"));
    std::fs::create_dir_all(data.join("member/former")).expect("a folder");
    std::fs::create_dir_all(&manifests).expect("a folder");
    let made = |peer: &str| {
        let data = data.to_str().expect("text");
        run(&fakes, Script::MemberKubeadm, &[peer, "cp9", "10.0.0.9", data, "4f2a"])
    };
    let peer = "https://10.0.0.9:2380";
    write(&fakes, "dies", "");
    assert_eq!(made(peer).0, 1);
    assert!(data.join("member.before-4f2a/former").exists() && !data.join("member").exists());
    std::fs::remove_file(fakes.path().join("dies")).expect("removed");
    for _ in 0..2 {
        assert_eq!(made(peer), (0, String::new()));
        assert_eq!(changes(&fakes), ["member remove c"]);
        assert_eq!(read(&fakes, "list"), format!("{LIST}c, unstarted, , {peer}, , false\n"));
    }
    let own = "kubeadm join phase control-plane-join etcd --control-plane --node-name cp9 --apiserver-advertise-address 10.0.0.9";
    let joins = |call: &String| !call.ends_with("--help");
    assert_eq!(fakes.calls("kubeadm").into_iter().filter(joins).collect::<Vec<_>>(), [own, own]);
    // Somebody else's manifest, or member: neither is touched.
    let (status, said) = made("https://10.0.0.8:2380");
    assert_eq!(
        (status, said.as_str()),
        (75, "refused: there is a manifest of etcd, and no member with https://10.0.0.8:2380\n")
    );
    std::fs::remove_file(manifests.join("etcd.yaml")).expect("removed");
    let (status, said) = made("https://10.0.0.2:2380");
    assert_eq!((status, said.as_str()), (75, "refused: a member with https://10.0.0.2:2380 has started already\n"));
}

#[test]
fn only_who_is_no_member_any_more_is_stopped_and_its_data_are_kept() {
    let fakes = fakes();
    let data = fakes.path().join("data");
    std::fs::create_dir_all(data.join("member/wal")).expect("a folder");
    let retire = |id: &str| run(&fakes, Script::MemberRetire, &[id, "etcd", data.to_str().expect("text"), "4f2a"]);
    let (status, said) = retire("1f");
    assert_eq!((status, said.as_str()), (75, "refused: it is still a member\n"));
    assert_eq!(fakes.calls("systemctl"), [""; 0]);
    assert!(data.join("member/wal").exists());
    for _ in 0..2 {
        assert_eq!(retire("2f").0, 0);
        assert!(data.join("member.before-4f2a/wal").exists() && !data.join("member").exists());
    }
    assert_eq!(fakes.calls("systemctl")[..2], ["systemctl disable etcd", "systemctl stop etcd"]);
}

#[test]
fn the_members_are_written_where_the_file_names_them_and_nothing_else_is_touched() {
    use std::os::unix::fs::PermissionsExt as _;
    let fakes = fakes();
    let file = fakes.path().join("etcd.env");
    let text =
        "# mine\nETCD_NAME=\"a\"\nETCD_INITIAL_CLUSTER=\"a=https://1:2380\"\nETCD_INITIAL_CLUSTER_STATE=\"new\"\n";
    write(&fakes, "etcd.env", text);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("closed");
    let path = file.to_str().expect("text").to_owned();
    for _ in 0..2 {
        assert_eq!(fakes.run(Script::MemberConfig, &[&path, "INITIAL_CLUSTER", "a=https://1:2380,b&=\\1"]).0, 0);
        assert_eq!(read(&fakes, "etcd.env"), text.replace("\"a=https://1:2380\"", "\"a=https://1:2380,b&=\\1\""));
    }
    assert_eq!(fakes.run(Script::MemberConfig, &[&path, "INITIAL_CLUSTER_STATE", "existing"]).0, 0);
    assert!(
        read(&fakes, "etcd.env").ends_with("b&=\\1\"\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n"),
        "{}",
        read(&fakes, "etcd.env")
    );
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o640);
    write(&fakes, "etcd.env", "ETCD_NAME=\"a\"\n");
    assert_eq!(fakes.run(Script::MemberConfig, &[&path, "INITIAL_CLUSTER", "a=https://1:2380"]).0, 0);
    assert_eq!(read(&fakes, "etcd.env"), "ETCD_NAME=\"a\"\n", "what says nothing of them is left alone");
}

#[test]
fn a_member_joins_with_its_file_and_a_second_try_keeps_what_it_has_by_then() {
    let fakes = fakes();
    write(&fakes, "etcd.env", "ETCD_NAME=\"former\"\n");
    let (data, file) = (fakes.path().join("data"), fakes.path().join("etcd.env"));
    std::fs::create_dir_all(data.join("member/former")).expect("a folder");
    let join = |peer: &str| {
        let (file, data) = (file.to_str().expect("text"), data.to_str().expect("text"));
        let settings = ["ETCD_NAME=etcd2", "ETCD_INITIAL_CLUSTER=etcd1=https://1:2380,etcd2=https://2:2380"];
        run(&fakes, Script::MemberJoin, &[&[peer, "etcd", file, data, "4f2a"][..], &settings].concat())
    };
    let (status, said) = join("https://10.0.0.7:2380");
    assert_eq!((status, said.as_str()), (75, "refused: no member was added with https://10.0.0.7:2380\n"));
    assert_eq!((fakes.calls("systemctl"), data.join("member/former").exists()), (vec![], true));
    assert_eq!(join("https://10.0.0.2:2380").0, 0);
    let wanted = "# Written by windlass in run 4f2a.\nETCD_NAME=\"etcd2\"\n\
                  ETCD_INITIAL_CLUSTER=\"etcd1=https://1:2380,etcd2=https://2:2380\"\n";
    assert_eq!(read(&fakes, "etcd.env"), wanted);
    assert!(data.join("member.before-4f2a/former").exists());
    // What it wrote since is this member's: without it, it could not go on under its id.
    std::fs::create_dir_all(data.join("member/now")).expect("a folder");
    assert_eq!(join("https://10.0.0.2:2380").0, 0);
    assert!(data.join("member/now").exists());
    let calls = ["systemctl stop etcd", "systemctl enable etcd", "systemctl start etcd"];
    assert_eq!(fakes.calls("systemctl"), [&calls[..], &calls[1..]].concat());
}

#[test]
fn certificates_are_put_in_their_places_once_and_keys_are_for_their_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let fakes = Fakes::new(&[("systemctl", "echo root"), ("chown", ""), ("sync", "")]);
    let pki = fakes.path().join("pki");
    let file = |name: &str| pki.join(name).to_str().expect("text").to_owned();
    let files = ["ca.crt", "server.crt", "server.key"].map(file);
    let place = || {
        fakes.run(
            Script::PlaceCertificates,
            &[&["certificates/4f2a/sent.pem", "etcd", &files[0]], &[files[1].as_str(), &files[2]][..]].concat(),
        )
    };
    let (status, said) = place();
    assert_eq!((status, said.as_str()), (75, "refused: not 3 parts were sent\n"));
    assert!(!pki.exists());
    let sent = fakes.path().join("windlass/certificates/4f2a/sent.pem");
    std::fs::create_dir_all(sent.parent().expect("a folder")).expect("a folder");
    let key = "-----BEGIN PRIVATE KEY-----\nk\n-----END PRIVATE KEY-----\n";
    std::fs::write(&sent, format!("--- 1\nca\n--- 2\nserver\n--- 3\n{key}")).expect("written");
    for _ in 0..2 {
        assert_eq!(place().0, 0);
    }
    let read = |name: &str| std::fs::read_to_string(pki.join(name)).expect("a file");
    assert_eq!(["ca.crt", "server.crt", "server.key"].map(read), ["ca\n", "server\n", key]);
    let mode = |name: &str| std::fs::metadata(pki.join(name)).expect("a file").permissions().mode() & 0o777;
    assert_eq!(["ca.crt", "server.crt", "server.key"].map(mode), [0o644, 0o644, 0o600]);
    assert!(!sent.exists(), "the key is where it is used, and nowhere else");
}

/// An openssl that answers like a member which takes what is in the file `taken`, and shows it.
const OPENSSL: &str = r#"case "$1" in
    x509) sed -n 's/^shown //p' ;;
    s_client) case "$(cat "$FAKES/pki/server.crt")" in
        "shown $(cat "$FAKES/taken")") echo "shown $(cat "$FAKES/taken")"; echo '{"etcdserver":"3.5.16"}' ;;
        *) echo 'Master-Key: secret'; echo 'tlsv1 alert internal error' ;;
        esac ;;
esac"#;

struct Renewal {
    fakes: Fakes,
    files: [String; 2],
}

const SENT: &str = "certificates/4f2a/sent.pem";
const NEW_KEY: &str = "-----BEGIN PRIVATE KEY-----\nnew\n-----END PRIVATE KEY-----\n";

impl Renewal {
    /// A member with a pair that its group may read, and another pair that was sent.
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let fakes = Fakes::new(&[
            ("systemctl", "echo root"),
            ("chown", ""),
            ("sync", ""),
            ("sleep", ""),
            ("openssl", OPENSSL),
            ("etcdctl", &super::job_tests::etcdctl(&super::job_tests::says(41, 42), &super::job_tests::says(42, 42))),
        ]);
        std::fs::create_dir_all(fakes.path().join("pki")).expect("a folder");
        let files = ["server.crt", "server.key"].map(|file| fakes.path().join("pki").join(file).display().to_string());
        write(&fakes, "pki/server.crt", "shown former\n");
        write(&fakes, "pki/server.key", "former key\n");
        std::fs::set_permissions(&files[1], std::fs::Permissions::from_mode(0o644)).expect("open");
        std::fs::create_dir_all(fakes.path().join("windlass/certificates/4f2a")).expect("a folder");
        write(&fakes, &format!("windlass/{SENT}"), &format!("--- 1\nshown new\n--- 2\n{NEW_KEY}"));
        Self { fakes, files }
    }

    fn run(&self) -> (i32, String) {
        let seen = format!("https://own:2379;/client;/client-key;/ca;{}", self.files[0]);
        let [certificate, key] = &self.files;
        self.fakes.run(Script::RenewCertificates, &[SENT, "etcd", super::job_tests::GUARD, &seen, certificate, key])
    }

    fn there(&self) -> [String; 2] {
        ["pki/server.crt", "pki/server.key"].map(|file| read(&self.fakes, file))
    }

    fn waits(&self) -> bool {
        self.fakes.path().join("windlass").join(SENT).exists()
    }
}

#[test]
fn renewed_certificates_are_seen_used_and_whoever_could_read_the_former_key_reads_the_new_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let renewal = Renewal::new();
    write(&renewal.fakes, "taken", "new");
    for _ in 0..2 {
        assert_eq!(renewal.run(), (0, String::new()));
        assert_eq!(renewal.there(), ["shown new\n", NEW_KEY]);
        assert!(!renewal.waits(), "the key is where it is used, and nowhere else");
    }
    let mode = std::fs::metadata(&renewal.files[1]).expect("a key").permissions().mode() & 0o777;
    assert_eq!(mode, 0o640, "as before, but for nobody else");
    let former = ["1", "2"].map(|part| read(&renewal.fakes, &format!("windlass/certificates/4f2a/former/{part}")));
    assert_eq!(former, ["shown former\n", "former key\n"]);
}

#[test]
fn what_nobody_takes_is_said_without_secrets_and_goes_back_to_be_tried_again() {
    let renewal = Renewal::new();
    write(&renewal.fakes, "taken", "former");
    let (status, said) = renewal.run();
    assert_eq!(
        (status, said.as_str()),
        (1, "https://own:2379 does not answer a client with /client: tlsv1 alert internal error\n")
    );
    assert_eq!(renewal.fakes.calls("openssl s_client").len(), 10, "a member may be busy for a while");
    let [certificate, key] = &renewal.files;
    for _ in 0..2 {
        assert_eq!(renewal.fakes.run(Script::RestoreCertificates, &[SENT, certificate, key]), (0, String::new()));
        assert_eq!(renewal.there(), ["shown former\n", "former key\n"]);
        assert!(renewal.waits());
    }
    write(&renewal.fakes, "taken", "new");
    assert_eq!(renewal.run().0, 0);
    // Also once what was sent is nowhere but in its places.
    assert_eq!(renewal.fakes.run(Script::RestoreCertificates, &[SENT, certificate, key]).0, 0);
    assert_eq!((renewal.there()[0].as_str(), renewal.waits()), ("shown former\n", true));
    assert_eq!(renewal.run().0, 0);
    assert_eq!(renewal.there(), ["shown new\n", NEW_KEY]);
}

#[test]
fn nothing_is_renewed_of_a_member_that_leads_or_where_not_all_was_sent() {
    let renewal = Renewal::new();
    let leads = super::job_tests::etcdctl(&super::job_tests::says(41, 41), &super::job_tests::says(42, 41));
    write(&renewal.fakes, "etcdctl", &format!("#!/bin/sh\n{leads}\n"));
    let (status, said) = renewal.run();
    assert_eq!((status, said.as_str()), (75, "refused: this member leads etcd\n"));
    write(&renewal.fakes, &format!("windlass/{SENT}"), "--- 1\nshown new\n");
    assert_eq!(renewal.run(), (75, "refused: not 2 parts were sent\n".to_owned()));
    assert_eq!(renewal.there(), ["shown former\n", "former key\n"]);
    // An undo of what never happened.
    let [certificate, key] = &renewal.files;
    assert_eq!(renewal.fakes.run(Script::RestoreCertificates, &[SENT, certificate, key]).0, 0);
    assert_eq!(renewal.there(), ["shown former\n", "former key\n"]);
}
