//! What each job does to the cluster when it ends, and how long it takes. It holds the laws too: what would break one fails
//! the test.

use std::collections::BTreeMap;
use std::time::Duration;

use semver::Version;
use windlass::facts::{KubeadmConfig, Seen};

use super::{Later, State};

/// How long a job takes.
pub(super) fn takes(job: &str) -> Duration {
    Duration::from_secs(match job {
        "fetch-packages" => 10,
        "pull-images" => 15,
        "install-packages" | "restore-packages" => 5,
        "kubeadm-plan" | "drain" => 20,
        "kubeadm-apply" => 45,
        "kubeadm-node" => 12,
        "archive" | "cordon" | "uncordon" | "move-leader" => 1,
        "kubelet-restart" => 3,
        other => panic!("no built-in playbook starts {other}"),
    })
}

const SECOND: Duration = Duration::from_secs(1);

impl State {
    /// Does what the job does, and says how it ended.
    pub(super) fn job(&mut self, at: Duration, node: &str, job: &str, args: &[String]) -> i32 {
        match (job, args) {
            ("archive", [run, service, paths]) => self.archive(node, run, service, paths),
            ("fetch-packages", [run, former, specs @ ..]) => self.fetch(node, run, former, specs),
            ("restore-packages", [run, guard, holds, cluster, specs @ ..]) => {
                self.restore(at, node, run, (guard, holds, cluster), specs)
            }
            ("pull-images", [version, package, what]) => self.pull(node, version, package, what),
            ("install-packages", [guard, holds, specs @ ..]) => self.install(at, node, guard, holds, specs),
            ("kubeadm-plan", [version, ignore]) if ignore == "-" => self.kubeadm_is(node, version),
            ("kubeadm-apply", [version, ignore]) if ignore == "-" => self.kubeadm_apply(at, node, version),
            ("kubeadm-node", [ignore]) if ignore == "-" => self.kubeadm_node(at, node),
            ("cordon", [name, run]) => self.cordon(node, name, run),
            ("drain", [name, _, emptydir, force]) if emptydir == "no" && force == "no" => self.drain(node, name),
            ("uncordon", [name, run]) => self.uncordon(node, name, run),
            ("kubelet-restart", []) => self.restart_kubelet(at, node),
            ("move-leader", [_, _, _, own, others]) => self.move_leader(node, own, others),
            _ => panic!("no job {job} takes {args:?}"),
        }
    }

    fn fetch(&mut self, node: &str, run: &str, former: &str, specs: &[String]) -> i32 {
        self.keep(node, run, former, specs);
        for spec in specs {
            let (name, version) = spec.split_once('=').unwrap();
            let candidates = self.machine(node).packages[name].candidates.known().unwrap().clone();
            if !candidates.contains(&version.to_owned()) {
                return 100;
            }
            self.extra_mut(node).fetched.insert(spec.clone());
        }
        0
    }

    fn pull(&mut self, node: &str, version: &str, package: &str, what: &str) -> i32 {
        assert!(version.starts_with('v') && ["all-but-etcd", "worker"].contains(&what), "{version} {what}");
        if self.extra[node].fetched.contains(&format!("kubeadm={package}")) { 0 } else { 2 }
    }

    fn install(&mut self, at: Duration, node: &str, guard: &str, holds: &str, specs: &[String]) -> i32 {
        if guard != "-" {
            let parts: Vec<&str> = guard.split(';').collect();
            assert_eq!((parts[0], parts.len()), ("etcd", 7), "{guard}");
            if self.leads(node) || !self.others_answer(node) {
                return 75;
            }
        }
        for spec in specs {
            let (name, version) = spec.split_once('=').unwrap();
            assert!(self.extra[node].fetched.contains(spec), "{spec} was not downloaded to {node} before");
            let package = self.machine(node).packages.get_mut(name).unwrap();
            package.held = holds.split(',').any(|hold| hold == name) || package.held;
            let strange = self.strange_after_install.filter(|(name, _)| *name == node);
            let package = self.machine(node).packages.get_mut(name).unwrap();
            package.installed = Some(strange.map_or(version, |(_, version)| version).to_owned());
        }
        if guard != "-" {
            self.restart_member(at, node);
        }
        0
    }

    pub(super) fn restart_member(&mut self, at: Duration, node: &str) {
        let version = self.upstream(node, "etcd-server");
        self.member_runs(node, &version);
        self.extra_mut(node).member_away = true;
        if self.falls_sick(node, &version) {
            return;
        }
        self.after(at + 2 * SECOND, Later::MemberBack(node.to_owned()));
        if self.members_agree() || self.etcd_version_rises_at_once {
            self.after(at + 6 * SECOND, Later::ClusterVersion);
        }
    }

    /// The version of the package without the packager's part.
    fn upstream(&mut self, node: &str, package: &str) -> Version {
        let installed = self.machine(node).packages[package].installed.clone().unwrap();
        Version::parse(installed.split('-').next().unwrap()).unwrap()
    }

    fn kubeadm_is(&mut self, node: &str, version: &str) -> i32 {
        i32::from(format!("v{}", self.upstream(node, "kubeadm")) != version)
    }

    fn kubeadm_apply(&mut self, at: Duration, node: &str, version: &str) -> i32 {
        if self.kubeadm_is(node, version) != 0 {
            return 1;
        }
        let to = Version::parse(&version[1..]).unwrap();
        self.raise_components(at, node, &to);
        let config = format!("kubelet-config-{}.{}", to.major, to.minor);
        let api = self.api();
        if let Seen::Known(KubeadmConfig { version, .. }) = &mut api.kubeadm {
            *version = to.clone();
        }
        if let Seen::Known(names) = &mut api.kubelet_configs
            && !names.contains(&config)
        {
            names.push(config);
        }
        api.kube_proxy = Seen::Known(Some(format!("k8s.gcr.io/kube-proxy:v{to}")));
        0
    }

    fn kubeadm_node(&mut self, at: Duration, node: &str) -> i32 {
        let to = self.api().kubeadm.known().unwrap().version.clone();
        if self.upstream(node, "kubeadm") != to {
            return 1;
        }
        if self.machine(node).api_server.known().unwrap().is_some() {
            self.raise_components(at, node, &to);
        }
        0
    }

    /// Static pods of a control plane; its API server is back after three seconds.
    fn raise_components(&mut self, at: Duration, node: &str, to: &Version) {
        let away = self.extra.iter().find(|(other, extra)| other.as_str() != node && extra.api_away);
        assert!(away.is_none(), "{node} is raised while another API server is away (law 5)");
        let machine = self.machine(node);
        let names = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
        let pods = names.map(|name| (name.to_owned(), format!("k8s.gcr.io/{name}:v{to}")));
        machine.static_pods = Seen::Known(BTreeMap::from(pods));
        machine.api_server = Seen::Known(Some(to.clone()));
        self.extra_mut(node).api_away = true;
        self.after(at + 3 * SECOND, Later::ApiBack(node.to_owned()));
    }

    fn cordon(&mut self, via: &str, name: &str, run: &str) -> i32 {
        if !self.api_up(via) {
            return 1;
        }
        self.drained.remove(name);
        let node = self.kube_node(name);
        if !node.unschedulable {
            node.unschedulable = true;
            node.cordoned_by = Some(run.to_owned());
        }
        0
    }

    fn drain(&mut self, via: &str, name: &str) -> i32 {
        let cordoned = self.kube_node(name).unschedulable;
        if !self.api_up(via) || !cordoned {
            return 1;
        }
        self.drained.insert(name.to_owned());
        0
    }

    fn uncordon(&mut self, via: &str, name: &str, run: &str) -> i32 {
        if !self.api_up(via) {
            return 1;
        }
        let node = self.kube_node(name);
        if node.cordoned_by.as_deref() == Some(run) {
            assert!(node.ready(), "{name} is given back before it is Ready (law 6)");
            let reported = node.kubelet.known().unwrap().clone();
            (node.unschedulable, node.cordoned_by) = (false, None);
            assert_eq!(self.machine(name).kubelet_running.known().unwrap().as_ref(), Some(&reported), "{name} (law 6)");
        }
        0
    }

    /// The new kubelet is seen by the API after a second; on a control plane it restarts the static pods some seconds
    /// later, which is when an API server that answered is away once more.
    fn restart_kubelet(&mut self, at: Duration, node: &str) -> i32 {
        let to = self.upstream(node, "kubelet");
        let planes = self.facts.nodes.iter().filter_map(|node| node.machine.known()?.api_server.known()?.clone());
        let lowest = planes.min().unwrap();
        assert!(to <= lowest, "kubelet {to} on {node} is newer than API server {lowest} (law 5)");
        let former = self.machine(node).kubelet_running.known().unwrap().clone().unwrap();
        let schedulable = !self.kube_node(node).unschedulable || !self.drained.contains(node);
        assert!(former.minor == to.minor || !schedulable, "{node} was not drained (law 6)");
        self.machine(node).kubelet_running = Seen::Known(Some(to));
        self.after(at, Later::KubeletReports(node.to_owned()));
        if self.machine(node).api_server.known().unwrap().is_some() {
            self.after(at + 2 * SECOND, Later::ApiAway(node.to_owned()));
            self.after(at + 5 * SECOND, Later::ApiBack(node.to_owned()));
        }
        0
    }

    fn move_leader(&mut self, node: &str, own: &str, others: &str) -> i32 {
        assert!(own.starts_with("https://") && others.split(',').count() == 2, "{own} {others}");
        if self.leads(node) {
            self.lead_elsewhere(node);
        }
        0
    }
}
