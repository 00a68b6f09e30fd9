//! `windlass etcd …` without a node: what files and arguments alone can bring about.

use crate::place::{INVENTORY, Place};

#[test]
fn wrong_usage_ends_with_2() {
    let place = Place::new();
    for words in [
        &["etcd"][..],
        &["etcd", "status"],
        &["etcd", "member", "remove", "plan", "-i", INVENTORY],
        &["etcd", "member", "add", "plan", "-i", INVENTORY, "Not A Name"],
        &["etcd", "member", "replace", "apply"],
        &["etcd", "defrag", "plan"],
    ] {
        assert_eq!(place.windlass(words).code, 2, "{words:?}");
    }
}

#[test]
fn a_plan_is_carried_out_by_the_command_that_it_was_made_for() {
    let place = Place::new();
    let out = place.text("plan.json");
    assert_eq!(place.plan(&["--to", "1.21.14", "--out", &out]).code, 0);
    for command in [&["member", "add"][..], &["member", "remove"], &["member", "replace"], &["defrag"]] {
        let ran = place.windlass(&[&["etcd"], command, &["apply", &out, "--yes"]].concat());
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(" is for an upgrade\n"), "{}", ran.err);
        assert!(
            ran.err.ends_with("hint: nothing was changed; carry it out with `windlass upgrade apply`\n"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn certificates_are_renewed_by_an_authority_that_is_named() {
    let place = Place::new();
    for words in [
        &["certs", "renew", "plan"][..],
        &["certs", "renew", "plan", "-i", INVENTORY, "--ca-cert", "ca.crt"],
        &["certs", "renew", "plan", "-i", INVENTORY, "--all", "--within", "9"],
        &["certs", "renew", "plan", "-i", INVENTORY, "--within", "soon"],
    ] {
        assert_eq!(place.windlass(words).code, 2, "{words:?}");
    }
    let ran = place.windlass(&["certs", "renew", "plan", "-i", INVENTORY]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    let wanted = "error: nobody is named who signs the new certificates\n\nhint: nothing was looked at; name the authority that has \
                  signed those that are there: --ca-cert and --ca-key\n";
    assert_eq!(ran.err, wanted);
}
