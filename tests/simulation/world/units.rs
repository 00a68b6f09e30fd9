//! Units: started at most once, a sequence of small effects over time, outliving everything but a reboot.

use std::collections::VecDeque;
use std::time::Duration;

use windlass::decide::call::Call;
use windlass::remote::Output;

use super::jobs::Op;
use super::own::number;
use super::{At, Happened, Later, World, complained, refused, said};

/// How a unit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its exit status lies on disk.
    Told(i32),
    /// Only systemd remembers its status: there was no room for the file.
    Remembered(i32),
    /// It was cut off by a power loss.
    Lost,
}

/// A unit on a machine.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) job: String,
    /// What it has still to do: each after a while.
    pub(crate) ops: VecDeque<(Duration, Op)>,
    /// Names to hold when it ends, however it ends by itself.
    pub(crate) holds: Vec<String>,
    pub(crate) ended: Option<Ended>,
    /// It makes no progress.
    pub(crate) stuck: bool,
    /// The last line of its log.
    pub(crate) says: &'static str,
    /// What it printed for a program to read.
    pub(crate) printed: String,
    /// Its position among the jobs that began.
    pub(crate) begun: usize,
    /// When it was started, by the machine's clock, in seconds since 1970.
    pub(crate) since: i64,
}

/// A job that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) at: Duration,
    /// The machine that it runs on.
    pub(crate) on: At,
    pub(crate) run: String,
    pub(crate) unit: String,
    pub(crate) token: u64,
    pub(crate) job: String,
    pub(crate) args: Vec<String>,
    /// The machine that it changes: the one it runs on, or the one that it is about.
    pub(crate) subject: String,
    /// When and how it ended; 255 when it was cut off.
    pub(crate) ended: Option<(Duration, i32)>,
}

/// How a start is made different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Odd {
    /// It ends with this status and without effect.
    pub(crate) fails: Option<i32>,
    /// It ends with this status after all its work.
    pub(crate) fails_after: Option<i32>,
    /// Somebody puts this package of the machine at a version of theirs when it ends.
    pub(crate) stranger: Option<(&'static str, &'static str)>,
    /// Its last words.
    pub(crate) says: Option<&'static str>,
    /// It begins its work only after this time.
    pub(crate) idles: Duration,
    /// It makes no progress until somebody puts that right.
    pub(crate) stuck: bool,
    /// Somebody uncordons the node that it is about, when it ends.
    pub(crate) uncordons: bool,
}

fn key(call: &Call, first: usize) -> String {
    format!("{}/{}", call.args[first], call.args[first + 1])
}

/// What the job changes: the node it runs on, or the Node object it names.
pub(crate) fn subject(node: &str, job: &str, args: &[String]) -> String {
    let about = ["cordon", "drain", "uncordon", "drain-server", "return-server"];
    if about.contains(&job) { args[0].clone() } else { node.to_owned() }
}

impl World {
    pub(crate) fn unit_start(&mut self, at: At, call: &Call, odd: Odd) -> Output {
        let (token, job) = (number(&call.args[0]), call.args[3].clone());
        let args = call.args[4..].to_vec();
        if let Err(refusal) = self.raise(at, token) {
            return refusal;
        }
        let key = key(call, 1);
        if self.machines[at].own.units.contains_key(&key) {
            return refused(4, "");
        }
        if self.machines[at].full {
            return complained(6, "cannot make the unit's folder");
        }
        let begun = self.begun.len();
        let mut ops = match odd.fails {
            Some(status) => VecDeque::from([(super::SECOND * 2, Op::End(status))]),
            None => Self::program(&job, &args),
        };
        if odd.uncordons {
            ops.push_back((Duration::ZERO, Op::SomebodyUncordons(args[0].clone())));
        }
        if let Some((name, version)) = odd.stranger {
            ops.push_back((Duration::ZERO, Op::SomebodyInstalls(name, version)));
        }
        if let Some(status) = odd.fails_after {
            ops.push_back((Duration::ZERO, Op::End(status)));
        }
        ops.push_front((odd.idles, Op::Begin));
        self.begun.push(Begun {
            at: self.now,
            on: at,
            run: call.args[1].clone(),
            unit: call.args[2].clone(),
            token,
            subject: subject(&self.machines[at].name, &job, &args),
            job: job.clone(),
            args,
            ended: None,
        });
        let boot = self.machines[at].boot;
        let since = (self.real_time().as_millisecond() + self.machines[at].skew_ms) / 1000;
        let unit = Unit {
            job,
            ops,
            holds: Vec::new(),
            ended: None,
            stuck: odd.stuck,
            says: odd.says.unwrap_or("and said more"),
            printed: String::new(),
            begun,
            since,
        };
        self.machines[at].own.units.insert(key.clone(), unit);
        self.happened(Happened::Began { job: begun });
        self.next_op(at, &key, boot);
        said(String::new())
    }

    fn unit(&mut self, at: At, key: &str) -> &mut Unit {
        self.machines[at].own.units.get_mut(key).expect("a unit")
    }

    fn next_op(&mut self, at: At, key: &str, boot: u32) {
        match self.unit(at, key).ops.front() {
            Some((delay, _)) => {
                let delay = *delay;
                self.after(delay, Later::Unit(at, key.to_owned(), boot));
            }
            None => self.unit_ends(at, key, 0),
        }
    }

    pub(super) fn unit_goes_on(&mut self, at: At, key: &str, boot: u32) {
        if self.machines[at].boot != boot || self.unit(at, key).stuck {
            return;
        }
        let unit = self.unit(at, key);
        let begun = unit.begun;
        let Some((_, op)) = unit.ops.pop_front() else { return };
        self.acting = Some(begun);
        let went = self.perform(at, key, op);
        match went {
            Ok(()) => self.next_op(at, key, boot),
            Err(status) => self.unit_ends(at, key, status),
        }
        self.acting = None;
    }

    fn unit_ends(&mut self, at: At, key: &str, status: i32) {
        let holds = std::mem::take(&mut self.unit(at, key).holds);
        let (now, full) = (self.now, self.machines[at].full);
        for name in holds {
            self.machines[at].packages.get_mut(&name).expect("a package").held = true;
        }
        let unit = self.unit(at, key);
        unit.ops.clear();
        unit.ended = Some(if full { Ended::Remembered(status) } else { Ended::Told(status) });
        let begun = unit.begun;
        self.begun[begun].ended = Some((now, status));
    }

    /// A power loss: what runs is cut off, and what only systemd remembered is forgotten.
    pub(super) fn units_lost(&mut self, at: At) {
        let now = self.now;
        for unit in self.machines[at].own.units.values_mut() {
            match unit.ended {
                None => {
                    unit.ended = Some(Ended::Lost);
                    unit.ops.clear();
                    self.begun[unit.begun].ended = Some((now, 255));
                }
                Some(Ended::Remembered(_)) => unit.ended = Some(Ended::Lost),
                Some(_) => {}
            }
        }
    }

    /// Units that made no progress go on.
    pub(super) fn thaw(&mut self, at: At) {
        let machine = &mut self.machines[at];
        let boot = machine.boot;
        let mut stuck = Vec::new();
        for (key, unit) in &mut machine.own.units {
            if std::mem::take(&mut unit.stuck) && unit.ended.is_none() {
                stuck.push(key.clone());
            }
        }
        for key in stuck {
            self.next_op(at, &key, boot);
        }
    }

    pub(crate) fn unit_runs(&self, at: At, call: &Call) -> bool {
        self.machines[at].own.units.get(&key(call, 0)).is_some_and(|unit| unit.ended.is_none())
    }

    pub(super) fn unit_report(&self, at: At, call: &Call) -> Output {
        let offset = call.args.get(3).map_or(0, |offset| usize::try_from(number(offset)).expect("an offset"));
        let unit = self.machines[at].own.units.get(&key(call, 0));
        let log = unit.map_or_else(String::new, |unit| format!("{} began\n{}\n{}", unit.job, unit.says, unit.printed));
        let state = match unit.map(|unit| unit.ended) {
            None => "state never".to_owned(),
            Some(None) => "state running".to_owned(),
            Some(Some(Ended::Told(status) | Ended::Remembered(status))) => format!("state exited\nrc {status}"),
            Some(Some(Ended::Lost)) => "state gone".to_owned(),
        };
        let tail =
            if call.args.len() > 2 { format!("next {}\nlog\n{}", log.len(), &log[offset..]) } else { String::new() };
        said(format!("{state}\nsize {}\n{tail}", log.len()))
    }
}
