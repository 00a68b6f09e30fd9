//! etcd that is no package: its programs come from an archive, and everything else is as ever.

use windlass::decide::action::{Action, Effect, Site};
use windlass::decide::actions::programs::{Archive, Origin};
use windlass::decide::checker;
use windlass::decide::plan::{Plan, PlanError};
use windlass::decide::target::Target;
use windlass::facts::{PackageFacts, Seen};
use windlass::inventory::Role;

use super::cluster::{Cluster, target};

const PROGRAM: &str = "/usr/local/bin/etcd";

/// The base cluster, whose etcd nobody packaged.
fn cluster() -> Cluster {
    let mut cluster = Cluster::base();
    PROGRAM.clone_into(&mut cluster.inventory.etcd.package);
    cluster.inventory.etcd.client_package = None;
    for node in cluster.names(Role::Etcd) {
        let packages = &mut cluster.machine(&node).packages;
        packages.clear();
        let candidates = Seen::Known(Vec::new());
        let facts = PackageFacts { installed: Some("3.4.23".to_owned()), held: false, candidates };
        packages.insert(PROGRAM.to_owned(), facts);
    }
    cluster
}

fn wanted(from: Origin) -> Target {
    let archive = Archive { from, sha256: "ab".repeat(32) };
    Target { etcd_archive: Some(archive), ..target("", "3.5.16") }
}

fn file() -> Origin {
    Origin::File { path: "/srv/etcd-v3.5.16-linux-amd64.tar.gz".to_owned(), bytes: 20 << 20 }
}

fn refusals(cluster: &Cluster, target: &Target) -> String {
    let found = cluster.plan(target).expect_err("it is refused");
    let told: Vec<String> = found.iter().map(|finding| format!("{}: {}", finding.subject, finding.detail)).collect();
    told.join("\n")
}

#[test]
fn programs_are_brought_first_and_swapped_one_member_at_a_time() {
    let plan = cluster().plan(&wanted(file())).expect("a plan");
    assert_eq!(checker::check(&plan), []);
    let steps: Vec<String> = plan.placed().map(|placed| placed.id()).collect();
    let of = |node: &str| steps.iter().filter(|id| id.contains(node)).cloned().collect::<Vec<_>>();
    assert_eq!(
        of("etcd1"),
        [
            "archive/etcd1/archive",
            "prepare/etcd1/archive-of-etcd",
            "etcd/etcd1/move-leader",
            "etcd/etcd1/package",
            "etcd/etcd1/await-healthy"
        ]
    );
    let swap = plan.placed().find(|placed| placed.id() == "etcd/etcd1/package").expect("it is there");
    let site = Site { run: &plan.id, node: swap.node };
    let Effect::Job { call, .. } = swap.step.action.effect(site) else { panic!("a job") };
    let place = format!("packages/{}/abababababababab.tar.gz", plan.id);
    assert_eq!(call.args[2..], [&place, &"ab".repeat(32), "3.5.16", PROGRAM]);
    let back = swap.step.action.way_back(site).expect("it goes back");
    assert_eq!(back.args[2..], ["3.4", PROGRAM]);
    let words = swap.step.action.undo();
    assert_eq!(words, "/usr/local/bin/etcd 3.4.23 put back, while every other member reports cluster version 3.4");
}

#[test]
fn an_archive_comes_from_the_operator_or_from_an_address() {
    let effect = |from: Origin| {
        let plan = cluster().plan(&wanted(from)).expect("a plan");
        let fetch = plan.placed().find(|placed| matches!(placed.step.action, Action::FetchArchive(_)));
        let fetch = fetch.expect("it is brought");
        let place = format!("packages/{}/abababababababab.tar.gz", plan.id);
        (fetch.step.action.effect(Site { run: &plan.id, node: fetch.node }), place)
    };
    let (Effect::Send { file, name, bytes, .. }, place) = effect(file()) else { panic!("it is sent") };
    assert_eq!((file.as_str(), name, bytes), ("/srv/etcd-v3.5.16-linux-amd64.tar.gz", place, 20 << 20));
    let url = "https://example.org/etcd-v3.5.16-linux-amd64.tar.gz";
    let (Effect::Job { call, .. }, place) = effect(Origin::Url(url.to_owned())) else { panic!("it is downloaded") };
    assert_eq!(call.args, [&place, &"ab".repeat(32), url]);
}

#[test]
fn what_is_a_package_and_what_is_not_is_told() {
    let said = refusals(&cluster(), &target("", "3.5.16"));
    assert!(said.contains("/usr/local/bin/etcd is no package: say where its programs come from"), "{said}");
    let said = refusals(&Cluster::base(), &wanted(file()));
    assert!(said.contains("etcd-server is a package: leave --etcd-archive away"), "{said}");
    let mut gone = cluster();
    let node = gone.names(Role::Etcd)[0].clone();
    gone.machine(&node).packages.get_mut(PROGRAM).expect("it is known").installed = None;
    let said = refusals(&gone, &wanted(file()));
    assert!(said.contains("/usr/local/bin/etcd is not there, is not root's, or does not tell its version"), "{said}");
}

#[test]
fn a_skipped_minor_is_refused_whatever_it_comes_from() {
    let said = refusals(&cluster(), &Target { etcd: Some("3.6.12".parse().expect("a version")), ..wanted(file()) });
    assert!(said.contains("3.6.12 would skip a minor"), "{said}");
}

type Edit = fn(&mut Archive, &mut String);

/// Ways to edit a plan so that a word of its archive would be read as something else, and what is said of each.
const UNFIT: &[(Edit, &str)] = &[
    (|archive, _| archive.from = Origin::Url("-K/etc/passwd".to_owned()), "as an address"),
    (|archive, _| archive.from = Origin::Url("file:///etc/shadow".to_owned()), "as an address"),
    (|archive, _| archive.from = Origin::Url("https://a/$(reboot)".to_owned()), "as an address"),
    (|archive, _| archive.from = Origin::Url("https://a/{x,y}".to_owned()), "as an address"),
    (|archive, _| archive.from = Origin::File { path: "etcd.tar.gz".to_owned(), bytes: 1 }, "no absolute path"),
    (|archive, _| "../../../../etc/cron.d".clone_into(&mut archive.sha256), "SHA-256"),
    (|_, program| "etcd-server".clone_into(program), "no path of a program"),
    (|_, program| "/usr/bin/sudo".clone_into(program), "as a program's path"),
    (|_, program| "/usr/bin/../../tmp/etcd".clone_into(program), "as a program's path"),
    (|_, program| "/tmp/$(reboot)/etcd".clone_into(program), "as a program's path"),
];

#[test]
fn a_word_of_an_archive_that_would_be_read_otherwise_is_refused_also_under_a_new_seal() {
    for (edit, why) in UNFIT {
        let mut plan = cluster().plan(&wanted(file())).expect("a plan");
        for step in plan.procedures.iter_mut().flatten() {
            match &mut step.action {
                Action::FetchArchive(fetch) => edit(&mut fetch.archive, &mut String::new()),
                Action::SwapEtcd(swap) => {
                    let archive = swap.archive.as_mut().expect("it is from an archive");
                    edit(archive, &mut swap.packages[0].name);
                }
                _ => {}
            }
        }
        let refused = Plan::from_json(&plan.sealed().to_json());
        let Err(PlanError::Unfit(unfit)) = &refused else { panic!("{why}: {:?}", refused.err()) };
        assert!(unfit.to_string().contains(why), "{why}: {unfit}");
    }
}
