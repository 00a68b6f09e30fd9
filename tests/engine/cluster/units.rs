//! Windlass's own scripts in memory: the token, the lock, and units that are started at most once and outlive everything
//! but a reboot.

use std::time::Duration;

use windlass::decide::call::Call;
use windlass::inventory::NodeName;
use windlass::remote::{Clock, Output, RemoteError};

use super::{Cluster, Later, State, Then, refused, said};

/// A unit on a machine.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    job: String,
    args: Vec<String>,
    ended: Option<i32>,
    gone: bool,
    fails: Option<i32>,
    uncordon_after: bool,
    begun: usize,
    /// When it was started, in seconds since 1970.
    pub(crate) since: i64,
}

impl Unit {
    pub(crate) fn runs(&self) -> bool {
        self.ended.is_none() && !self.gone
    }
}

/// A job that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) at: Duration,
    pub(crate) job: String,
    /// The machine that it changes: the one it runs on, or the one that it is about.
    pub(crate) subject: String,
    /// When and how it ended.
    pub(crate) ended: Option<(Duration, i32)>,
}

fn key(call: &Call, first: usize) -> String {
    format!("{}/{}", call.args[first], call.args[first + 1])
}

/// What the job changes: the node it runs on, or the Node object it names.
fn subject(node: &str, job: &str, args: &[String]) -> String {
    if matches!(job, "cordon" | "drain" | "uncordon") { args[0].clone() } else { node.to_owned() }
}

impl Cluster {
    pub(super) fn unit_start(&self, node: &NodeName, call: &Call) -> Result<Output, RemoteError> {
        let (answer, started) = self.start_if_new(node, call);
        if started {
            self.fuse.burn();
        }
        answer
    }

    fn start_if_new(&self, node: &NodeName, call: &Call) -> (Result<Output, RemoteError>, bool) {
        let now = self.clock.elapsed();
        let mut state = self.state();
        let (token, job) = (call.args[0].parse::<u64>().unwrap(), call.args[3].clone());
        let args = call.args[4..].to_vec();
        let subject = subject(node.as_str(), &job, &args);
        let then = state.sprung(&job, &subject);
        let lost = || RemoteError::InDoubt { node: node.clone(), cause: "connection reset".into() };
        match then {
            Some(Then::LoseRequest) => return (Err(lost()), false),
            Some(Then::Fence) => state.machine(node.as_str()).token += 10,
            _ => {}
        }
        let machine = state.machine(node.as_str());
        if token < machine.token {
            return (Ok(refused(3, machine.token)), false);
        }
        machine.token = token;
        let key = key(call, 1);
        if state.extra(node).units.contains_key(&key) {
            return (Ok(refused(4, "")), false);
        }
        let unit = Unit {
            fails: if let Some(Then::Fail(status)) = then { Some(status) } else { None },
            uncordon_after: then == Some(Then::UncordonAfter),
            ended: None,
            gone: false,
            begun: state.begun.len(),
            since: self.clock.now().as_second(),
            job: job.clone(),
            args,
        };
        let takes = if let Some(Then::Take(takes)) = then { takes } else { super::jobs::takes(&job) };
        state.begun.push(Begun { at: now, job, subject: subject.clone(), ended: None });
        state.extra_mut(node.as_str()).units.insert(key.clone(), unit);
        state.after(now + takes, Later::UnitEnds(node.to_string(), key.clone()));
        let answer = match then {
            Some(Then::LoseAnswer) => Err(lost()),
            Some(Then::OddStart) => Ok(refused(7, "")),
            _ => Ok(said(String::new())),
        };
        let soon = now + Duration::from_secs(1);
        match then {
            Some(Then::CutOff) => state.after(soon, Later::CutOff(node.to_string())),
            Some(Then::CutOffSubject) => state.after(soon, Later::CutOff(subject)),
            Some(Then::Reboot) => state.after(soon, Later::Reboots(node.to_string(), key)),
            Some(Then::Interrupt(times)) => {
                let interrupts = state.interrupts.clone().unwrap();
                for _ in 0..times {
                    interrupts.count_one();
                }
            }
            _ => {}
        }
        (answer, true)
    }
}

impl State {
    pub(super) fn unit_ends(&mut self, at: Duration, node: &str, key: &str) {
        let unit = self.extra[node].units[key].clone();
        if unit.gone {
            return;
        }
        let status = unit.fails.unwrap_or_else(|| self.job(at, node, &unit.job, &unit.args));
        if unit.uncordon_after {
            self.kube_node(&unit.args[0]).unschedulable = false;
        }
        self.begun[unit.begun].ended = Some((at, status));
        self.extra_mut(node).units.get_mut(key).unwrap().ended = Some(status);
    }

    /// The machine forgets its unit, and dpkg was half-way in it.
    pub(crate) fn reboot(&mut self, node: &str, key: &str) {
        let unit = self.extra_mut(node).units.get_mut(key).unwrap();
        unit.gone = true;
        let (job, args) = (unit.job.clone(), unit.args.clone());
        if job == "install-packages" {
            for (name, version) in args[2..].iter().filter_map(|spec| spec.split_once('=')) {
                let package = self.machine(node).packages.get_mut(name).unwrap();
                package.installed = Some(format!("{version} (half-configured)"));
                package.held = false;
            }
        }
    }

    pub(super) fn unit_runs(&self, node: &str, call: &Call) -> bool {
        self.extra[node].units.get(&key(call, 0)).is_some_and(Unit::runs)
    }

    pub(super) fn unit_report(&self, node: &str, call: &Call) -> Output {
        let offset: usize = call.args.get(3).map_or(0, |offset| offset.parse().unwrap());
        let unit = self.extra[node].units.get(&key(call, 0));
        let log = unit.map_or_else(String::new, |unit| format!("{} began\nand said more\n", unit.job));
        let state = match unit {
            None => "state never".to_owned(),
            Some(unit) => match (unit.ended, unit.gone) {
                (Some(status), _) => format!("state exited\nrc {status}"),
                (None, true) => "state gone".to_owned(),
                (None, false) => "state running".to_owned(),
            },
        };
        let tail =
            if call.args.len() > 2 { format!("next {}\nlog\n{}", log.len(), &log[offset..]) } else { String::new() };
        said(format!("{state}\nsize {}\n{tail}", log.len()))
    }

    pub(super) fn lock_take(&mut self, node: &str, call: &Call) -> Output {
        let (token, owner) = (call.args[0].parse::<u64>().unwrap(), &call.args[2]);
        let known = self.extra[node].owner.clone();
        let machine = self.machine(node);
        if let Some(json) = &machine.lock
            && known.as_ref() != Some(owner)
        {
            return refused(3, json);
        }
        if token <= machine.token {
            return refused(4, machine.token);
        }
        machine.token = token;
        machine.lock = Some(call.args[1].clone());
        self.extra_mut(node).owner = Some(owner.clone());
        said(String::new())
    }

    pub(super) fn lock_release(&mut self, node: &str, call: &Call) -> Output {
        let token: u64 = call.args[0].parse().unwrap();
        let machine = self.machine(node);
        if machine.lock.is_none() {
            return said(String::new());
        }
        if token != machine.token {
            return refused(3, machine.token);
        }
        machine.lock = None;
        self.extra_mut(node).owner = None;
        said(String::new())
    }

    pub(super) fn token_raise(&mut self, node: &str, call: &Call) -> Output {
        let token: u64 = call.args[0].parse().unwrap();
        let machine = self.machine(node);
        if token < machine.token {
            return refused(3, machine.token);
        }
        machine.token = token;
        said(String::new())
    }

    pub(super) fn put_file(&mut self, node: &str, call: &Call) -> Output {
        let token: u64 = call.args[0].parse().unwrap();
        let name = &call.args[1];
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-/".contains(c);
        let fenced = self.sprung("put-file", node) == Some(Then::Fence);
        assert!(name.starts_with("snapshots/") && name.chars().all(plain), "{name}");
        let machine = self.machine(node);
        machine.token += u64::from(fenced);
        if token < machine.token {
            return refused(3, machine.token);
        }
        machine.token = token;
        said(String::new())
    }
}
