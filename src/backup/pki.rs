//! What a snapshot alone does not bring back: CAs, the service accounts' key, the encryption configuration, and how kubeadm,
//! etcd and kubelets are set up. It is read into memory that is wiped, and leaves it only encrypted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};

use camino::Utf8Path;
use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::manifest::{Object, Pki};
use super::seal::Recipients;
use super::sink::{How, Sink, Staged};
use super::{BackupName, Part};
use crate::error::{Exit, Failure, chain};
use crate::inventory::{Inventory, Node, Role};
use crate::remote::{Call, Script, Streams};
use crate::text;

/// What every control plane must have, and all of them the same.
const SHARED: [&str; 6] = [
    "etc/kubernetes/pki/ca.crt",
    "etc/kubernetes/pki/ca.key",
    "etc/kubernetes/pki/front-proxy-ca.crt",
    "etc/kubernetes/pki/front-proxy-ca.key",
    "etc/kubernetes/pki/sa.key",
    "etc/kubernetes/pki/sa.pub",
];

/// The ConfigMap's name in the archive.
const KUBEADM_CONFIG: &str = "kubeadm-config.json";

/// One machine's files.
#[derive(Default)]
pub struct Machine {
    name: String,
    control_plane: bool,
    /// By path without the leading `/`.
    files: BTreeMap<String, Entry>,
    /// Path of the encryption configuration, likewise.
    encryption: Option<String>,
}

struct Entry {
    bytes: Zeroizing<Vec<u8>>,
    mode: u32,
}

/// Reads them from every control plane and etcd machine, and encrypts them into `stage`. Nothing when no machine gave any;
/// then the remarks say why.
pub async fn collect(
    remote: &dyn Streams,
    inventory: &Inventory,
    name: &BackupName,
    stage: &Utf8Path,
    recipients: &Recipients,
) -> Result<Result<(Pki, Staged), Vec<String>>, Failure> {
    let wanted = |node: &&Node| node.roles.contains(&Role::ControlPlane) || node.roles.contains(&Role::Etcd);
    let reading = inventory.nodes.iter().filter(wanted).map(|node| read(remote, inventory, node));
    let (mut machines, mut remarks) = (Vec::new(), Vec::new());
    for answer in join_all(reading).await {
        match answer {
            Ok(machine) => machines.push(machine),
            Err(why) => remarks.push(why),
        }
    }
    machines.retain(|machine| !machine.files.is_empty());
    if machines.is_empty() {
        remarks.push("no machine has any of it".to_owned());
        return Ok(Err(remarks));
    }
    remarks.extend(self::remarks(&machines));
    let named = machines.iter().map(|machine| machine.name.clone()).collect();
    let (stage, recipients) = (stage.to_owned(), recipients.clone());
    let writing = tokio::task::spawn_blocking(move || write(&machines, &stage, recipients));
    let staged = writing.await.map_err(|died| Failure::of(Exit::Bug, &died))?;
    let staged =
        staged.map_err(|error| Failure::of(Exit::StepFailed, &error).because("while the PKI was encrypted"))?;
    let stored = Object { name: name.object(Part::Pki), bytes: staged.bytes, sha256: staged.sha256.clone() };
    Ok(Ok((Pki { stored, machines: named, remarks }, staged)))
}

async fn read(remote: &dyn Streams, inventory: &Inventory, node: &Node) -> Result<Machine, String> {
    let args = vec![inventory.api.kubeconfig.to_string(), inventory.etcd.env_file.to_string()];
    let call = Call { script: Script::PkiRead, args };
    let secret = remote.secret(&node.name, &call).await;
    let secret = secret.map_err(|error| format!("{}: {}", node.name, chain(&error).join(": ")))?;
    if secret.status != 0 {
        let said = secret.complaint.trim().lines().last().unwrap_or("it said nothing").to_owned();
        return Err(format!("{}: its files could not be read: {said}", node.name));
    }
    let machine = parse(&secret.bytes).map_err(|error| format!("{}: {error}", node.name))?;
    // Where nobody said what this machine is, it is what it has.
    let unsaid = inventory.with_role(Role::ControlPlane).next().is_none();
    let control_plane = node.roles.contains(&Role::ControlPlane) || unsaid && machine.files.contains_key(SHARED[0]);
    Ok(Machine { name: node.name.to_string(), control_plane, ..machine })
}

/// What `pki-read` printed. Paths that lead elsewhere than below the archive's root are refused, and so is what is no file.
///
/// # Errors
///
/// When it is not what the script prints, or not whole.
pub fn parse(printed: &[u8]) -> io::Result<Machine> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "its files came in a form unknown");
    let mut machine = Machine::default();
    let mut rest = printed;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(wrong)?;
        let line = std::str::from_utf8(&rest[..end]).map_err(|_| wrong())?;
        rest = &rest[end + 1..];
        match line.split_once(' ') {
            None if line == "tar" => break,
            Some(("encryption", path)) => machine.encryption = Some(path.trim_start_matches('/').to_owned()),
            Some(("kubeadm-config", length)) => {
                let length: usize = length.parse().map_err(|_| wrong())?;
                let text = rest.get(..length).ok_or_else(wrong)?;
                if !text.is_empty() {
                    let entry = Entry { bytes: Zeroizing::new(text.to_vec()), mode: 0o600 };
                    machine.files.insert(KUBEADM_CONFIG.to_owned(), entry);
                }
                rest = rest.get(length + 1..).ok_or_else(wrong)?;
            }
            _ => return Err(wrong()),
        }
    }
    for entry in tar::Archive::new(rest).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_str().ok_or_else(wrong)?.to_owned();
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !entry.header().entry_type().is_file() || !path.split('/').all(plain) {
            return Err(wrong());
        }
        let mode = entry.header().mode()?;
        let length = usize::try_from(entry.size()).map_err(|_| wrong())?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(length.min(printed.len())));
        entry.read_to_end(&mut bytes)?;
        machine.files.insert(path, Entry { bytes, mode });
    }
    Ok(machine)
}

/// What is missing, and what control planes disagree about.
fn remarks(machines: &[Machine]) -> Vec<String> {
    let planes: Vec<&Machine> = machines.iter().filter(|machine| machine.control_plane).collect();
    let mut paths: BTreeSet<&str> = if planes.is_empty() { BTreeSet::new() } else { SHARED.into() };
    let own = |path: &str| path.starts_with("etc/kubernetes/pki/");
    for plane in &planes {
        paths.extend(plane.files.keys().map(String::as_str).filter(|path| own(path)));
        paths.extend(plane.encryption.as_deref());
    }
    let mut remarks = Vec::new();
    for path in paths {
        let mut having: BTreeMap<[u8; 32], Vec<&str>> = BTreeMap::new();
        let mut missing = Vec::new();
        for plane in &planes {
            match plane.files.get(path) {
                Some(entry) => having.entry(Sha256::digest(&entry.bytes[..]).into()).or_default().push(&plane.name),
                None => missing.push(plane.name.as_str()),
            }
        }
        if !missing.is_empty() {
            remarks.push(format!("/{path} is not on {}", text::list(&missing, "and")));
        }
        if having.len() > 1 {
            let mut groups: Vec<String> = having.values().map(|names| text::list(names, "and")).collect();
            groups.sort();
            remarks.push(format!("control planes disagree about /{path}: {}", groups.join(" against ")));
        }
    }
    if planes.is_empty() {
        remarks.push("no control plane was asked: Kubernetes' own authorities and keys are not in it".to_owned());
    }
    // Beside Kubernetes' own, only keys of etcd's authorities are read.
    let authority = |path: &String| Utf8Path::new(path).extension() == Some("key") && !SHARED.contains(&path.as_str());
    if !machines.iter().any(|machine| machine.files.keys().any(authority)) {
        remarks.push("no machine has the key of etcd's authority: keep it where it is".to_owned());
    }
    if !machines.iter().any(|machine| machine.files.contains_key(KUBEADM_CONFIG)) {
        remarks.push("the API gave no kubeadm-config".to_owned());
    }
    remarks
}

/// One archive of all: `MACHINE/path`.
fn write(machines: &[Machine], stage: &Utf8Path, recipients: Recipients) -> io::Result<Staged> {
    let sink = Sink::new(stage, &How { compress: true, recipients })?;
    let mut archive = tar::Builder::new(sink);
    for machine in machines {
        for (path, entry) in &machine.files {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(entry.mode & 0o777);
            header.set_size(entry.bytes.len() as u64);
            header.set_mtime(0);
            archive.append_data(&mut header, format!("{}/{path}", machine.name), &entry.bytes[..])?;
        }
    }
    archive.into_inner()?.finish("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(files: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            archive.append_data(&mut header, path, text.as_bytes()).expect("in memory");
        }
        let tar = archive.into_inner().expect("in memory");
        [&b"encryption /etc/enc.yaml\nkubeadm-config 3\n{a}\ntar\n"[..], &tar].concat()
    }

    fn plane(name: &str, files: &[(&str, &str)]) -> Machine {
        Machine { name: name.to_owned(), control_plane: true, ..parse(&printed(files)).expect("parsed") }
    }

    #[test]
    fn what_is_printed_is_read() {
        let machine = parse(&printed(&[("etc/kubernetes/pki/sa.key", "secret")])).expect("parsed");
        assert_eq!(machine.encryption.as_deref(), Some("etc/enc.yaml"));
        assert_eq!(&machine.files[KUBEADM_CONFIG].bytes[..], b"{a}");
        assert_eq!(&machine.files["etc/kubernetes/pki/sa.key"].bytes[..], b"secret");
        for broken in [&b""[..], b"tar", b"kubeadm-config 9\nx\ntar\n", b"else\ntar\n"] {
            assert!(parse(broken).is_err(), "{broken:?}");
        }
        assert!(parse(b"kubeadm-config 0\n\ntar\n").expect("nothing there").files.is_empty());
    }

    #[test]
    fn control_planes_that_disagree_are_told() {
        let whole: Vec<(&str, &str)> = SHARED.into_iter().chain(["etc/enc.yaml"]).map(|path| (path, "same")).collect();
        let mut other = whole.clone();
        other[4] = ("etc/kubernetes/pki/sa.key", "another");
        other.remove(1);
        let etcd = Machine { control_plane: false, ..plane("etcd1", &[("etc/etcd/pki/ca.key", "secret")]) };
        let agreeing = [plane("cp1", &whole), plane("cp2", &whole), etcd];
        assert_eq!(remarks(&agreeing), Vec::<String>::new());
        let [_, _, etcd] = agreeing;
        let differing = [plane("cp1", &whole), plane("cp2", &whole), plane("cp3", &other), etcd];
        let said = remarks(&differing);
        assert_eq!(
            said,
            [
                "/etc/kubernetes/pki/ca.key is not on cp3",
                "control planes disagree about /etc/kubernetes/pki/sa.key: cp1 and cp2 against cp3"
            ]
        );
    }

    #[test]
    fn what_nobody_has_is_told() {
        let etcd = Machine { control_plane: false, ..plane("etcd1", &[("etc/default/etcd", "ETCD_NAME=a")]) };
        let said = remarks(&[etcd]);
        assert_eq!(
            said,
            [
                "no control plane was asked: Kubernetes' own authorities and keys are not in it",
                "no machine has the key of etcd's authority: keep it where it is",
            ]
        );
    }
}
