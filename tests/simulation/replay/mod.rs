//! The simulation held to reality: what real machines answered in the lab, in the order in which they did, is asked of the
//! simulation too. Whatever changes something has to be answered alike. Whatever is looked at has to be seen alike: the
//! simulation's time goes on until it is, and when that never comes, the two disagree.
//!
//! A recording is made by the lab's chapters (`upgrade apply --record`), with a line between for all that was done to the
//! machines behind Windlass's back.

mod compare;
mod lookahead;
mod playback;

use std::time::Duration;

use serde::Deserialize;
use windlass::decide::call::{Call, Script};
use windlass::remote::Output;
use windlass::remote::recorded::{Answer, Asked, Began, Entry, Refusal};

use crate::world::units::Odd;
use crate::world::{At, World};
use compare::Sight;

/// How long the simulation may take to come to what the lab showed. A drain that waits for its budget takes longest.
const PATIENCE: Duration = Duration::from_secs(90);
/// The simulation's time goes on in such steps while it is behind.
const STEP: Duration = Duration::from_millis(500);

/// The longest between the last change that was seen of a machine and the loss of its power. The simulation's time stands
/// still while nothing else is seen, as long as a unit runs.
const LATEST_LOSS: Duration = Duration::from_secs(60);

/// A line of a recording.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    /// A process of Windlass's began; the one before it had ended or was killed.
    Began(Began),
    /// Something was done to the machines.
    Struck { struck: Vec<String> },
    /// Something was asked.
    Entry(Box<Entry>),
}

/// What a replay came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// Processes of Windlass's, most of them killed.
    processes: usize,
    /// Answers to what changes something.
    acts: usize,
    /// Answers to looks.
    looks: usize,
    /// Questions that were not answered, in both.
    silences: usize,
    /// Blows to the machines.
    blows: usize,
    /// What the simulation came to before the lab did: units that ended sooner.
    ahead: usize,
}

/// A machine lost its power at a moment that nobody wrote down: some time after the last thing that was seen. Any moment
/// that explains what was seen later will do, and the first one is taken.
#[derive(Clone)]
struct Fork {
    /// Where it is replayed from: the line at which the blow had fallen.
    line: usize,
    /// How it was before the blow.
    before: Box<Replay>,
    at: At,
    /// The next moment to be tried.
    moment: Duration,
}

#[derive(Clone)]
struct Replay {
    world: World,
    tally: Tally,
    /// Calls that were sent and not answered yet; when nobody ever answers, they may have had their effect.
    open: Vec<(At, Call)>,
    /// The machine whose `/usr` has no room.
    small: Option<At>,
    /// The operator reaches nobody.
    gated: bool,
    /// A blow that is about to fall on a machine, and whether it takes its power or only its network.
    falling: Option<(At, bool)>,
    /// The last loss of power.
    fork: Option<Fork>,
}

fn lines(recording: &str) -> Vec<Line> {
    let line = |(at, line): (usize, &str)| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("line {}: {error}: {line}", at + 1))
    };
    recording.lines().enumerate().map(line).collect()
}

impl Fork {
    /// The power fails at the next moment that was not tried.
    fn again(mut self) -> Replay {
        let mut replay = (*self.before).clone();
        let now = replay.world.now;
        replay.world.advance(now + self.moment, &mut |_| {});
        replay.world.power_off(self.at);
        // It boots when it is healed, as far as anybody can see.
        replay.world.cut_off(self.at, true);
        self.moment += STEP;
        replay.fork = Some(self);
        replay
    }
}

impl Replay {
    fn new(mut world: World) -> Self {
        world.waits_for_word = true;
        Self { world, tally: Tally::default(), open: Vec::new(), small: None, gated: false, falling: None, fork: None }
    }

    /// Replays line after line.
    fn run(mut self, lines: &[Line]) -> Self {
        let mut number = 0;
        while let Some(line) = lines.get(number) {
            let done = match line {
                Line::Began(began) => {
                    assert_eq!(began.windlass, env!("CARGO_PKG_VERSION"), "record the lab anew");
                    self.tally.processes += 1;
                    self.open_calls_are_settled(&lines[number..]);
                    Ok(())
                }
                Line::Struck { struck } => {
                    self.blow(&struck.iter().map(String::as_str).collect::<Vec<_>>(), number);
                    Ok(())
                }
                Line::Entry(entry) => {
                    if matches!(entry.answer, Some(Err(_))) {
                        self.cut_falls(entry, number);
                    }
                    self.entry(entry)
                }
            };
            number += 1;
            if let Err(why) = done {
                let fork = self.fork.take().filter(|fork| fork.moment < LATEST_LOSS);
                let fork = fork.unwrap_or_else(|| panic!("line {number}: {why}"));
                number = fork.line;
                self = fork.again();
            }
        }
        self
    }

    /// What was done to the machines.
    fn blow(&mut self, words: &[&str], line: usize) {
        self.tally.blows += 1;
        match words {
            // It takes the lab's command a while: until then the machine goes on, and answers.
            ["kill", node] => self.falling = Some((self.world.at(node), true)),
            ["cut", node] => self.falling = Some((self.world.at(node), false)),
            ["heal", node] => {
                let at = self.world.at(node);
                self.falls(at, line);
                self.world.cut_off(at, false);
            }
            ["operator-gate", change] => self.gated = *change == "-I",
            ["fill-usr", node] => self.small = Some(self.world.at(node)),
            ["make-room", node] => {
                self.small = None;
                let at = self.world.at(node);
                self.world.machines[at].full = false;
            }
            other => panic!("nobody knows the blow {other:?}"),
        }
    }

    /// The first silence tells that a blow has fallen.
    fn cut_falls(&mut self, entry: &Entry, line: usize) {
        if let Some(node) = &entry.node {
            let at = self.world.at(node.as_str());
            self.falls(at, line);
        }
    }

    fn falls(&mut self, at: At, line: usize) {
        match self.falling {
            Some((falling, power)) if falling == at => {
                self.falling = None;
                if power {
                    self.fork = None;
                    *self = Fork { line, before: Box::new(self.clone()), at, moment: Duration::ZERO }.again();
                } else {
                    self.world.cut_off(at, true);
                }
            }
            _ => {}
        }
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), String> {
        // The operator's own machine is not simulated.
        let Some(node) = &entry.node else { return Ok(()) };
        let at = self.world.at(node.as_str());
        let Some(answer) = &entry.answer else {
            if let Asked::Call(call) | Asked::Send(call) = &entry.asked {
                self.open.push((at, call.clone()));
            }
            return Ok(());
        };
        let answered = match (&entry.asked, answer) {
            (Asked::EtcdSnapshot(_), Err(refusal)) if refusal.local => Ok(()),
            (Asked::Call(call), Err(refusal)) => self.silence(at, Some(call), refusal),
            (_, Err(refusal)) => self.silence(at, None, refusal),
            (Asked::Call(call) | Asked::Send(call), Ok(Answer::Output(output))) if changes(call.script) => {
                self.act(at, call, output)
            }
            (asked, Ok(answer)) => self.look(at, asked, answer),
        };
        answered.map_err(|why| format!("{node} at {}, asked {}: {why}", entry.at, short(&entry.asked)))
    }

    /// What changes something has to be answered alike.
    fn act(&mut self, at: At, call: &Call, lab: &Output) -> Result<(), String> {
        self.tally.acts += 1;
        self.open.retain(|open| *open != (at, call.clone()));
        let own = self.perform(at, call);
        if (own.status, own.stdout.trim()) == (lab.status, lab.stdout.trim()) {
            return Ok(());
        }
        Err(format!("the lab answered {lab:?}, the simulation {own:?}"))
    }

    fn perform(&mut self, at: At, call: &Call) -> Output {
        if call.script != Script::UnitStart {
            return self.world.answer(at, call);
        }
        let answer = self.world.unit_start(at, &self.completed(call), Odd::default());
        // Windlass's own folder is elsewhere than the programs.
        if self.small == Some(at) && call.args[3] == "install-packages" {
            self.world.machines[at].full = true;
        }
        answer
    }

    /// The recordings are of jobs that were not told of stacked members yet.
    fn completed(&self, call: &Call) -> Call {
        let mut call = call.clone();
        let wanted = match call.args[3].as_str() {
            "pull-images" | "kubeadm-apply" | "kubeadm-node" => 6,
            "kubelet-restart" => 1,
            _ => return call,
        };
        if call.args[3] == "kubeadm-node" && call.args.len() == 5 {
            call.args.insert(4, format!("v{}", self.world.kube.version));
        }
        call.args.resize(4 + wanted, "-".to_owned());
        call
    }

    /// What is looked at has to be seen alike, now or soon.
    fn look(&mut self, at: At, asked: &Asked, answer: &Answer) -> Result<(), String> {
        self.tally.looks += 1;
        let lab = Sight::of(asked, answer)?;
        compare::steer(&mut self.world, &lab, answer);
        let limit = self.world.now + PATIENCE;
        loop {
            let own = Sight::now(&mut self.world, at, asked)?;
            if own == lab {
                self.settle_fork(at, asked);
                return Ok(());
            }
            if own.is_ahead_of(&lab) {
                self.tally.ahead += 1;
                return Ok(());
            }
            if self.world.now >= limit {
                return Err(format!("the lab showed\n  {lab:?}\nand the simulation never came to it:\n  {own:?}"));
            }
            let next = self.world.now + STEP;
            self.world.advance(next, &mut |_| {});
        }
    }

    /// The moment of a loss of power is found when all of its machine was seen as the lab saw it.
    fn settle_fork(&mut self, at: At, asked: &Asked) {
        let all = matches!(asked, Asked::Call(call) if call.script == Script::Probe && call.args[1] != "-");
        self.fork.take_if(|fork| fork.at == at && all);
    }

    /// Whoever sent them was killed: those had their effect of which something is seen later.
    fn open_calls_are_settled(&mut self, later: &[Line]) {
        for (at, call) in std::mem::take(&mut self.open) {
            if lookahead::had_effect(&self.world.machines[at].name, &call, later) {
                self.perform(at, &call);
            }
        }
    }

    /// What did not answer in the lab does not answer here.
    fn silence(&mut self, at: At, call: Option<&Call>, refusal: &Refusal) -> Result<(), String> {
        self.tally.silences += 1;
        if let Some(call) = call.filter(|call| changes(call.script) && refusal.in_doubt) {
            self.open.push((at, call.clone()));
        }
        let machine = &self.world.machines[at];
        let etcd = call.is_none() && self.world.etcd_status(at).is_err();
        if self.gated || machine.cut_off || !machine.up || etcd {
            return Ok(());
        }
        if call.is_none() {
            let limit = self.world.now + PATIENCE;
            while self.world.now < limit {
                let next = self.world.now + STEP;
                self.world.advance(next, &mut |_| {});
                if self.world.etcd_status(at).is_err() {
                    return Ok(());
                }
            }
        }
        Err(format!("it was silent in the lab ({}), and answers in the simulation", refusal.causes.join(": ")))
    }
}

fn changes(script: Script) -> bool {
    !matches!(script, Script::Probe | Script::Api | Script::UnitStatus | Script::UnitWait)
}

fn short(asked: &Asked) -> String {
    match asked {
        Asked::Call(call) | Asked::Send(call) => {
            let args: Vec<&str> = call.args.iter().map(|arg| arg.get(..60).unwrap_or(arg)).collect();
            format!("{:?} {args:?}", call.script)
        }
        other => format!("{other:?}"),
    }
}

/// Replays a recording; panics where the two disagree.
async fn replayed(recording: &[u8]) -> Tally {
    let text = zstd::decode_all(recording).expect("zstd");
    let lines = lines(std::str::from_utf8(&text).expect("text"));
    let replay = Replay::new(World::new(playback::facts(&lines).await)).run(&lines);
    println!("{} lines: {:?}, {:.0} s of simulated time", lines.len(), replay.tally, replay.world.now.as_secs_f64());
    replay.tally
}

#[tokio::test(start_paused = true)]
async fn the_lab_with_every_fault_is_what_the_simulation_makes_of_it() {
    let tally = replayed(include_bytes!("../../fixtures/recordings/faults.jsonl.zst")).await;
    assert!(tally.acts > 100 && tally.looks > 500 && tally.silences > 20 && tally.blows == 14, "{tally:?}");
}

#[tokio::test(start_paused = true)]
async fn the_lab_killed_thirty_times_is_what_the_simulation_makes_of_it() {
    let tally = replayed(include_bytes!("../../fixtures/recordings/storm.jsonl.zst")).await;
    assert!(tally.acts > 200 && tally.looks > 1000 && tally.blows == 0, "{tally:?}");
}
