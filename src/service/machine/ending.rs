//! From running to rest: the process gone first, then `post-stop`, and only then whatever follows.
//!
//! A running process that is to go, because somebody asked for it or because what it goes by has changed, is stopped
//! when `pre-stop` has ended, however that was. One that ends by itself, or for its lease, is past draining, and one
//! that is unwanted before its launch is through has nothing to drain: neither has a `pre-stop`.

use std::time::Duration;

use super::apply::Apply;
use super::event::{Action, Blame, EndedBy, HookEnd, ProcessEnd};
use super::{Gate, Machine, Phase, Process, Remedy, Timer, Trouble};
use crate::base::{Mono, Now};
use crate::plan::HookName;

/// For how long a member that has given the leader's seat back leaves it to the others: as long as an election in a
/// wide network takes. Nobody else may be able to take it.
const HAND_OVER: Duration = Duration::from_secs(5);
/// What a release that failed has for each of the hooks with which it goes: it is to be gone well within ten seconds.
const LEAVE: Duration = Duration::from_secs(2);

/// What follows an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing.
    Down,
    /// A start with the plan read anew.
    Load,
    /// A start, at once: what the process went by has changed.
    Again(Seat),
    /// The same, with another release.
    Swap(Seat),
    /// A start, after a pause.
    Backoff(Pause),
    /// Nothing until a person acts.
    Fail(String),
    /// The service goes.
    Unload,
}

/// What becomes of the leader's seat, should this member hold it, while its process is away for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    /// It is kept.
    Kept,
    /// It is given to another member once the process is gone, and not asked for before somebody has it.
    GivenBack,
}

/// The pause before a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) until: Mono,
    pub(super) why: String,
}

impl Then {
    pub(super) fn keeps_seat(&self) -> bool {
        match self {
            Then::Again(seat) | Then::Swap(seat) => *seat == Seat::Kept,
            Then::Backoff(_) => true,
            Then::Down | Then::Load | Then::Fail(_) | Then::Unload => false,
        }
    }

    /// What becomes of the seat from the end of the process to the next.
    fn seat(&self) -> Option<Seat> {
        match self {
            Then::Again(Seat::GivenBack) | Then::Swap(Seat::GivenBack) => Some(Seat::GivenBack),
            Then::Swap(Seat::Kept) => Some(Seat::Kept),
            Then::Again(Seat::Kept) | Then::Down | Then::Load | Then::Backoff(_) | Then::Fail(_) | Then::Unload => None,
        }
    }

    /// It goes to another release.
    pub(super) fn swap(&mut self, otherwise: Seat) {
        match self {
            Then::Again(seat) => *self = Then::Swap(*seat),
            Then::Backoff(_) | Then::Fail(_) => *self = Then::Swap(otherwise),
            // A restart reads what was accepted, too.
            Then::Swap(_) | Then::Load | Then::Down | Then::Unload => {}
        }
    }

    /// It is not to wait.
    pub(super) fn wake(&mut self) {
        match self {
            Then::Backoff(_) | Then::Fail(_) => *self = Then::Again(Seat::Kept),
            Then::Again(_) | Then::Swap(_) | Then::Load | Then::Down | Then::Unload => {}
        }
    }

    pub(super) fn why(&self) -> String {
        match self {
            Then::Backoff(pause) => pause.why.clone(),
            Then::Fail(why) => why.clone(),
            Then::Down | Then::Load | Then::Again(_) | Then::Swap(_) | Then::Unload => String::new(),
        }
    }

    /// Somebody wants it to run after all.
    pub(super) fn start_again(&mut self) {
        match self {
            Then::Down | Then::Fail(_) => *self = Then::Load,
            Then::Load | Then::Again(_) | Then::Swap(_) | Then::Backoff(_) | Then::Unload => {}
        }
    }
}

impl Machine {
    /// Somebody asked for an end, whatever goes on.
    pub(super) fn stop_asked(&mut self, then: Then, now: Now) {
        let why = if then == Then::Load { "restarting on request" } else { "stopped on request" };
        match &mut self.phase {
            // Once it is to be unloaded, it is.
            Phase::PreStop(Then::Unload)
            | Phase::Ending(Then::Unload)
            | Phase::PostStop(Then::Unload)
            | Phase::Uninstalling
            | Phase::Unloaded => {}
            Phase::PreStop(next) | Phase::Ending(next) | Phase::PostStop(next) => {
                *next = then;
                self.why = why.to_owned();
            }
            // Whether there is a process to end is known in a moment; `settle` sees to a stop then.
            Phase::Loading => {}
            Phase::Down if then == Then::Down => self.why = why.to_owned(),
            Phase::Waiting(_)
            | Phase::Installing
            | Phase::Preparing
            | Phase::Initializing(_)
            | Phase::Launching(_)
            | Phase::Starting
            | Phase::Up
            | Phase::Backoff
            | Phase::Down
            | Phase::Failed(_) => self.end(then, why.to_owned(), now),
        }
    }

    /// The service is to go, whatever goes on.
    pub(super) fn unload(&mut self, now: Now) {
        match &mut self.phase {
            // As for a stop: a process that may be there must be found first.
            Phase::Loading | Phase::Uninstalling | Phase::Unloaded => {}
            Phase::PreStop(next) | Phase::Ending(next) | Phase::PostStop(next) => *next = Then::Unload,
            Phase::Waiting(_)
            | Phase::Installing
            | Phase::Preparing
            | Phase::Initializing(_)
            | Phase::Launching(_)
            | Phase::Starting
            | Phase::Up
            | Phase::Backoff
            | Phase::Down
            | Phase::Failed(_) => self.end(Then::Unload, "unloading on request".to_owned(), now),
        }
    }

    /// Begins an end.
    pub(super) fn end(&mut self, then: Then, why: String, now: Now) {
        self.forget_timers();
        self.apply = Apply::Idle;
        self.troubles.clear();
        self.seat = then.seat();
        if let Some(track) = self.turn.as_mut().filter(|track| track.is_verifying()) {
            track.applying();
        }
        for &hook in &self.hooks {
            self.actions.push(Action::CancelHook(hook));
        }
        let runs = matches!(self.process, Process::Runs { .. });
        if runs && self.has(HookName::PreStop) {
            self.enter(Phase::PreStop(then), why, now);
            return self.run_last_hook(HookName::PreStop, now);
        }
        if runs {
            self.actions.push(Action::StopProcess);
        }
        self.enter(Phase::Ending(then), why, now);
        self.go_on_ending(now);
    }

    /// However the hook ended, the process is stopped now: a drain that fails does not keep anything running.
    pub(super) fn pre_stopped(&mut self, end: HookEnd, now: Now) {
        let Phase::PreStop(then) = self.phase.clone() else { return };
        if let HookEnd::Failed(how) = end {
            self.troubles.insert(Trouble::PreStop, format!("the pre-stop hook {how}"));
        }
        self.actions.push(Action::StopProcess);
        self.enter(Phase::Ending(then), self.why.clone(), now);
    }

    /// The process is gone.
    pub(super) fn exited(&mut self, end: &ProcessEnd, now: Now) {
        match self.phase.clone() {
            Phase::Starting | Phase::Up => self.exited_unasked(end, now),
            Phase::PreStop(then) => {
                self.process = Process::None;
                // Nothing is left to drain; what follows waits only until the hook is gone.
                self.actions.push(Action::CancelHook(HookName::PreStop));
                self.enter(Phase::Ending(then), self.why.clone(), now);
            }
            _ => self.process = Process::None,
        }
    }

    fn exited_unasked(&mut self, end: &ProcessEnd, now: Now) {
        match end.by {
            // Not its fault, and it is to be back as a follower as soon as it can.
            EndedBy::Lease => {
                self.process = Process::None;
                self.restarts = self.restarts.saturating_add(1);
                let why = "stopped by its shim, since the lease of the leader's seat ended un-renewed".to_owned();
                self.end(Then::Again(Seat::Kept), why, now);
            }
            EndedBy::Itself => self.back_off(format!("the process {}", end.how), Blame::Process, now),
            EndedBy::Request => {
                self.back_off(format!("somebody stopped the process, which {}", end.how), Blame::Process, now);
            }
        }
    }

    /// Goes on with an end once the process and the hooks are gone.
    pub(super) fn go_on_ending(&mut self, now: Now) {
        let Phase::Ending(then) = &self.phase else { return };
        if self.process != Process::None || !self.hooks.is_empty() {
            return;
        }
        let (then, why) = (then.clone(), self.why.clone());
        self.health = None;
        let ran = std::mem::take(&mut self.ran);
        if self.has(HookName::PostStop) && ran {
            self.enter(Phase::PostStop(then), why, now);
            self.run_last_hook(HookName::PostStop, now);
        } else {
            self.follow(then, why, now);
        }
    }

    /// Runs a hook with which a process goes: within what its plan allows, and within little if that plan has failed.
    fn run_last_hook(&mut self, hook: HookName, now: Now) {
        self.run_hook(hook);
        if self.leaves_failed() {
            self.arm(Timer::Leave, LEAVE, now);
        }
    }

    pub(super) fn post_stopped(&mut self, end: HookEnd, now: Now) {
        let Phase::PostStop(then) = self.phase.clone() else { return };
        let why = self.why.clone();
        self.follow(then, why, now);
        if let HookEnd::Failed(how) = end {
            self.troubles.insert(Trouble::PostStop, format!("the post-stop hook {how}"));
        }
    }

    fn follow(&mut self, then: Then, why: String, now: Now) {
        match then {
            Then::Down => self.rest(Phase::Down, why, now),
            Then::Load => self.load(now),
            Then::Again(_) | Then::Swap(_) => {
                if self.seat == Some(Seat::GivenBack) {
                    self.arm(Timer::HandOver, HAND_OVER, now);
                }
                self.enter(Phase::Waiting(Gate::Ring), why, now);
                if self.unwanted().is_none() {
                    self.pass_gates(now);
                }
            }
            Then::Backoff(pause) => {
                self.enter(Phase::Backoff, pause.why, now);
                self.timers.insert(Timer::Backoff, pause.until);
            }
            Then::Fail(why) => self.rest(Phase::Failed(Remedy::Command), why, now),
            Then::Unload => {
                if self.settings.installed && self.has(HookName::Uninstall) {
                    self.enter(Phase::Uninstalling, "running the uninstall hook".to_owned(), now);
                    self.run_hook(HookName::Uninstall);
                } else {
                    self.uninstalled(now);
                }
            }
        }
    }

    /// However the hook ended, it was the last thing that could be done for the service.
    pub(super) fn uninstalled(&mut self, now: Now) {
        self.actions.push(Action::ForgetInstallation);
        self.rest(Phase::Unloaded, "unloaded".to_owned(), now);
        self.actions.push(Action::End);
    }
}
