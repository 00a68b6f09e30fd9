//! Rules of machines: reached, driven by a package manager that we know, with the target to be had and room for it, clocks
//! together, certificates alive.

use super::{Case, needed, unseen};

use crate::decide::actions::packages::Pinned;
use crate::decide::finding::{Finding, Rule};
use crate::decide::planner::packages::{etcd_packages, kubernetes_packages, replaced};
use crate::facts::{EtcdFacts, MachineFacts, PackageFacts, PackageManager, Seen};
use crate::inventory::{Node, Role, Topology, is_program};

/// Room for packages and their unpacking, in bytes: the Kubernetes packages of one version unpack to about 300 MB.
const ROOM_FOR_PACKAGES: u64 = 600 << 20;
/// Room for what is kept for going back, in bytes: packages of two versions are about 120 MB, an archive far less than one.
const ROOM_FOR_KEPT: u64 = 200 << 20;
/// Room for the images of one version on a control plane, in bytes: about 800 MB unpacked.
const ROOM_FOR_IMAGES: u64 = 1 << 30;
/// Clocks further apart than this confuse leases and certificates, in milliseconds.
const CLOCK_SKEW_WORTH_SAYING_MS: u64 = 1000;
/// Certificates that end within a run would be worse than none; those that end within a month are worth saying.
const MONTH_SECONDS: i64 = 30 * 24 * 3600;
/// Certificates that end within a week, and nobody plans an upgrade that would renew them.
const WEEK_SECONDS: i64 = 7 * 24 * 3600;
/// An authority is replaced by hand and ends everything that it has signed: a year is worth saying, and what it signs now
/// (for a year, `GOOD_DAYS`) already ends early.
const YEAR_SECONDS: i64 = 365 * 24 * 3600;

pub(super) fn findings(case: Case<'_>) -> Vec<Finding> {
    let mut found = unreached(case);
    found.extend(left_out(case));
    found.extend(room_here(case));
    for (node, machine) in case.seen_nodes().filter(|(node, _)| case.concerned(node)) {
        found.extend(targets(case, node, machine));
        found.extend(room(case, node, machine));
        found.extend(of_itself(case, node, machine, 0));
    }
    found.extend(host_keys(case));
    found
}

/// What holds whatever is asked for.
pub(super) fn standing(case: Case<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = gone(case).map(|(node, why)| Finding::unreachable(&node.name, why)).collect();
    for (node, machine) in case.seen_nodes() {
        found.extend(room(case, node, machine));
        found.extend(of_itself(case, node, machine, WEEK_SECONDS));
        if let Seen::Unknown(why) = &machine.certificates {
            found.push(unseen(&node.name, "when its certificates end", why));
        }
    }
    found.extend(host_keys(case));
    found
}

/// Of a certificate that ends within `grave` seconds a warning would be too little.
fn of_itself(case: Case<'_>, node: &Node, machine: &MachineFacts, grave: i64) -> Vec<Finding> {
    let mut found = certificates(case, node, machine, grave);
    found.extend(clock(node, machine));
    found.extend(not_held(node, machine));
    found
}

fn host_keys(case: Case<'_>) -> Option<Finding> {
    (!case.inventory.ssh.strict_host_keys).then(|| {
        let detail =
            "the inventory switches strict host keys off: anybody between here and the nodes can take their place";
        Finding::warning(Rule::HostKeys, "inventory", detail)
    })
}

/// The nodes that were not reached, and why. Load balancers have a rule of their own.
fn gone(case: Case<'_>) -> impl Iterator<Item = (&Node, &str)> {
    let led = case.nodes().filter(|node| !node.roles.contains(&Role::LoadBalancer));
    led.filter_map(move |node| match &case.node_facts(&node.name)?.machine {
        Seen::Unknown(why) => Some((node, why.as_str())),
        Seen::Known(_) => None,
    })
}

fn unreached(case: Case<'_>) -> Vec<Finding> {
    let say = |(node, why): (&Node, &str)| {
        let control_plane = node.roles.contains(&Role::ControlPlane) || node.roles.contains(&Role::Etcd);
        let advice = if control_plane {
            String::new()
        } else {
            format!(" (a dead worker can be left out: --leave-out {})", node.name)
        };
        Finding::unreachable(&node.name, format!("{why}{advice}"))
    };
    gone(case).map(say).collect()
}

fn left_out(case: Case<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in &case.target.leave_out {
        match case.inventory.node(name) {
            None => {
                let detail = "is to be left out, but is not in the inventory";
                found.push(Finding::refusal(Rule::NodeUnknown, name, detail));
            }
            Some(node) if node.roles.contains(&Role::ControlPlane) || node.roles.contains(&Role::Etcd) => {
                let detail = "cannot be left out: only workers can";
                found.push(Finding::refusal(Rule::ControlPlaneLeftOut, name, detail));
            }
            Some(_) => {}
        }
    }
    found
}

/// The target's packages can be had here.
fn targets(case: Case<'_>, node: &Node, machine: &MachineFacts) -> Vec<Finding> {
    let mut found = Vec::new();
    match needed(&machine.package_manager, &node.name, "its package manager") {
        Err(finding) => return vec![finding],
        Ok(PackageManager::Apt) => {}
        Ok(other) => {
            let detail = format!("is managed by {}, which this Windlass cannot drive yet: only apt", other.word());
            return vec![Finding::refusal(Rule::PackageManager, &node.name, detail)];
        }
    }
    let mut target = |packages: Result<Vec<Pinned>, Vec<String>>| match packages {
        Ok(packages) => found.extend(former_gone(node, machine, &packages)),
        Err(missing) => {
            found.extend(missing.into_iter().map(|detail| Finding::refusal(Rule::TargetMissing, &node.name, detail)));
        }
    };
    if let Some(to) = &case.target.kubernetes
        && node.is_kube()
    {
        target(kubernetes_packages(machine, to));
    }
    if let Some(to) = &case.target.etcd
        && case.inventory.etcd.topology == Topology::External
        && node.roles.contains(&Role::Etcd)
    {
        target(etcd_packages(machine, &case.inventory.etcd, to, case.target.etcd_archive.as_ref()));
    }
    found
}

fn not_held(node: &Node, machine: &MachineFacts) -> Vec<Finding> {
    let unheld =
        |(name, package): &(&String, &PackageFacts)| package.installed.is_some() && !package.held && !is_program(name);
    let say = |(name, _): (&String, &PackageFacts)| {
        let detail = format!("{name} is not held: an unattended upgrade may raise it behind your back");
        Finding::warning(Rule::NotHeld, &node.name, detail)
    };
    machine.packages.iter().filter(unheld).map(say).collect()
}

/// What is not to be had any more cannot be put back when its step fails.
fn former_gone(node: &Node, machine: &MachineFacts, packages: &[Pinned]) -> Option<Finding> {
    let gone: Vec<String> = replaced(machine, packages).1.iter().map(Pinned::spec).collect();
    (!gone.is_empty()).then(|| {
        let detail = format!(
            "no package source has {} any more, which is installed: going back to it is not possible",
            gone.join(", ")
        );
        Finding::warning(Rule::FormerGone, &node.name, detail)
    })
}

fn room(case: Case<'_>, node: &Node, machine: &MachineFacts) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut want = |what: &str, places: &[&str], bytes: u64| {
        let Some((path, disk)) = places.iter().find_map(|path| machine.disks.get(*path).map(|disk| (path, disk)))
        else {
            return;
        };
        if disk.free_bytes < bytes {
            let (free, need) = (crate::text::bytes(disk.free_bytes), crate::text::bytes(bytes));
            let detail = format!("no room for {what}: {path} has {free} free, {need} are needed");
            found.push(Finding::refusal(Rule::NoRoom, &node.name, detail));
        }
    };
    want("the packages", &["/var/cache/apt/archives", "/var", "/"], ROOM_FOR_PACKAGES);
    want("what is kept for going back", &["/var/lib", "/"], ROOM_FOR_KEPT);
    if node.roles.contains(&Role::ControlPlane) {
        if case.target.kubernetes.is_some() {
            want("the images", &["/var/lib/containerd", "/var/lib", "/"], ROOM_FOR_IMAGES);
            if case.inventory.etcd.topology == Topology::Stacked {
                want("kubeadm's copy of etcd's data", &["/etc/kubernetes", "/"], room_for_data(case));
            }
        }
        want("the copy of the snapshot", &["/var/lib", "/"], room_for_snapshots(case));
    }
    found
}

/// The largest member's database, in bytes; snapshots are about as large.
pub(in crate::decide) fn database(case: Case<'_>) -> u64 {
    let statuses = |etcd: &EtcdFacts| etcd.members.iter().filter_map(|m| Some(m.status.known()?.db_size)).max();
    case.facts.etcd.known().and_then(statuses).unwrap_or(0)
}

/// What kubeadm copies of a stacked member: its database, and its log, of which etcd keeps five files of 64 MiB and begins one.
fn room_for_data(case: Case<'_>) -> u64 {
    database(case).saturating_add(6 * (64 << 20))
}

/// Two snapshots, and room to breathe.
fn room_for_snapshots(case: Case<'_>) -> u64 {
    database(case).saturating_mul(2).saturating_add(64 << 20)
}

/// Room for the snapshots on the operator's machine.
fn room_here(case: Case<'_>) -> Option<Finding> {
    let (disk, need) = (case.facts.operator_disk.known()?, room_for_snapshots(case));
    (disk.free_bytes < need).then(|| {
        let (free, need) = (crate::text::bytes(disk.free_bytes), crate::text::bytes(need));
        let detail = format!("no room for the snapshots: {free} are free where they go, {need} are needed");
        Finding::refusal(Rule::NoRoom, "this machine", detail)
    })
}

pub(in crate::decide) fn clock(node: &Node, machine: &MachineFacts) -> Option<Finding> {
    let skew = machine.clock_skew_ms.known()?;
    (skew.unsigned_abs() > CLOCK_SKEW_WORTH_SAYING_MS).then(|| {
        let way = if *skew > 0 { "ahead of" } else { "behind" };
        let detail = format!("its clock is {} ms {way} this machine's", skew.unsigned_abs());
        Finding::warning(Rule::ClockSkew, &node.name, detail)
    })
}

fn certificates(case: Case<'_>, node: &Node, machine: &MachineFacts, grave: i64) -> Vec<Finding> {
    let mut found = Vec::new();
    let Seen::Known(certificates) = &machine.certificates else { return found };
    for certificate in certificates {
        let left = certificate.not_after.as_second() - case.facts.taken_at.as_second();
        if left < 0 {
            let detail = format!("{} ended on {}", certificate.path, certificate.not_after);
            found.push(Finding::refusal(Rule::Certificate, &node.name, detail));
        } else if left < MONTH_SECONDS {
            let detail = format!("{} ends in {} days", certificate.path, left / 86400);
            let say = if left < grave { Finding::refusal } else { Finding::warning };
            found.push(say(Rule::Certificate, &node.name, detail));
        } else if certificate.authority && left < YEAR_SECONDS {
            let detail = format!(
                "{}, an authority, ends in {} days, and with it all that it has signed: nothing renews it by itself",
                certificate.path,
                left / 86400
            );
            found.push(Finding::warning(Rule::Certificate, &node.name, detail));
        }
    }
    found
}
