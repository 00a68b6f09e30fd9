//! Where the time of a run goes: waiting for units and conditions, remote commands, and what is left, which is Windlass's
//! own. Lanes that run at the same time share their moments: a moment counts as waiting when anything waits.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::remote::Clock;

/// A stopwatch over kinds of time.
#[derive(Debug, Default)]
pub struct Meter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    since: Duration,
    remote: u32,
    waiting: u32,
    spent: Spent,
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Waiting for units and conditions on nodes.
    pub waiting: Duration,
    /// In remote commands.
    pub remote: Duration,
    /// Neither: Windlass's own.
    pub own: Duration,
}

impl Spent {
    /// Windlass's own share, in percent.
    pub fn own_percent(&self) -> f64 {
        let all = (self.waiting + self.remote + self.own).as_secs_f64();
        if all > 0.0 { self.own.as_secs_f64() * 100.0 / all } else { 0.0 }
    }
}

/// Counts a kind of time while it lives.
pub struct Busy<'a> {
    meter: &'a Meter,
    clock: &'a dyn Clock,
    waits: bool,
}

impl Meter {
    /// A meter that begins now.
    pub fn start(clock: &dyn Clock) -> Self {
        Self { state: Mutex::new(State { since: clock.elapsed(), ..State::default() }) }
    }

    /// Remote commands run while the result lives.
    pub fn remote<'a>(&'a self, clock: &'a dyn Clock) -> Busy<'a> {
        self.enter(clock, false)
    }

    /// Something on a node is waited for while the result lives.
    pub fn waiting<'a>(&'a self, clock: &'a dyn Clock) -> Busy<'a> {
        self.enter(clock, true)
    }

    fn enter<'a>(&'a self, clock: &'a dyn Clock, waits: bool) -> Busy<'a> {
        self.turn(clock, |state| *state.counter(waits) += 1);
        Busy { meter: self, clock, waits }
    }

    /// Where the time went so far.
    pub fn spent(&self, clock: &dyn Clock) -> Spent {
        self.turn(clock, |_| {});
        self.state.lock().unwrap_or_else(PoisonError::into_inner).spent
    }

    fn turn(&self, clock: &dyn Clock, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock.elapsed();
        let passed = now.saturating_sub(state.since);
        state.since = now;
        if state.waiting > 0 {
            state.spent.waiting += passed;
        } else if state.remote > 0 {
            state.spent.remote += passed;
        } else {
            state.spent.own += passed;
        }
        change(&mut state);
    }
}

impl State {
    fn counter(&mut self, waits: bool) -> &mut u32 {
        if waits { &mut self.waiting } else { &mut self.remote }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.meter.turn(self.clock, |state| *state.counter(self.waits) -= 1);
    }
}
