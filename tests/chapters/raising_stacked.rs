//! A cluster whose etcd is stacked is raised by two minors, and etcd by one with the second. Starts from a fresh stacked lab,
//! 1.20.2 with etcd 3.4.23; leaves 1.22.17 and etcd 3.5.16.

use std::time::Duration;

use super::beginning::lead_to_all;
use super::outcome::{assert_nothing_lost, assert_stacked_raised};
use super::run::{Ran, apply, folder, plan_of, start_apply, windlass};
use super::watching::{Watch, Watcher};
use super::writing::{Writer, Written};

const INVENTORY: &str = "inventories/lab-stacked.toml";

pub(crate) fn a_stacked_cluster_is_raised_with_its_etcd() {
    etcd_has_no_target_of_its_own();
    let (first, written, watch) = observed(|| apply(&plan_of(INVENTORY, "stacked-1.21.json", &["--to", "1.21.14"])));
    assert_eq!(first.code, 0, "{}", first.text);
    assert_stacked_raised("1.21.14", "3.4.13-0", "3.4.23", "3.4.0");
    tell("1.20.2 to 1.21.14, etcd stays at 3.4.23", &first, &written, &watch);

    pinned_where_it_must_not_go();
    let plan = plan_of(INVENTORY, "stacked-1.22.json", &["--to", "1.22.17"]);
    let (second, written, watch) = observed(|| {
        killed_while_a_member_moves(&plan);
        apply(&plan)
    });
    assert_eq!(second.code, 0, "{}", second.text);
    assert_stacked_raised("1.22.17", "3.5.16-0", "3.5.16", "3.5.0");
    tell("1.21.14 to 1.22.17, etcd from 3.4.23 to 3.5.16, after the kill", &second, &written, &watch);
    let again = apply(&plan);
    assert!(again.code == 0 && again.text.contains("nothing was changed"), "{}", again.text);
}

/// What is done while a client writes to etcd and another asks the API; nothing that was acknowledged is lost, and neither waits
/// long.
fn observed(work: impl FnOnce() -> Ran) -> (Ran, Written, Watch) {
    let (writer, watcher) = (Writer::start_stacked(), Watcher::start());
    let ran = work();
    let (written, watch) = (writer.finish(), watcher.finish());
    assert_nothing_lost(&written, &watch);
    lead_to_all();
    assert!(written.longest < Duration::from_secs(15), "a key waited for {:?}", written.longest);
    assert!(watch.longest_away < Duration::from_secs(15), "the API was away for {:?}", watch.longest_away);
    (ran, written, watch)
}

fn tell(what: &str, ran: &Ran, written: &Written, watch: &Watch) {
    println!(
        "{what}: {:.0} s; {} keys written ({:.0}/s), longest wait {:.2} s, {} lost; API away for {:.2} s at the longest",
        ran.took.as_secs_f64(),
        written.keys,
        written.rate,
        written.longest.as_secs_f64(),
        written.lost.len(),
        watch.longest_away.as_secs_f64(),
    );
}

fn etcd_has_no_target_of_its_own() {
    let ran = windlass(&["upgrade", "plan", "-i", INVENTORY, "--to", "1.21.14", "--etcd-to", "3.5.16"]);
    assert!(ran.code == 11 && ran.text.contains("leave --etcd-to away"), "{}", ran.text);
}

/// Were kubeadm-config to ask for a release that must not be landed on, there would be no plan: from what was seen, changed so.
fn pinned_where_it_must_not_go() {
    let file = folder().join("stacked-facts.json");
    let name = file.to_string_lossy().into_owned();
    let plan = ["upgrade", "plan", "-i", INVENTORY, "--to", "1.22.17"];
    assert_eq!(windlass(&[&plan[..], &["--save-facts", &name]].concat()).code, 0);
    let text = std::fs::read_to_string(&file).expect("the facts");
    let mut facts: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    facts["api"]["known"]["kubeadm"]["known"]["etcd_image_tag"] = "3.5.1-0".into();
    std::fs::write(&file, facts.to_string()).expect("a file");
    let ran = windlass(&[&plan[..], &["--facts", &name]].concat());
    assert!(ran.code == 11 && ran.text.contains("etcd-io/etcd#13766"), "{}", ran.text);
}

/// The operator's machine loses its power while kubeadm has the second member's manifest in its hands.
fn killed_while_a_member_moves(plan: &str) {
    let mut run = start_apply(plan);
    let line = run.until(&["control-planes/cp", "kubeadm-node | ", "Preparing for \"etcd\" upgrade"]);
    assert!(line.is_some(), "it never came: {:?}", run.seen.last());
    println!("--- kill -9 while the second member moves");
    run.kill();
}
