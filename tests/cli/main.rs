//! Windlass as a black box, without a node: what it prints, which files it writes, and every exit code that files and
//! arguments alone can bring about.

mod etcd;
mod hostile;
mod place;
mod refusing;
mod schedule;

use std::path::Path;

use place::{FACTS, INVENTORY, Place, read};

#[test]
fn files_that_are_good_are_summed_up() {
    let place = Place::new();
    let inventory = place.windlass(&["inventory", "check", "inventories/lab.toml"]);
    let expected = "inventories/lab.toml: cluster lab, 10 machines: 3 control planes, 2 workers, 3 members in etcd\n";
    assert_eq!((inventory.code, inventory.out.as_str(), inventory.err.as_str()), (0, expected, ""));
    let playbook = place.windlass(&["playbook", "check", "playbooks/kubeadm-minor.toml"]);
    assert_eq!(playbook.code, 0);
    assert!(
        playbook.out.starts_with("playbooks/kubeadm-minor.toml: playbook kubeadm-minor, raises kubernetes-minor, ")
    );
}

#[test]
fn files_that_are_not_good_end_with_10_and_every_complaint() {
    let place = Place::new();
    let text = read(Path::new(INVENTORY)).replace("address = ", "adress = ");
    let file = place.write("inventory.toml", &text);
    let ran = place.windlass(&["inventory", "check", &file]);
    assert_eq!(ran.code, 10, "{}", ran.err);
    assert_eq!(ran.err.matches("unknown key `adress`").count(), 8, "{}", ran.err);
    assert!(ran.err.contains("did you mean `address`?"), "{}", ran.err);
    let missing = place.windlass(&["inventory", "check", &place.text("nowhere.toml")]);
    assert_eq!(missing.code, 10);
    assert!(missing.err.contains("nowhere.toml\n  caused by: No such file or directory"), "{}", missing.err);
    let playbook = place.write("playbook.toml", "format = 2\n");
    assert_eq!(place.windlass(&["playbook", "check", &playbook]).code, 10);
}

#[test]
fn wrong_usage_ends_with_2() {
    let place = Place::new();
    for words in [
        &["upgrade", "plan", "-i", INVENTORY][..],
        &["upgrade", "plan", "-i", INVENTORY, "--to", "1.21"],
        &["upgrade", "plan", "-i", INVENTORY, "--to", "1.21.14", "--leave-out", "-o"],
        &["upgrade", "aply"],
    ] {
        assert_eq!(place.windlass(words).code, 2, "{words:?}");
    }
}

/// What an archive has to be, is looked at before anything is asked of a node.
#[test]
fn an_archive_is_held_to_its_hash_and_an_address_to_what_it_may_be() {
    let place = Place::new();
    let file = place.write("etcd.tar.gz", "an archive");
    let sha256 = windlass::decide::plan::digest(b"an archive");
    let planned = |from: &str, sha256: &str| {
        place.plan(&["--etcd-to", "3.5.16", "--etcd-archive", from, "--etcd-sha256", sha256])
    };
    let url = "https://example.org/etcd.tar.gz";
    for from in ["ftp://example.org/etcd.tar.gz", "file:///etc/passwd", "https://me:secret@example.org/", "http://a b"]
    {
        let ran = planned(from, &sha256);
        assert_eq!(ran.code, 2, "{from}: {}", ran.err);
        assert!(ran.err.contains("--etcd-archive"), "{}", ran.err);
    }
    assert_eq!(planned(url, "e3b0").code, 2);
    assert_eq!(place.plan(&["--etcd-to", "3.5.16", "--etcd-archive", url]).code, 2, "no hash");
    assert_eq!(place.plan(&["--to", "1.21.14", "--etcd-archive", url, "--etcd-sha256", &sha256]).code, 2, "no etcd");
    let other = planned(&file, &"0".repeat(64));
    assert_eq!(other.code, 10, "{}", other.err);
    assert!(other.err.contains(&format!("{file} has the SHA-256 {sha256}, not 0000")), "{}", other.err);
    assert_eq!(planned(&place.text("nowhere"), &sha256).code, 10);
    for from in [url, &file] {
        let package = planned(from, &sha256);
        assert_eq!(package.code, 11, "{}", package.err);
        assert!(package.out.contains("etcd-server is a package: leave --etcd-archive away"), "{}", package.out);
    }
}

#[test]
fn a_plan_is_written_whole_and_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let out = place.text("plan.json");
    let ran = place.plan(&["--to", "1.21.14", "--etcd-to", "3.5.16", "--out", &out]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.ends_with(&format!("\nTo carry it out: windlass upgrade apply {out}\n")), "{}", ran.out);
    let mode = std::fs::metadata(&out).expect("the plan").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let json = place.plan(&["--to", "1.21.14", "--etcd-to", "3.5.16", "-o", "json"]);
    assert_eq!(json.out, read(Path::new(&out)), "the JSON shown is the plan file");
}

#[test]
fn a_refusal_ends_with_11_and_writes_no_plan() {
    let place = Place::new();
    let out = place.text("plan.json");
    let ran = place.plan(&["--to", "1.22.17", "--out", &out]);
    assert_eq!(ran.code, 11);
    assert_eq!(ran.out.matches("[kubernetes-skip]").count(), 3, "{}", ran.out);
    assert!(ran.err.starts_with("error: no plan: 3 reasons\n"), "{}", ran.err);
    assert!(!Path::new(&out).exists());
    let json = place.plan(&["--to", "1.22.17", "-o", "json"]);
    let findings: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(findings["format"], 1);
    assert_eq!(findings["findings"][0]["rule"], "kubernetes-skip");
    assert_eq!(json.code, 11);
}

#[test]
fn facts_of_another_cluster_or_format_end_with_10() {
    let place = Place::new();
    let facts = read(Path::new(FACTS));
    let other = facts.replacen("\"cluster\": \"lab\"", "\"cluster\": \"other\"", 1);
    assert_ne!(other, facts);
    let newer = facts.replacen("\"format\": 1", "\"format\": 2", 1);
    for (text, words) in
        [(other, "facts of cluster other, not of lab"), (newer, "format"), ("{".to_owned(), "facts.json")]
    {
        let file = place.write("facts.json", &text);
        let ran = place.windlass(&["upgrade", "plan", "-i", INVENTORY, "--facts", &file, "--to", "1.21.14"]);
        assert_eq!(ran.code, 10, "{}", ran.err);
        assert!(ran.err.contains(words), "{}", ran.err);
    }
}

#[test]
fn an_inventory_that_was_changed_since_ends_with_14() {
    let place = Place::new();
    let (inventory, out) = (place.write("inventory.toml", &read(Path::new(INVENTORY))), place.text("plan.json"));
    let planned =
        place.windlass(&["upgrade", "plan", "-i", &inventory, "--facts", FACTS, "--to", "1.21.14", "--out", &out]);
    assert_eq!(planned.code, 0, "{}", planned.err);
    place.write("inventory.toml", &(read(Path::new(INVENTORY)) + "\n# another\n"));
    let ran = place.windlass(&["upgrade", "apply", &out, "--yes"]);
    assert_eq!(ran.code, 14, "{}", ran.err);
    assert!(ran.err.contains("was changed since the plan was made"), "{}", ran.err);
}

#[test]
fn nobody_to_ask_ends_with_2_and_touches_nothing() {
    let place = Place::new();
    let out = place.text("plan.json");
    assert_eq!(place.plan(&["--to", "1.21.14", "--out", &out]).code, 0);
    let ran = place.windlass(&["upgrade", "apply", &out]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("--yes"), "{}", ran.err);
}

#[test]
fn what_is_there_is_not_discovered_over_and_nobody_is_told_of() {
    let place = Place::new();
    let file = place.write("mine.toml", "mine");
    let ran = place.windlass(&["inventory", "discover", "--from", "127.0.0.1", "--out", &file]);
    assert_eq!((ran.code, read(&place.path("mine.toml"))), (2, "mine".to_owned()), "{}", ran.err);
    assert!(ran.err.contains("is there already"), "{}", ran.err);
    let ran = place.windlass(&[
        "inventory",
        "discover",
        "--from",
        "127.0.0.1",
        "--port",
        "1",
        "--out",
        &place.text("new.toml"),
    ]);
    assert_eq!((ran.code, place.path("new.toml").exists()), (12, false), "{}", ran.err);
    assert!(
        ran.err.contains("127.0.0.1 does not tell of its cluster") && ran.err.contains("Connection refused"),
        "{}",
        ran.err
    );
    for words in [&["--from", "-oProxyCommand=id"][..], &["--from", "a", "--jump", "b\nProxyCommand id"]] {
        let ran = place.windlass(&[&["inventory", "discover"], words].concat());
        assert_eq!(ran.code, 2, "{}", ran.err);
    }
}

#[test]
fn strict_host_keys_off_is_warned_of() {
    let place = Place::new();
    let text = read(Path::new(INVENTORY)).replacen("[ssh]\n", "[ssh]\nstrict_host_keys = false\n", 1);
    let file = place.write("inventory.toml", &text);
    let checked = place.windlass(&["inventory", "check", &file]);
    assert_eq!(checked.code, 0);
    assert!(checked.err.contains("warning"), "{}", checked.err);
    let planned = place.windlass(&["upgrade", "plan", "-i", &file, "--facts", FACTS, "--to", "1.21.14"]);
    assert!(planned.out.contains("[host-keys]"), "{}", planned.out);
}

#[test]
fn a_playbook_of_the_operators_takes_the_place_of_the_one_that_comes_along() {
    let place = Place::new();
    let minor = read(Path::new("playbooks/kubeadm-minor.toml"));
    let own = place.write("own.toml", &minor.replace("timeout = \"10m\"", "timeout = \"20m\""));
    let ran = place.plan(&["--to", "1.21.14", "--playbook", &own]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("drain (at most 20 min)"), "{}", ran.out);
    let unasked = place.plan(&["--etcd-to", "3.5.16", "--playbook", &own]);
    assert_eq!(unasked.code, 2, "{}", unasked.err);
    let first = minor.find("\"snapshot-kubernetes\"").expect("its stage");
    let stage = minor[..first].rfind("[[stage]]").expect("its beginning");
    let next = first + minor[first..].find("[[stage]]").expect("the next one");
    let without = place.write("without.toml", &format!("{}{}", &minor[..stage], &minor[next..]));
    let refused = place.plan(&["--to", "1.21.14", "--playbook", &without]);
    assert_eq!(refused.code, 11, "{}{}", refused.out, refused.err);
    assert!(
        refused.out.contains("breaks law 2: no snapshot stands before Kubernetes is touched [law]"),
        "{}",
        refused.out
    );
}

/// A journal beside the plan, as a run would have left it.
fn journaled(place: &Place, plan: &str, events: &[&str]) {
    let plan: serde_json::Value = serde_json::from_str(&read(Path::new(plan))).expect("a plan");
    let id = plan["id"].as_str().expect("its id");
    let folder = place.path("state").join(plan["cluster"].as_str().expect("its cluster"));
    std::fs::create_dir_all(&folder).expect("made");
    let format = windlass::journal::FORMAT;
    let opened = format!("{{\"what\":\"opened\",\"format\":{format},\"run\":\"{id}\",\"windlass\":\"0.1.0\"}}");
    let (mut text, mut seal) = (String::new(), String::new());
    for event in std::iter::once(opened.as_str()).chain(events.iter().copied()) {
        let event = serde_json::from_str(event).expect("an event");
        let at = "2026-11-22T20:00:00Z".parse().expect("a time");
        let (record, line) = windlass::journal::Record::line(at, event, &seal).expect("a line");
        seal = record.seal;
        text += &(line + "\n");
    }
    std::fs::write(folder.join(format!("{id}.journal")), text).expect("written");
}

const STARTED: &str =
    r#"{"what":"started","step":"workers/w1/drain","attempt":1,"on":"cp1","unit":"workers.w1.drain.1"}"#;

#[test]
fn a_run_that_was_aborted_is_not_gone_on_with() {
    let place = Place::new();
    let out = place.text("plan.json");
    assert_eq!(place.plan(&["--to", "1.21.14", "--out", &out]).code, 0);
    journaled(&place, &out, &[STARTED, r#"{"what":"aborting"}"#, r#"{"what":"aborted"}"#]);
    let ran = place.windlass(&["upgrade", "apply", &out, "--yes"]);
    assert_eq!(ran.code, 11, "{}", ran.err);
    assert!(ran.err.contains(" was aborted\n\nhint: nothing was changed; make a new plan"), "{}", ran.err);

    journaled(&place, &out, &[STARTED, r#"{"what":"aborting"}"#]);
    let ran = place.windlass(&["upgrade", "apply", &out, "--yes"]);
    assert_eq!(ran.code, 11, "{}", ran.err);
    assert!(ran.err.contains(&format!("windlass upgrade abort {out}")), "{}", ran.err);
}

#[test]
fn a_run_that_never_began_or_is_through_cannot_be_given_up() {
    let place = Place::new();
    let out = place.text("plan.json");
    assert_eq!(place.plan(&["--to", "1.21.14", "--out", &out]).code, 0);
    let ran = place.windlass(&["upgrade", "abort", &out]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "nobody is asked");
    assert!(ran.out.ends_with("was never begun: there is nothing to give up\n"), "{}", ran.out);
    journaled(&place, &out, &[STARTED, r#"{"what":"completed"}"#]);
    let ran = place.windlass(&["upgrade", "abort", &out]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.ends_with("was carried out to its end: there is nothing to give up\n"), "{}", ran.out);
}

#[test]
fn giving_up_and_finishing_are_asked_for_first() {
    let place = Place::new();
    let out = place.text("plan.json");
    assert_eq!(place.plan(&["--to", "1.21.14", "--out", &out]).code, 0);
    journaled(&place, &out, &[STARTED]);
    let abort = place.windlass(&["upgrade", "abort", &out]);
    assert!(abort.code == 2 && abort.err.contains("--yes"), "{} {}", abort.code, abort.err);
    let finish = place.windlass(&["upgrade", "finish", &out]);
    assert_eq!(finish.code, 11, "{}", finish.err);
    for command in ["apply", "abort"] {
        assert!(finish.err.contains(&format!("`windlass upgrade {command} {out} --state ")), "{}", finish.err);
    }
    journaled(&place, &out, &[STARTED, r#"{"what":"completed"}"#]);
    let finish = place.windlass(&["upgrade", "finish", &out]);
    assert!(finish.code == 2 && finish.err.contains("--yes"), "{} {}", finish.code, finish.err);
}
