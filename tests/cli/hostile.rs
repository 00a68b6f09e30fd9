//! What a hostile cluster says of itself: it is shown as words, and becomes no option, no command, and no colour.

use serde_json::{Value, json};

use crate::place::{FACTS, INVENTORY, Place, Ran, read};

/// Plans from facts in which `lie` was put.
fn planned(lie: impl FnOnce(&mut Value)) -> Ran {
    let mut facts: Value = serde_json::from_str(&read(FACTS.as_ref())).expect("JSON");
    lie(&mut facts);
    let place = Place::new();
    let file = place.write("facts.json", &facts.to_string());
    let to = ["--to", "1.21.14", "--etcd-to", "3.5.16"];
    place.windlass(&[&["upgrade", "plan", "-i", INVENTORY, "--facts", &file], &to[..]].concat())
}

#[test]
fn an_address_of_a_member_that_is_none_is_refused() {
    let urls = [
        "-oProxyCommand=reboot",
        "--endpoints=https://10.0.0.1:2379",
        "https://10.0.0.1:2379;reboot",
        "https://10.0.0.1:2379,https://evil:2379",
        "https://$(reboot):2379",
        "https://10.0.0.1:2379/../x",
        "unix:///run/x",
        "",
    ];
    for url in urls {
        let ran = planned(|facts| facts["etcd"]["known"]["members"][1]["client_urls"] = json!([url]));
        assert_eq!(ran.code, 11, "{url}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains("[unfit-word]") && ran.out.contains("address"), "{url}: {}", ran.out);
    }
}

#[test]
fn a_version_of_a_package_that_is_none_is_refused() {
    for version in ["3.5.16-4;reboot", "3.5.16-4 -oDir::Etc=/x", "3.5.16-", "3.5.16+"] {
        let ran = planned(|facts| {
            for node in facts["nodes"].as_array_mut().expect("nodes") {
                if let Some(package) = node["machine"]["known"]["packages"].get_mut("etcd-server") {
                    package["candidates"] = json!({ "known": [version] });
                }
            }
        });
        assert_eq!(ran.code, 11, "{version}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains("is no version of a package [unfit-word]"), "{version}: {}", ran.out);
    }
}

#[test]
fn names_from_the_cluster_do_not_reach_into_the_terminal() {
    let escape = "evil\u{1b}[2J\u{202e}\u{9b}1A";
    let hostile = |facts: &mut Value| {
        facts["etcd"]["known"]["members"][2]["name"] = json!(escape);
        facts["api"]["known"]["nodes"][3]["cordon_reason"] = json!(escape);
        facts["api"]["known"]["nodes"][3]["unschedulable"] = json!(true);
        facts["api"]["known"]["nodes"][4]["conditions"][0]["message"] = json!(escape);
        facts["api"]["known"]["stateful_sets"]["known"][0]["name"] = json!(format!("default/{escape}"));
        facts["api"]["known"]["stateful_sets"]["known"][0]["ready"] = json!(0);
        facts["nodes"][6]["machine"] = json!({ "unknown": escape });
    };
    let ran = planned(hostile);
    assert!(ran.out.contains("evil"), "{}", ran.out);
    for text in [&ran.out, &ran.err] {
        let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(harmful), "{text:?}");
    }
}
