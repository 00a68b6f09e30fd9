//! The jobs of a restore that work on static pods and containers, run here with `sh` against a root of the test's own. What
//! they do to etcd is tried out on real members, in `tests/etcd_restore`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};

use super::Script;
use super::job_tests::Fakes;

/// A machine with static pods, and processes that stand for their containers.
pub(super) struct Machine {
    pub(super) fakes: Fakes,
    processes: Vec<Child>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Machine {
    pub(super) fn new(pods: &[&str]) -> Self {
        Self::with(pods, &[("systemctl", "echo 0"), ("crictl", "")])
    }

    pub(super) fn with(pods: &[&str], programs: &[(&str, &str)]) -> Self {
        let machine = Self { fakes: Fakes::new(programs), processes: Vec::new() };
        fs::create_dir_all(machine.path("etc/kubernetes/manifests")).expect("a folder");
        for pod in pods {
            fs::write(machine.path(&format!("etc/kubernetes/manifests/{pod}.yaml")), pod).expect("a manifest");
        }
        machine
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.fakes.path().join("from").join(name)
    }

    /// A container, as containerd keeps it: it ends by itself after `seconds`.
    pub(super) fn container(&mut self, id: &str, name: &str, seconds: &str) {
        let process = Command::new("sleep").arg(seconds).spawn().expect("sleep runs");
        task(&self.path(""), id, name, process.id());
        self.processes.push(process);
    }

    pub(super) fn manifests(&self) -> Vec<String> {
        names(self.path("etc/kubernetes/manifests"))
    }
}

fn task(from: &std::path::Path, id: &str, name: &str, pid: u32) {
    let task = from.join("run/containerd/io.containerd.runtime.v2.task/k8s.io").join(id);
    fs::create_dir_all(&task).expect("a folder");
    let config = format!(r#"{{"annotations":{{"io.kubernetes.cri.container-name":"{name}"}}}}"#);
    fs::write(task.join("config.json"), config).expect("written");
    fs::write(task.join("init.pid"), pid.to_string()).expect("written");
}

pub(super) fn names(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

pub(super) const RUN: &str = "0123456789ab";

#[test]
fn static_pods_are_taken_away_until_they_are_gone_and_given_back() {
    let mut machine = Machine::new(&["etcd", "kube-apiserver", "kube-scheduler"]);
    machine.container("c1", "kube-apiserver", "2");
    machine.container("c2", "somebody-else", "60");
    // The process that ends is this test's child: somebody has to take note of it.
    let mut ends = machine.processes.remove(0);
    let reaper = std::thread::spawn(move || ends.wait());
    let pods = [RUN, "kube-apiserver,kube-scheduler"];
    assert_eq!(machine.fakes.run(Script::StopStaticPods, &pods), (0, String::new()));
    assert!(reaper.is_finished(), "it did not wait for the container");
    assert_eq!(machine.manifests(), ["etcd.yaml"]);
    let aside = machine.path(&format!("etc/kubernetes/windlass-{RUN}"));
    assert_eq!(names(aside.clone()), ["kube-apiserver.yaml", "kube-scheduler.yaml"]);
    assert_eq!(fs::metadata(&aside).expect("a folder").permissions().mode() & 0o777, 0o700);
    // Half done, or done twice, it ends the same.
    assert_eq!(machine.fakes.run(Script::StopStaticPods, &pods), (0, String::new()));

    assert_eq!(machine.fakes.run(Script::StartStaticPods, &[RUN, "kube-apiserver"]), (0, String::new()));
    assert_eq!(machine.manifests(), ["etcd.yaml", "kube-apiserver.yaml"]);
    assert_eq!(names(aside.clone()), ["kube-scheduler.yaml"]);
    assert_eq!(machine.fakes.run(Script::StartStaticPods, &pods), (0, String::new()));
    assert!(!aside.exists(), "an empty folder is left");
}

/// A virtual cluster's etcd runs on, and is none of ours.
#[test]
fn containers_of_other_namespaces_are_not_waited_for() {
    let mut machine = Machine::with(&["etcd"], &[("systemctl", "echo 0"), ("crictl", ""), ("sleep", "")]);
    machine.container("c1", "etcd", "60");
    let config = machine.path("run/containerd/io.containerd.runtime.v2.task/k8s.io/c1/config.json");
    let of = |namespace: &str| {
        let name = r#""io.kubernetes.cri.container-name":"etcd""#;
        let config_text =
            format!(r#"{{"annotations":{{{name},"io.kubernetes.cri.sandbox-namespace":"{namespace}"}}}}"#);
        fs::write(&config, config_text).expect("written");
    };
    of("tenant");
    assert_eq!(machine.fakes.run(Script::StopStaticPods, &[RUN, "etcd"]), (0, String::new()));
    of("kube-system");
    let (status, said) = machine.fakes.run(Script::StopStaticPods, &[RUN, "etcd"]);
    assert!(status == 1 && said.contains("still running: c1 "), "{status} {said}");
}

/// Silence is not that nothing runs.
#[test]
fn a_runtime_that_does_not_tell_what_runs_is_not_believed_to_run_nothing() {
    let broken = [("systemctl", "echo 0"), ("crictl", "echo 'no connection' >&2; exit 1"), ("sleep", "")];
    let machine = Machine::with(&["etcd"], &broken);
    let (status, said) = machine.fakes.run(Script::StopStaticPods, &[RUN, "etcd"]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("the container runtime does not tell what runs"), "{said}");
    let (status, said) = machine.fakes.run(Script::RestartContainers, &["kube-proxy"]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("the container runtime does not tell what runs"), "{said}");
    let machine = Machine::with(&["etcd"], &[("systemctl", "echo 0"), ("crictl", "echo abc"), ("sleep", "")]);
    let (status, said) = machine.fakes.run(Script::StopStaticPods, &[RUN, "etcd"]);
    assert!(status == 1 && said.contains("still running: abc 0"), "{status} {said}");
    let asked = "crictl ps --quiet --name ^etcd$ --label io.kubernetes.pod.namespace=kube-system";
    assert_eq!(machine.fakes.calls("crictl").first().map(String::as_str), Some(asked));
}

#[test]
fn a_manifest_that_is_in_neither_place_or_in_both_is_nobodys_to_move() {
    let machine = Machine::new(&["kube-scheduler"]);
    for script in [Script::StopStaticPods, Script::StartStaticPods] {
        let (status, said) = machine.fakes.run(script, &[RUN, "kube-scheduler,kube-apiserver"]);
        assert!(status == 75 && said.contains("no kube-apiserver.yaml"), "{status} {said}");
    }
    assert_eq!(machine.manifests(), ["kube-scheduler.yaml"]);
    let aside = machine.path(&format!("etc/kubernetes/windlass-{RUN}"));
    fs::create_dir_all(&aside).expect("a folder");
    fs::write(aside.join("kube-scheduler.yaml"), "former").expect("written");
    for script in [Script::StopStaticPods, Script::StartStaticPods] {
        let (status, said) = machine.fakes.run(script, &[RUN, "kube-scheduler"]);
        assert!(status == 75 && said.contains("another kube-scheduler.yaml"), "{status} {said}");
    }
    assert_eq!(fs::read_to_string(aside.join("kube-scheduler.yaml")).expect("it is there"), "former");
}

#[test]
fn containers_are_ended_and_waited_for_until_they_run_anew() {
    let mut machine = Machine::new(&[]);
    assert_eq!(machine.fakes.run(Script::RestartContainers, &["kube-proxy,calico-node"]), (0, String::new()));
    machine.container("c1", "kube-proxy", "60");
    machine.container("c2", "somebody-else", "60");
    let (mut ends, from) = (machine.processes.remove(0), machine.path(""));
    let kubelet = std::thread::spawn(move || {
        ends.wait().expect("it ends");
        let anew = Command::new("sleep").arg("60").spawn().expect("sleep runs");
        task(&from, "c3", "kube-proxy", anew.id());
        anew
    });
    let job = machine.fakes.run(Script::RestartContainers, &["kube-proxy,calico-node"]);
    machine.processes.push(kubelet.join().expect("the kubelet"));
    assert_eq!(job, (0, String::new()));
    assert!(machine.processes[0].try_wait().expect("a state").is_none(), "another's container was ended");
}

#[test]
fn a_service_that_is_stopped_stays_so() {
    let machine = Machine::new(&[]);
    assert_eq!(machine.fakes.run(Script::StopEtcd, &[RUN, "etcd"]), (0, String::new()));
    let condition = machine.path("etc/systemd/system/etcd.service.d/windlass-restore.conf");
    let text = fs::read_to_string(&condition).expect("it is there");
    assert!(text.contains(RUN) && text.ends_with("[Unit]\nConditionPathExists=!/\n"), "{text}");
    assert_eq!(
        machine.fakes.calls("systemctl"),
        ["systemctl daemon-reload", "systemctl stop etcd", "systemctl show -p MainPID --value etcd"]
    );
    assert_eq!(machine.fakes.run(Script::StartEtcd, &[RUN, "etcd"]), (0, String::new()));
    assert!(!condition.exists());
    assert_eq!(machine.fakes.calls("systemctl").last().map(String::as_str), Some("systemctl start --no-block etcd"));
}
