//! Going back by itself: what is taken back when a step fails, what is not, and that a kill in the middle changes nothing.

use windlass::decide::action::Action;
use windlass::error::Exit;
use windlass::facts::Seen;
use windlass::journal::{Back, Event, Standing};

use crate::bench::{Bench, ETCD, MINOR};
use crate::seams::fault::Then;
use crate::world::{Dpkg, Own, Sick};

/// The undos in the journal, as `step attempt what-came-of-it`.
pub(super) fn undone(bench: &Bench) -> Vec<String> {
    let one = |event| match event {
        Event::Undone { step, attempt, how } => Some(format!("{step} {attempt} {how:?}")),
        _ => None,
    };
    bench.events().into_iter().filter_map(one).collect()
}

/// The member of this machine is not well at the target.
pub(super) fn fall_sick(bench: &Bench, node: &str, how: Sick) {
    let mut now = bench.now();
    let at = now.at(node);
    let member = now.member_of(at).unwrap();
    now.etcd.sick = Some((member, semver::Version::new(3, 5, 16), how));
}

fn installed(bench: &Bench, node: &str, package: &str) -> (String, bool) {
    let mut now = bench.now();
    let package = &now.machine(node).packages[package];
    assert_eq!(package.state, Dpkg::Installed, "{node}");
    (package.version.clone(), package.held)
}

#[tokio::test(start_paused = true)]
async fn a_package_step_that_failed_restores_the_former_version_and_hold() {
    for (step, node, package) in [
        ("workers/w1/kubeadm", "w1", "kubeadm"),
        ("first-control-plane/cp1/kubeadm", "cp1", "kubeadm"),
        ("control-planes/cp2/kubeadm", "cp2", "kubeadm"),
    ] {
        let bench = Bench::new(MINOR);
        let before = installed(&bench, node, package);
        bench.when("install-packages", node, Then::FailAfter(100));
        let failure = bench.fail().await;
        assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
        let back = format!("step {step} was taken back: {package} {} put back and held again", before.0);
        assert_eq!(failure.causes.last(), Some(&back), "{failure}");
        assert_eq!(undone(&bench), [format!("{step} 1 Restored")]);
        assert_eq!(installed(&bench, node, package), before);
        assert!(matches!(bench.history().steps[step], Standing::Failed(_)), "{step} stands as failed");
        assert_eq!(bench.locked(), [""; 0]);
        bench.raise().await;
        assert_eq!(bench.counts()[&("restore-packages".to_owned(), node.to_owned())], 1, "once for one try");
    }
}

#[tokio::test(start_paused = true)]
async fn a_try_that_changed_nothing_is_not_taken_back() {
    let bench = Bench::new(MINOR);
    bench.when("install-packages", "w1", Then::Fail(100));
    let failure = bench.fail().await;
    assert_eq!(failure.causes.last().unwrap(), "step workers/w1/kubeadm has changed nothing on w1", "{failure}");
    assert_eq!(undone(&bench), ["workers/w1/kubeadm 1 Unchanged"]);
    assert!(!bench.jobs().contains(&"restore-packages w1".to_owned()), "nothing was started for it");
    bench.raise().await;
}

#[tokio::test(start_paused = true)]
async fn every_try_that_fails_is_taken_back_once() {
    let bench = Bench::new(ETCD);
    for _ in 0..2 {
        bench.when("install-packages", "etcd1", Then::FailAfter(100));
        bench.fail().await;
    }
    assert_eq!(undone(&bench), ["etcd/etcd1/package 1 Restored", "etcd/etcd1/package 2 Restored"]);
    bench.raise().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_does_not_come_back_gets_its_former_binary_while_the_others_are_old() {
    for (sick, step) in [(Sick::Silent, "package"), (Sick::Unhealthy, "await-healthy")] {
        let bench = Bench::new(ETCD);
        let before = installed(&bench, "etcd1", "etcd-server");
        fall_sick(&bench, "etcd1", sick);
        let failure = bench.fail().await;
        assert!(failure.what.starts_with(&format!("step etcd/etcd1/{step} had no effect")), "{failure}");
        assert_eq!(undone(&bench), ["etcd/etcd1/package 1 Restored"], "{failure}");
        assert_eq!(installed(&bench, "etcd1", "etcd-server"), before);
        let seen = bench.seen().await;
        let members = &seen.etcd.known().unwrap().members;
        let well = |member: &windlass::facts::EtcdMember| {
            member.status.known().is_some_and(|s| s.version.to_string() == "3.4.23" && s.healthy == Seen::Known(()))
        };
        assert!(members.iter().all(well), "{members:?}");
        bench.assert_lawful();
        bench.now().etcd.sick = None;
        bench.raise().await;
        assert_eq!(bench.counts()[&("install-packages".to_owned(), "etcd1".to_owned())], 2);
    }
}

/// The last member of all: as soon as it answers at the new version, so does the cluster.
#[tokio::test(start_paused = true)]
async fn a_member_keeps_its_new_binary_once_the_cluster_version_has_risen() {
    let bench = Bench::new(ETCD);
    let swaps = bench.plan.placed().filter(|placed| matches!(placed.step.action, Action::SwapEtcd(_)));
    let last = swaps.last().unwrap().node.unwrap().to_string();
    fall_sick(&bench, &last, Sick::Unhealthy);
    let failure = bench.fail().await;
    assert!(failure.what.starts_with(&format!("step etcd/{last}/await-healthy had no effect")), "{failure}");
    let undone = undone(&bench);
    assert!(undone.len() == 1 && undone[0].starts_with(&format!("etcd/{last}/package 1 Not(")), "{undone:?}");
    assert_eq!(installed(&bench, &last, "etcd-server").0, "3.5.16-4");
    bench.now().etcd.sick = None;
    bench.raise().await;
}

/// What somebody else has installed meanwhile is theirs.
#[tokio::test(start_paused = true)]
async fn a_third_version_is_not_taken_back() {
    let bench = Bench::new(MINOR);
    bench.when("install-packages", "w1", Then::FailUnder("kubeadm", "1.21.3-00"));
    let failure = bench.fail().await;
    assert!(failure.causes.last().unwrap().contains("somebody else has changed it"), "{failure}");
    assert_eq!(installed(&bench, "w1", "kubeadm").0, "1.21.3-00");
    bench.assert_lawful();
}

#[tokio::test(start_paused = true)]
async fn kubeadms_own_way_back_is_recognised() {
    let words = "couldn't upgrade control plane. kubeadm has tried to recover everything into the earlier state. Errors faced: x";
    for (job, node) in [("kubeadm-apply", "cp1"), ("kubeadm-node", "cp2")] {
        let bench = Bench::new(MINOR);
        bench.when(job, node, Then::FailSaying(words));
        let failure = bench.fail().await;
        let said = "kubeadm put the former manifests back: static pods are at v1.20.2";
        assert_eq!(failure.causes.last().map(String::as_str), Some(said), "{failure}");
        assert!(undone(&bench).is_empty(), "kubeadm's packages stay");
        bench.raise().await;
    }
    let bench = Bench::new(MINOR);
    bench.when("kubeadm-apply", "cp1", Then::FailAfter(1));
    let failure = bench.fail().await;
    assert_eq!(failure.causes.last().map(String::as_str), Some("static pods are at v1.21.14"), "{failure}");
}

/// Killed at each of the last places of a run that fails and goes back: from the failing unit's start on.
#[tokio::test(start_paused = true)]
async fn an_undo_that_is_killed_anywhere_is_ended_by_the_next_run() {
    for (target, node) in [(ETCD, "etcd1"), (MINOR, "w1")] {
        let failing = || {
            let bench = Bench::new(target);
            bench.when("install-packages", node, Then::FailAfter(100));
            bench
        };
        let whole = failing();
        whole.fail().await;
        let mut hit = 0;
        for at in whole.places() - 12..=whole.places() {
            let bench = failing();
            assert!(bench.run_until(at).await.is_none(), "{at} is no place of this run");
            let undos = bench.history().undos;
            hit += usize::from(undos.values().any(|undo| undo.under_way.is_some()));
            // It fails once more when the kill came before the failure was journaled.
            if bench.run().await.is_err() {
                bench.raise().await;
            }
            let undoing = bench.events().iter().filter(|event| matches!(event, Event::Undoing { .. })).count();
            let restored = undone(&bench).iter().filter(|line| line.ends_with("Restored")).count();
            let ran = bench.counts().get(&("restore-packages".to_owned(), node.to_owned())).copied().unwrap_or(0);
            assert!(undoing <= 1, "killed at {at}: begun {undoing} times");
            assert_eq!((restored, ran), (undoing, undoing), "killed at {at}");
            assert_eq!(bench.locked(), [""; 0], "killed at {at}");
        }
        assert!(hit >= 3, "{node}: {hit} kills hit an undo");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_is_not_promised() {
    let bench = Bench::prepared(MINOR, |world| {
        let package = world.machine("w1").told.packages.get_mut("kubeadm").unwrap();
        package.candidates = Seen::Known(vec!["1.21.14-00".to_owned()]);
    })
    .await;
    let warned = bench.plan.findings.iter().find(|finding| finding.subject == "w1").expect("it is warned of");
    assert!(warned.detail.contains("kubeadm=1.20.2-00 any more, which is installed"), "{}", warned.detail);
    bench.when("install-packages", "w1", Then::FailAfter(100));
    let failure = bench.fail().await;
    assert!(undone(&bench).is_empty() && !failure.to_string().contains("taken back"), "{failure}");
    assert_eq!(installed(&bench, "w1", "kubeadm").0, "1.21.14-00");
    bench.raise().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_long_way_needs_is_looked_at_before_there_is_no_other_one() {
    type Loss = fn(&mut Own);
    let losses: [(&str, Loss, &str); 3] = [
        ("w2", |own| own.archives.clear(), "w2 has no archive of this run"),
        ("cp2", |own| own.packages.clear(), "cp2 does not keep kubeadm=1.20.2-00 any more"),
        ("cp1", |own| own.files.clear(), "cp1 does not keep its copy of snapshot"),
    ];
    for (node, loss, says) in losses {
        let bench = Bench::new(MINOR);
        bench.when("kubeadm-plan", "cp1", Then::Fail(1));
        bench.fail().await;
        let kept = bench.now().machine(node).own.clone();
        loss(&mut bench.now().machine(node).own);
        let failure = bench.fail().await;
        assert!(failure.what.starts_with("step first-control-plane/cp1/kubeadm-apply has not begun"), "{failure}");
        assert!(failure.causes.iter().any(|cause| cause.contains(says)), "{failure}");
        assert!(!bench.jobs().contains(&"kubeadm-apply cp1".to_owned()));
        {
            let mut now = bench.now();
            let own = &mut now.machine(node).own;
            (own.archives, own.packages, own.files) = (kept.archives, kept.packages, kept.files);
        }
        bench.raise().await;
    }
}

#[tokio::test(start_paused = true)]
async fn archives_are_listed_in_the_journal() {
    let bench = Bench::new(ETCD);
    bench.raise().await;
    let archived: Vec<(String, u64)> = bench
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Archived { node, file, bytes, sha256 } => {
                assert_eq!(file, format!("/var/lib/windlass/archives/{}/node.tar.gz", bench.plan.id));
                assert_eq!(sha256, "cc".repeat(32));
                Some((node.to_string(), bytes))
            }
            _ => None,
        })
        .collect();
    let wanted = ["etcd1", "etcd2", "etcd3"].map(|node| (node.to_owned(), 4096));
    assert_eq!(std::collections::BTreeSet::from_iter(archived), std::collections::BTreeSet::from(wanted));
}

#[test]
fn what_came_of_it_is_one_word_or_a_reason_in_the_journal() {
    let json = |how: Back| serde_json::to_string(&how).unwrap();
    assert_eq!(json(Back::Restored), "\"restored\"");
    assert_eq!(json(Back::Not("no".to_owned())), "{\"not\":\"no\"}");
}
