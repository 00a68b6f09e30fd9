//! Plans that break a law: the checker has to refuse them, and the simulation shows what they would do.

use windlass::decide::action::Action;
use windlass::decide::checker;
use windlass::decide::plan::{Plan, Stage, Step, Wave};

use super::{Mutant, broken};
use crate::bench::{Bench, KUBERNETES, MINOR, PATCH, Raise, lab, lab_plan, stacked_plan};
use crate::laws::Invariant;
use crate::world::World;

type Change = fn(&mut Plan);

/// Lets the plan run as it is.
async fn carried_out(invariant: Invariant, name: &'static str, plan: Plan, world: fn(&mut World)) -> Mutant {
    let plan = plan.sealed();
    let checker = Some(!checker::check(&plan).is_empty());
    let bench = Bench::with(plan, lab());
    world(&mut bench.now());
    // How it ends is not the question.
    let _ = bench.run().await;
    Mutant { invariant, name, checker, seen: broken(&bench) }
}

async fn changed(law: Invariant, name: &'static str, raise: Raise, change: Change) -> Mutant {
    let mut plan = lab_plan(raise);
    change(&mut plan);
    carried_out(law, name, plan, |_| {}).await
}

pub(super) async fn all() -> Vec<Mutant> {
    let law = Invariant::Law;
    vec![
        skips_a_minor().await,
        changed(law(2), "no snapshot is taken", MINOR, |plan| drop_steps(plan, |it| matches!(it, Action::Snapshot(_))))
            .await,
        changed(law(2), "none is taken between etcd and Kubernetes", MINOR, |plan| {
            plan.stages.retain(|stage| stage.name != "snapshot-kubernetes");
        })
        .await,
        changed(law(3), "leadership is not moved, and the guard asks nobody", MINOR, unguarded).await,
        stacked("a stacked member is restarted while it leads, and no guard asks", leads).await,
        stacked("stacked members go one after another unseen, and no guard asks", unseen).await,
        changed(law(4), "a member and a control plane in one wave", MINOR, |plan| {
            let lane = stage(plan, "etcd").waves[0].lanes[0].clone();
            stage(plan, "first-control-plane").waves[0].lanes.push(lane);
            plan.stages.retain(|stage| !stage.name.starts_with("etcd"));
        })
        .await,
        changed(law(5), "workers' kubelets before API servers", KUBERNETES, |plan| {
            let at = plan.stages.iter().position(|stage| stage.name == "workers").expect("workers");
            let workers = plan.stages.remove(at);
            let first = plan.stages.iter().position(|stage| stage.name == "control-planes").expect("control planes");
            plan.stages.insert(first, workers);
        })
        .await,
        changed(Invariant::ApiReachable, "all control planes' kubelets at once", KUBERNETES, |plan| {
            // A load balancer would not let the last one go.
            drop_steps(plan, |it| matches!(it, Action::DrainServer(_) | Action::ReturnServer(_)));
            together(stage(plan, "control-plane-kubelets"));
        })
        .await,
        changed(law(5), "two control planes at once", KUBERNETES, |plan| together(stage(plan, "control-planes"))).await,
        changed(law(6), "kubelets raised under their pods", KUBERNETES, |plan| {
            drop_steps(plan, |it| matches!(it, Action::Cordon(_) | Action::Drain(_) | Action::Uncordon(_)));
        })
        .await,
        changed(law(6), "given back before it is Ready", KUBERNETES, |plan| {
            drop_steps(plan, |it| matches!(it, Action::AwaitReady(_)));
        })
        .await,
    ]
}

fn stage<'a>(plan: &'a mut Plan, name: &str) -> &'a mut Stage {
    plan.stages.iter_mut().find(|stage| stage.name == name).expect("a stage")
}

fn together(stage: &mut Stage) {
    let lanes = std::mem::take(&mut stage.waves).into_iter().flat_map(|wave| wave.lanes).collect();
    stage.waves = vec![Wave { lanes }];
}

fn drop_steps(plan: &mut Plan, drop: fn(&Action) -> bool) {
    for steps in &mut plan.procedures {
        steps.retain(|step: &Step| !drop(&step.action));
    }
}

/// A change of the plan whose members are static pods.
async fn stacked(name: &'static str, change: Change) -> Mutant {
    let mut plan = stacked_plan(PATCH);
    change(&mut plan);
    let plan = plan.sealed();
    let checker = Some(!checker::check(&plan).is_empty());
    let bench = Bench { plan, ..Bench::stacked_raise(PATCH) };
    let _ = bench.run().await;
    Mutant { invariant: Invariant::Law(3), name, checker, seen: broken(&bench) }
}

/// No job asks the others any more.
fn unasked(plan: &mut Plan) {
    for step in plan.procedures.iter_mut().flatten() {
        match &mut step.action {
            Action::KubeadmApply(apply) => apply.member = None,
            Action::KubeadmNode(node) => node.member = None,
            Action::InstallPackages(install) => install.member = None,
            Action::RestartKubelet(restart) => restart.member = None,
            _ => {}
        }
    }
}

fn leads(plan: &mut Plan) {
    unasked(plan);
    drop_steps(plan, |it| matches!(it, Action::MoveLeader(_)));
}

fn unseen(plan: &mut Plan) {
    unasked(plan);
    drop_steps(plan, |it| {
        matches!(
            it,
            Action::MoveLeader(_) | Action::AwaitMembers(_) | Action::AwaitReady(_) | Action::AwaitApiServers(_)
        )
    });
}

fn unguarded(plan: &mut Plan) {
    drop_steps(plan, |it| matches!(it, Action::MoveLeader(_)));
    for step in plan.procedures.iter_mut().flatten() {
        if let Action::SwapEtcd(swap) = &mut step.action {
            swap.access.others.clear();
        }
    }
}

/// etcd itself does not refuse to skip a minor.
async fn skips_a_minor() -> Mutant {
    let json = lab_plan(MINOR).to_json().replace("3.4.23-4+b4", "3.3.25+dfsg-6+b6").replace("3.4.23", "3.3.25");
    let plan: Plan = serde_json::from_str(&json).expect("a plan");
    let older = |world: &mut World| {
        for machine in &mut world.machines {
            for (_, package) in machine.packages.iter_mut().filter(|(name, _)| name.starts_with("etcd")) {
                "3.3.25+dfsg-6+b6".clone_into(&mut package.version);
            }
        }
        for member in &mut world.etcd.members {
            member.runs = Some(semver::Version::new(3, 3, 25));
            member.cluster = semver::Version::new(3, 3, 0);
        }
    };
    carried_out(Invariant::Law(1), "etcd goes from 3.3 to 3.5", plan, older).await
}
