//! With authorities as OpenSSL makes them, and OpenSSL as the judge of what they sign.

use std::process::Command;

use super::*;

fn shell(folder: &Utf8Path, script: &str) -> String {
    let ran = Command::new("sh").args(["-ec", script]).current_dir(folder).output().expect("sh runs");
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

fn order(authority: Authority) -> Order {
    let pair = |name: &str, hosts: &[&str], usage| Certificate {
        name: name.to_owned(),
        organization: None,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        usage,
        certificate: format!("/pki/{name}.crt"),
        key: format!("/pki/{name}.key"),
    };
    let certificates = vec![
        pair("etcd4", &["10.0.0.4", "fd00::4", "etcd4.example.org"], Usage::Member),
        pair("etcd4-client", &[], Usage::Client),
    ];
    Order { authority, authorities: vec!["/pki/ca.crt".to_owned()], certificates }
}

/// The parts of what was issued, as files `1` to `5`.
fn issued(folder: &Utf8Path, order: &Order) {
    let issued = issue(order).expect("issued");
    let text = std::fs::read(issued.path()).expect("it can be opened");
    let announced = issued.announced("1".to_owned(), "sent.pem".to_owned());
    assert_eq!(announced[..2], ["1", "sent.pem"]);
    assert_eq!(
        (text.len() as u64, hex(&Sha256::digest(&text))),
        (announced[3].parse().expect("a number"), announced[2].clone())
    );
    std::fs::write(folder.join("sent"), text).expect("written");
    shell(folder, "awk '/^--- / { n = $2; next } { print > n }' sent");
}

#[test]
fn each_form_of_key_that_openssl_writes_signs_what_openssl_believes() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = Utf8Path::from_path(folder.path()).expect("text");
    for key in [
        "openssl ecparam -name prime256v1 -genkey -noout -out ca.key",
        "openssl ecparam -name secp384r1 -genkey -noout -out ca.key",
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key",
        "openssl genpkey -algorithm ED25519 -out ca.key",
        "openssl genrsa -traditional -out ca.key 2048",
        "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out ca.key",
    ] {
        shell(
            folder,
            &format!("{key} 2>/dev/null; openssl req -x509 -new -key ca.key -days 90 -subj /O=lab/CN=ca -out ca.crt"),
        );
        let found = authority(&folder.join("ca.crt"), &folder.join("ca.key"));
        let found = found.unwrap_or_else(|error| panic!("{key}: {error}"));
        issued(folder, &order(found));
        let said = shell(
            folder,
            "cmp 1 ca.crt; openssl verify -CAfile ca.crt -purpose sslserver 2; openssl verify -CAfile ca.crt -purpose sslclient 2 4
             [ \"$(openssl x509 -in 2 -noout -pubkey)\" = \"$(openssl pkey -in 3 -pubout)\" ]
             [ \"$(openssl x509 -in 4 -noout -pubkey)\" = \"$(openssl pkey -in 5 -pubout)\" ]
             ! openssl verify -CAfile ca.crt -purpose sslserver 4 2>/dev/null
             openssl x509 -in 2 -noout -subject -ext subjectAltName,basicConstraints",
        );
        assert!(said.contains("IP Address:10.0.0.4, IP Address:FD00:0:0:0:0:0:0:4, DNS:etcd4.example.org"), "{said}");
        assert!(said.contains("CN = etcd4\n") && said.contains("CA:FALSE"), "{said}");
        // The authority ends before a year is over, and so do they.
        let end = |file: &str| shell(folder, &format!("openssl x509 -in {file} -noout -enddate"));
        assert_eq!(end("2"), end("ca.crt"));
    }
}

#[test]
fn what_is_no_authority_signs_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = Utf8Path::from_path(folder.path()).expect("text");
    let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=ca 2>/dev/null";
    shell(
        folder,
        &format!(
            "{make} -keyout ca.key -out ca.crt; {make} -keyout other.key -out other.crt
             {make} -keyout leaf.key -out leaf.crt -addext basicConstraints=critical,CA:FALSE
             openssl pkcs8 -topk8 -in ca.key -passout pass:x -out closed.key; : >empty"
        ),
    );
    let why = |certificate: &str, key: &str| {
        let said = authority(&folder.join(certificate), &folder.join(key)).expect_err("it is refused").to_string();
        said.replace(&format!("{folder}/"), "")
    };
    assert_eq!(why("ca.crt", "other.key"), "other.key: it is not the key of ca.crt");
    assert_eq!(why("leaf.crt", "leaf.key"), "leaf.crt: its certificate is not an authority's");
    assert_eq!(why("ca.crt", "closed.key"), "closed.key: there is no private key in it, or an encrypted one");
    assert_eq!(why("empty", "ca.key"), "empty: there is no certificate in it");
    assert_eq!(why("none", "ca.key"), "none cannot be read: No such file or directory (os error 2)");
    shell(folder, "cat ca.crt other.crt >both.crt");
    assert!(why("both.crt", "ca.key").starts_with("both.crt: it holds several certificates"));
    shell(folder, &format!("{} -keyout dc.key -out dc.crt", make.replace("/CN=ca", "/DC=org/DC=example/CN=ca")));
    let said = why("dc.crt", "dc.key");
    assert!(said.ends_with("the authority's name cannot be written here as its certificate has it"), "{said}");
    // What was planned with is what signs.
    let found = authority(&folder.join("ca.crt"), &folder.join("ca.key")).expect("an authority");
    shell(folder, "mv other.crt ca.crt; mv other.key ca.key");
    let said = issue(&order(found)).err().expect("it is refused").to_string();
    assert!(said.ends_with("it is another certificate than the one that was planned with"), "{said}");
}

#[test]
fn an_authority_that_is_made_here_signs_what_openssl_believes_and_is_never_written_over() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let folder = Utf8Path::from_path(folder.path()).expect("text");
    let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
    let made = make("prod-etcd", &certificate, &key).expect("made");
    assert_eq!(std::fs::metadata(&key).expect("a key").permissions().mode() & 0o777, 0o600);
    issued(folder, &order(made));
    let verified = shell(folder, "openssl verify -x509_strict -purpose sslserver -CAfile ca.crt 2");
    assert_eq!(verified, "2: OK\n");
    let subject = shell(folder, "openssl x509 -in ca.crt -noout -subject -ext basicConstraints");
    assert!(subject.contains("prod-etcd") && subject.contains("CA:TRUE, pathlen:0"), "{subject}");
    let before = std::fs::read(&key).expect("a key");
    let again = make("other", &folder.join("other.crt"), &key).expect_err("a refusal");
    assert!(again.to_string().contains("ca.key cannot be written"), "{again}");
    assert_eq!(std::fs::read(&key).expect("a key"), before);
    assert!(make("other", &certificate, &folder.join("other.key")).is_err());
    assert!(!folder.join("other.key").exists(), "a key without its certificate would be in the way");
}
