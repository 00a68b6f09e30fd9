//! The ways back of a plan: what is promised, the exact commands, what they look for, and from where on there is only the
//! long way.

use std::collections::BTreeMap;

use windlass::decide::action::{Action, Effect, Site};
use windlass::decide::actions::former::Undo;
use windlass::decide::call::{Call, Script};
use windlass::decide::long_way;
use windlass::decide::look::{Look, Sight};
use windlass::decide::plan::{Placed, Plan};
use windlass::engine::Finish;
use windlass::facts::{Kept, PackageFacts, Seen};
use windlass::report;

use super::cluster::{Cluster, golden, name, target};

fn step<'a>(plan: &'a Plan, id: &str) -> Placed<'a> {
    plan.placed().find(|placed| placed.id() == id).unwrap_or_else(|| panic!("no step {id}"))
}

fn site<'a>(plan: &'a Plan, placed: &Placed<'a>) -> Site<'a> {
    Site { run: &plan.id, node: placed.node }
}

fn job(plan: &Plan, id: &str) -> Call {
    let placed = step(plan, id);
    match placed.step.action.effect(site(plan, &placed)) {
        Effect::Job { call, .. } => call,
        other => panic!("{other:?}"),
    }
}

fn way_back(plan: &Plan, id: &str) -> Option<Call> {
    let placed = step(plan, id);
    placed.step.action.way_back(site(plan, &placed))
}

fn words(call: &Call, script: Script) -> Vec<&str> {
    assert_eq!(call.script, script);
    call.args.iter().map(String::as_str).collect()
}

#[test]
fn archives_and_downloads_say_what_they_are_for() {
    let plan = golden();
    let run = plan.id.0.as_str();
    let archive = job(&plan, "archive/etcd1/archive");
    assert_eq!(words(&archive, Script::Archive), [run, "etcd", "/etc/default/etcd"]);
    assert_eq!(words(&job(&plan, "archive/w1/archive"), Script::Archive), [run, "-", "-"]);
    let fetch = job(&plan, "prepare/w1/packages");
    assert_eq!(
        words(&fetch, Script::FetchPackages),
        [
            run,
            "kubeadm=1.20.2-00,kubelet=1.20.2-00,kubectl=1.20.2-00",
            "kubeadm=1.21.14-00",
            "kubelet=1.21.14-00",
            "kubectl=1.21.14-00"
        ]
    );
}

#[test]
fn packages_go_back_to_what_was_there_before() {
    let plan = golden();
    let call = way_back(&plan, "workers/w1/kubelet").expect("it is kept");
    assert_eq!(
        words(&call, Script::RestorePackages),
        [&plan.id.0, "-", "kubelet,kubectl", "-", "kubelet=1.20.2-00", "kubectl=1.20.2-00"]
    );
    for id in ["workers/w1/drain", "first-control-plane/cp1/kubeadm-apply", "workers/w1/restart"] {
        assert_eq!(way_back(&plan, id), None, "{id}");
    }
}

#[test]
fn a_member_goes_back_under_the_guard_that_it_went_on_under() {
    let plan = golden();
    let on = job(&plan, "etcd/etcd1/package");
    let back = way_back(&plan, "etcd/etcd1/package").expect("it is kept");
    let (on, back) = (words(&on, Script::InstallPackages), words(&back, Script::RestorePackages));
    assert_eq!(back[..2], [plan.id.0.as_str(), on[0]]);
    assert_eq!(back[2..], ["etcd-server,etcd-client", "3.4", "etcd-server=3.4.23-4+b4", "etcd-client=3.4.23-4+b4"]);
    // A patch does not change the cluster version: nobody has to be asked for it.
    let mut patch = golden();
    for action in patch.procedures.iter_mut().flatten().map(|step| &mut step.action) {
        if let Action::SwapEtcd(swap) = action {
            swap.from = ["etcd-server", "etcd-client"].map(|name| (name.to_owned(), "3.5.10-1".to_owned())).into();
        }
    }
    assert_eq!(words(&way_back(&patch, "etcd/etcd1/package").expect("a patch"), Script::RestorePackages)[3], "-");
}

fn change_swaps(plan: &mut Plan, change: impl Fn(&mut windlass::decide::actions::etcd::SwapEtcd)) {
    for action in plan.procedures.iter_mut().flatten().map(|step| &mut step.action) {
        if let Action::SwapEtcd(swap) = action {
            change(swap);
        }
    }
}

#[test]
fn what_cannot_be_kept_is_not_promised() {
    let mut plan = golden();
    change_swaps(&mut plan, |swap| swap.undo = Undo::NotKept(vec!["etcd-server=3.4.23-4+b4".to_owned()]));
    assert_eq!(way_back(&plan, "etcd/etcd1/package"), None);
    let words = step(&plan, "etcd/etcd1/package").step.action.undo();
    assert_eq!(words, "not possible: no package source has etcd-server=3.4.23-4+b4 any more");

    let mut alone = golden();
    change_swaps(&mut alone, |swap| swap.access.others.clear());
    assert_eq!(way_back(&alone, "etcd/etcd1/package"), None, "nobody could tell the cluster version");

    let mut cluster = Cluster::base();
    let packages = &mut cluster.machine(&name("w1")).packages;
    packages.get_mut("kubelet").expect("it is there").candidates = Seen::Known(vec!["1.21.14-00".to_owned()]);
    let plan = cluster.plan(&target("1.21.14", "")).expect("it is only warned of");
    assert_eq!(way_back(&plan, "workers/w1/kubelet"), None);
    assert!(way_back(&plan, "workers/w1/kubeadm").is_some(), "another package's step");
    assert!(way_back(&plan, "workers/w2/kubelet").is_some(), "another node");
    assert_eq!(words_of_fetch(&plan, "prepare/w1/packages"), "kubeadm=1.20.2-00,kubectl=1.20.2-00");
}

fn words_of_fetch(plan: &Plan, id: &str) -> String {
    job(plan, id).args[1].clone()
}

fn looked_back(plan: &Plan, packages: [(&str, &str, bool); 2]) -> Look {
    let facts = |(name, version, held): (&str, &str, bool)| {
        let candidates = Seen::Unknown("not asked".to_owned());
        (name.to_owned(), PackageFacts { installed: Some(version.to_owned()), held, candidates })
    };
    let mut machine = Cluster::base().machine(&name("w1")).clone();
    machine.packages = BTreeMap::from(packages.map(facts));
    let mut sight = Sight::nothing();
    sight.machine = Seen::Known(machine);
    step(plan, "workers/w1/kubelet").step.action.look_back(&sight)
}

#[test]
fn it_is_as_before_only_when_every_package_is_whole_and_held() {
    let plan = golden();
    let (old, new) = ("1.20.2-00", "1.21.14-00");
    assert_eq!(looked_back(&plan, [("kubelet", old, true), ("kubectl", old, true)]), Look::Done);
    for (packages, why) in [
        ([("kubelet", new, true), ("kubectl", old, true)], "kubelet is at 1.21.14-00"),
        ([("kubelet", old, false), ("kubectl", old, true)], "kubelet 1.20.2-00 is not held"),
        ([("kubelet", old, true), ("kubectl", "1.20.2-00 (half-configured)", true)], "kubectl is at 1.20.2-00 (half"),
    ] {
        let look = looked_back(&plan, packages);
        assert!(matches!(&look, Look::Ready(said) if said.starts_with(why)), "{look:?}");
    }
}

#[test]
fn only_the_long_way_is_left_after_the_last_member_and_after_kubeadm() {
    let finals = |plan: &Plan| -> Vec<String> {
        plan.placed().filter(|placed| long_way::is_final(plan, placed)).map(|placed| placed.id()).collect()
    };
    assert_eq!(finals(&golden()), ["etcd/etcd2/package", "first-control-plane/cp1/kubeadm-apply"]);
    let patch = Cluster::base().plan(&target("1.20.15", "")).expect("a plan");
    assert_eq!(finals(&patch), [""; 0]);
}

#[test]
fn what_a_node_does_not_keep_any_more_is_named() {
    let plan = golden();
    let (run, w1) = (plan.id.0.clone(), name("w1"));
    let written = (4096, "aa".to_owned());
    let mut kept = Kept::default();
    let archive = |sha256: &str| windlass::facts::Archive { bytes: 4096, sha256: sha256.to_owned() };
    let said = long_way::missing(&plan, &w1, Some(&written), &kept);
    assert_eq!(said.len(), 4, "{said:?}");
    assert_eq!(said[0], "w1 has no archive of this run");
    assert_eq!(said[1], "w1 does not keep kubeadm=1.20.2-00 any more");
    kept.archives.insert(run.clone(), archive("bb"));
    let files = ["kubeadm", "kubelet", "kubectl"].map(|package| format!("{package}_1.20.2-00_amd64.deb"));
    kept.packages.insert(run.clone(), files.into());
    let said = long_way::missing(&plan, &w1, Some(&written), &kept);
    assert_eq!(said, ["the archive on w1 is not the one that was written: its SHA-256 is bb"]);
    kept.archives.insert(run, archive("aa"));
    assert_eq!(long_way::missing(&plan, &w1, Some(&written), &kept), [""; 0]);
}

#[test]
fn an_abort_says_what_is_where_and_which_ways_lead_on() {
    let plan = golden();
    let facts = Cluster::base().facts;
    let snapshot = ("/state/lab/snapshots/lab-1.db".to_owned(), 4096, Some(name("cp1")));
    let stays = ["w1 stays cordoned: it is not Ready: no word of it".to_owned()];
    let finish = "windlass upgrade finish plan.json";
    let text = report::abort(&plan, &facts, &stays, Some(&snapshot), finish).replace(&plan.id.0, "RUN");
    let wanted = "\
plan RUN is aborted

What is where
  etcd1        etcd 3.4.23
  etcd2        etcd 3.4.23
  etcd3        etcd 3.4.23
  cp1          API server 1.20.2, kubelet 1.20.2, package kubeadm 1.20.2-00, Ready
  cp2          API server 1.20.2, kubelet 1.20.2, package kubeadm 1.20.2-00, Ready
  cp3          API server 1.20.2, kubelet 1.20.2, package kubeadm 1.20.2-00, Ready
  w1           kubelet 1.20.2, package kubeadm 1.20.2-00, Ready
  w2           kubelet 1.20.2, package kubeadm 1.20.2-00, Ready

What to see to
  w1 stays cordoned: it is not Ready: no word of it

Ways on
  forward, with a new plan: windlass upgrade plan -i /etc/windlass/lab.toml --to 1.21.14 --etcd-to 3.5.16 --out plan.json
  back, by hand, as the README says: with snapshot /state/lab/snapshots/lab-1.db (its copy is on cp1),
    archives in /var/lib/windlass/archives/RUN
    and former packages in /var/lib/windlass/packages/RUN on each node
  when what 8 machines keep for that is not needed any more: windlass upgrade finish plan.json
";
    assert_eq!(text, wanted);
}

#[test]
fn finish_says_what_it_frees_and_that_snapshots_stay() {
    let freed = |node: &str, archive| Finish { node: name(node), archive, packages: 3 << 20, units: 2048, data: 0 };
    let run = golden().id;
    let text = report::finish(&run, &[freed("cp1", 65536), freed("w1", 4096)]).replace(&run.0, "RUN");
    let wanted = "  cp1          archive 64.0 KiB, packages 3.0 MiB, logs 2.0 KiB
  w1           archive 4.0 KiB, packages 3.0 MiB, logs 2.0 KiB
6.1 MiB taken away of plan RUN; snapshots stay where they are
";
    assert_eq!(text, wanted);
    let nothing = Finish { node: name("w1"), archive: 0, packages: 0, units: 0, data: 0 };
    let text = report::finish(&run, &[nothing]).replace(&run.0, "RUN");
    assert_eq!(text, "no node keeps anything of plan RUN any more; snapshots stay where they are\n");
}
