//! etcd on the control planes, as kubeadm's static pods: saved, destroyed on all of them and restored, defragmented, a member
//! removed and one made anew by kubeadm. Starts from a fresh stacked lab; leaves it as it was.

use std::time::{Duration, Instant};

use super::caring::nothing_is_lost;
use super::lab::{kubectl, lab, lab_ok, on};
use super::restoring::{
    Objects, apply_restore, assert_as_before, objects, older_watcher_goes_on, plan_restore, resource_version, restore,
};
use super::run::{Ran, folder, start, windlass};
use super::writing::Writer;

const INVENTORY: &str = "inventories/lab-stacked.toml";
const PLANES: [&str; 3] = ["cp1", "cp2", "cp3"];

pub(crate) fn a_stacked_etcd_is_looked_after_like_an_external_one() {
    no_control_plane_has_an_etcdctl_of_its_own();
    super::discovering::what_is_discovered_is_well();
    super::caring::timers_take_backups("cp2");
    a_control_plane_that_is_away_is_refused();
    destroyed("3.4.23");
    went_on("3.4.23");
    former_data_are_forgotten();
    defragmented();
    a_member_leaves_and_comes_again();
    a_member_that_lost_its_data_is_made_anew();
}

/// The same restores for etcd 3.5, whose tool is another, and which numbers its revisions on behind the snapshot's.
pub(crate) fn a_stacked_etcd_of_3_5_is_restored_too() {
    no_control_plane_has_an_etcdctl_of_its_own();
    super::backups::backups_go_everywhere(INVENTORY, "lab-stacked", "cp1");
    destroyed("3.5.16");
    went_on("3.5.16");
    let status = windlass(&["etcd", "status", "-i", INVENTORY]);
    assert!(status.code == 0 && status.text.contains("3.5.16"), "{}", status.text);
}

fn no_control_plane_has_an_etcdctl_of_its_own() {
    for node in PLANES {
        assert_eq!(on(node, "command -v etcdctl etcdutl || echo none").trim(), "none", "{node}");
    }
}

/// A backup, and what is in the cluster at that moment.
fn backup(name: &str) -> (String, Objects) {
    let objects = objects();
    let place = folder().join(name);
    let ran = windlass(&["etcd", "backup", "-i", INVENTORY, "--no-pki", "--to", &place.to_string_lossy()]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    let entries = std::fs::read_dir(&place).expect("a folder").map(|entry| entry.expect("an entry").path());
    let file = entries.into_iter().find(|path| path.to_string_lossy().ends_with(".db.zst")).expect("a backup");
    (file.to_string_lossy().into_owned(), objects)
}

/// It could go on as a second cluster, with a member and an API server.
fn a_control_plane_that_is_away_is_refused() {
    let (file, _) = backup("stacked-away");
    lab_ok(&["cut", "cp2"]);
    let (_, ran) = plan_restore(INVENTORY, &file, "stacked-away.json", &[]);
    let (fenced, planned) = plan_restore(INVENTORY, &file, "stacked-fenced.json", &["--fenced", "cp2"]);
    lab_ok(&["heal", "cp2"]);
    assert_eq!(ran.code, 12, "{}", ran.text);
    let why = "a member of etcd and an API server of before on it could go on as a second living cluster";
    assert!(ran.text.contains(why) && ran.text.contains("--fenced cp2"), "{}", ran.text);
    assert_eq!(planned.code, 0, "{}", planned.text);
    let text = std::fs::read_to_string(&fenced).expect("the plan");
    assert!(!text.contains("172.30.0.22:2380"), "the fenced member is of the new cluster");
    let ran = windlass(&["etcd", "restore", "apply", &fenced, "--yes"]);
    assert_eq!(ran.code, 11, "{}", ran.text);
    assert!(ran.text.contains("cp2 was said to be cut off, and answers"), "{}", ran.text);
    super::lab::all_ready();
}

/// The data of all members are gone: one begins an empty cluster, as its manifest says, and the others find nobody.
fn destroyed(etcd: &str) {
    let (file, before) = backup("stacked-destroyed");
    std::thread::scope(|scope| {
        for node in PLANES {
            scope.spawn(move || on(node, "rm -rf /var/lib/etcd/member && pkill -9 -x etcd"));
        }
    });
    let plan = restore(INVENTORY, &file, "stacked-destroyed.json");
    let ran = apply_restore(&plan);
    assert_as_before(&before);
    assert!(ran.text.contains("; proven on cp"), "{}", ran.text);
    println!("--- stacked {etcd}: destroyed on all control planes, back in {:.1} s", ran.took.as_secs_f64());
}

/// The cluster went on for a thousand writes; Windlass is killed in the middle of the restore.
fn went_on(etcd: &str) {
    let earlier = resource_version();
    kubectl(&["create", "configmap", "kept", "--from-literal=a=before"]);
    let (file, before) = backup("stacked-went-on");
    kubectl(&["create", "configmap", "later", "--from-literal=a=b"]);
    kubectl(&["delete", "configmap", "kept"]);
    kubectl(&["scale", "deployment/web", "--replicas=1"]);
    let writes =
        "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); etcdctl put /windlass-test/$i x >/dev/null || exit 1; done";
    on("cp1", &format!("{ETCDCTL}; {writes}"));
    let last = resource_version();
    let plan = restore(INVENTORY, &file, "stacked-went-on.json");
    let mut run = start(&["etcd", "restore", "apply", &plan, "--yes"]);
    assert!(run.until(&["data/cp2/restore: started unit"]).is_some(), "{:?}", run.seen.last());
    assert_eq!(run.seen.iter().filter(|line| line.contains(" is saved: ")).count(), 3, "every member lived");
    run.kill();
    let status = windlass(&["upgrade", "status", &plan]);
    assert!(status.text.contains("To go on with run"), "{}", status.text);
    let ran = apply_restore(&plan);
    assert_as_before(&before);
    let later = lab(&["kubectl", "get", "configmap", "later"]);
    assert!(!later.status.success(), "what came after the snapshot is there");
    let count = "etcdctl get --prefix /windlass-test/ --keys-only | grep -c . || true";
    assert_eq!(on("cp1", &format!("{ETCDCTL}; {count}")).trim(), "0", "writes of after the snapshot");
    println!(
        "--- stacked {etcd}: after 1,000 writes, killed and back; the second part took {:.1} s",
        ran.took.as_secs_f64()
    );
    older_watcher_goes_on(if etcd == "3.5.16" { last } else { earlier });
    kubectl(&["delete", "configmap", "kept"]);
}

/// What the members had before is kept until somebody says otherwise; then nothing of the run is left on the nodes.
fn former_data_are_forgotten() {
    let plan = folder().join("stacked-went-on.json").to_string_lossy().into_owned();
    let kept = |node: &str| -> u32 {
        on(node, "ls -d /var/lib/etcd/member.before-* | wc -l").trim().parse().expect("a number")
    };
    let before = PLANES.map(kept);
    let ran = windlass(&["etcd", "restore", "finish", &plan, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    assert_eq!(PLANES.map(kept), before);
    let ran = windlass(&["etcd", "restore", "finish", &plan, "--yes", "--forget-old-data"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    assert_eq!(PLANES.map(kept), before.map(|count| count - 1));
}

/// The etcdctl that an earlier run has taken out of the image of this control plane's member.
const ETCDCTL: &str = "T=$(ls -d /var/lib/windlass/runs/*/tools | tail -n 1); \
                       etcdctl() { ETCDCTL_API=3 $T/etcdctl --cacert /etc/kubernetes/pki/etcd/ca.crt \
                       --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt \
                       --key /etc/kubernetes/pki/etcd/healthcheck-client.key --endpoints https://127.0.0.1:2379 \"$@\"; }";

/// 150 MB come and go.
fn defragmented() {
    let fill = "i=0; while [ $i -lt 150 ]; do i=$((i+1)); head -c 1000000 /dev/zero | tr '\\0' x | \
                etcdctl put /windlass-test/$i >/dev/null || exit 1; done; etcdctl del --prefix /windlass-test/ >/dev/null; \
                etcdctl compact \"$(etcdctl endpoint status -w json | grep -o '\"revision\":[0-9]*' | cut -d : -f 2)\"";
    on("cp1", &format!("{ETCDCTL}; {fill}"));
    let size =
        |node: &str| -> u64 { on(node, "stat -c %s /var/lib/etcd/member/snap/db").trim().parse().expect("a number") };
    super::backups::streams_in_trouble(INVENTORY, PLANES);
    let before = PLANES.map(size);
    let out = folder().join("stacked-defrag.json").to_string_lossy().into_owned();
    let ran = windlass(&["etcd", "defrag", "plan", "-i", INVENTORY, "--out", &out]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    let ran = windlass(&["etcd", "defrag", "apply", &out, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    let after = PLANES.map(size);
    for ((node, before), after) in PLANES.iter().zip(before).zip(after) {
        println!("--- stacked: {node} had {before} bytes and has {after}");
        assert!(after * 2 < before, "{node}: {before} to {after}");
    }
    assert_eq!(windlass(&["etcd", "status", "-i", INVENTORY]).code, 0);
}

/// Plans a change of the members and carries it out; what was planned, and how it went.
fn change(verb: &str, node: &str) -> (Ran, Ran) {
    let out = folder().join(format!("stacked-{verb}.json")).to_string_lossy().into_owned();
    let planned = windlass(&["etcd", "member", verb, "plan", node, "-i", INVENTORY, "--out", &out]);
    assert_eq!(planned.code, 0, "{}", planned.text);
    let ran = windlass(&["etcd", "member", verb, "apply", &out, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    (planned, ran)
}

/// Three members, all well; and the control planes.
fn whole() {
    let ran = windlass(&["etcd", "status", "-i", INVENTORY]);
    assert!(ran.code == 0 && ran.text.contains("3 of 3 voting members healthy"), "{}", ran.text);
    super::lab::all_ready();
}

fn a_member_leaves_and_comes_again() {
    let (planned, _) = change("remove", "cp3");
    assert!(planned.text.contains("its API server asks the member beside it alone"), "{}", planned.text);
    assert_eq!(on("cp3", "pgrep -x etcd || echo none").trim(), "none");
    assert_eq!(
        on("cp3", "ls /etc/kubernetes/manifests/etcd.yaml /var/lib/etcd/member 2>/dev/null || echo gone").trim(),
        "gone"
    );
    assert_eq!(on("cp3", "ls /etc/kubernetes/windlass-*/").trim(), "etcd.yaml");
    let (_, ran) = change("add", "cp3");
    whole();
    println!("--- stacked: a member came again in {:.1} s", ran.took.as_secs_f64());
}

/// Its data are gone, and its container ends again and again: it leaves, and kubeadm makes another in its place.
fn a_member_that_lost_its_data_is_made_anew() {
    let before = on("cp2", "pgrep -o -x etcd");
    on("cp2", "rm -rf /var/lib/etcd/member && pkill -9 -x etcd");
    let since = Instant::now();
    while windlass(&["etcd", "status", "-i", INVENTORY]).code == 0 {
        assert!(since.elapsed() < Duration::from_secs(60), "the member of cp2 goes on without data");
        std::thread::sleep(Duration::from_secs(1));
    }
    let refused = windlass(&["etcd", "member", "remove", "plan", "cp1", "-i", INVENTORY]);
    assert_eq!(refused.code, 11, "{}", refused.text);
    let arithmetic = "3 members, 2 answer, quorum 2: without cp1 only 1 answers of 2, and 2 make a quorum";
    assert!(refused.text.contains(arithmetic), "{}", refused.text);
    let writer = Writer::start_stacked();
    let (planned, ran) = change("replace", "cp2");
    assert!(planned.text.contains("have kubeadm make this control plane's member"), "{}", planned.text);
    whole();
    assert_ne!(on("cp2", "pgrep -o -x etcd"), before);
    nothing_is_lost("stacked: a member replaced", &writer.finish());
    println!("--- stacked: a member without its data replaced in {:.1} s", ran.took.as_secs_f64());
}
