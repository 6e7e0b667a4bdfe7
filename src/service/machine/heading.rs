//! From what the member is told to be to what it goes by: the release here, the target accepted and on the disk, and
//! only then anything changed.
//!
//! A target is accepted as a whole, and what is rendered is that of the accepted one: a config that belongs to the next
//! release never meets this one.

use super::apply::Apply;
use super::ending::{Seat, Then};
use super::event::{Action, Blame, Goal, Successor};
use super::turn::Track;
use super::{Gate, Machine, Phase, Process, RETRY_MIN, Timer, Trouble};
use crate::base::{Hash, Now};
use crate::census::When;
use crate::plan::HookName;
use crate::records::value::Target;

/// Which plan the machine goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlanOf {
    /// None was read yet, or it is to be read anew.
    Unread,
    /// That of this release (none: the one that the service was started from).
    Read(Option<Hash>),
    /// That of this release, and it makes no sense.
    Broken(Option<Hash>),
    /// This release is not on this node.
    Missing(Hash),
}

impl PlanOf {
    /// Which release that is; none if it is none.
    fn release(self) -> Option<Option<Hash>> {
        match self {
            PlanOf::Unread => None,
            PlanOf::Read(release) | PlanOf::Broken(release) => Some(release),
            PlanOf::Missing(release) => Some(Some(release)),
        }
    }
}

/// How far a release that is needed next has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetch {
    Idle,
    /// It is on its way.
    UnderWay(Hash),
    /// It is tried again after a while.
    Paused(Hash),
    /// It is here.
    Here(Hash),
}

/// How far the member is on its way to its goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Approach {
    /// It does not know what it is to be.
    Unknown,
    /// It waits for this.
    UnderWay(String),
    /// It has accepted it.
    Accepted,
}

impl Machine {
    pub(super) fn goal_told(&mut self, goal: Goal, now: Now) {
        match &goal.turn {
            Some(turn) if self.has_ended(turn) => self.turn = None,
            Some(turn) if self.turn.as_ref().is_some_and(|track| track.is(turn)) => {}
            Some(turn) => self.turn = Some(Track::begin(*turn, now)),
            None => self.turn = None,
        }
        if self.turn.is_none() {
            self.timers.remove(&Timer::Turn);
        }
        self.goal = Some(goal);
    }

    /// What to go by next; none while that is not known.
    pub(super) fn next_target(&self) -> Option<Target> {
        let goal = self.goal.as_ref()?;
        // A turn that ended leaves the member as it is, well or not, until it is told otherwise.
        if goal.turn.as_ref().is_some_and(|turn| self.has_ended(turn)) {
            return self.target.clone().or_else(|| Some(goal.target.clone()));
        }
        let mut next = goal.target.clone();
        if goal.release_when == When::NextStart && self.is_begun() {
            next.release = match &self.target {
                Some(target) => target.release,
                None => self.plan.release().flatten(),
            };
        }
        Some(next)
    }

    /// Whether a process runs, or is about to, or is about to be gone.
    pub(super) fn is_begun(&self) -> bool {
        match self.phase {
            Phase::Loading
            | Phase::Waiting(_)
            | Phase::Backoff
            | Phase::Down
            | Phase::Failed(_)
            | Phase::Uninstalling
            | Phase::Unloaded => false,
            Phase::Installing
            | Phase::Preparing
            | Phase::Initializing(_)
            | Phase::Launching(_)
            | Phase::Starting
            | Phase::Up
            | Phase::PreStop(_)
            | Phase::Ending(_)
            | Phase::PostStop(_) => true,
        }
    }

    /// Goes towards the goal as far as it goes without touching the service.
    pub(super) fn approach(&mut self) -> Approach {
        let Some(next) = self.next_target() else { return Approach::Unknown };
        if let Some(release) = next.release.filter(|release| !self.is_here(*release)) {
            self.fetch(release);
            let why = format!("waiting for release {}", release.short());
            return Approach::UnderWay(self.troubles.get(&Trouble::Release).cloned().unwrap_or(why));
        }
        // One that is being written down may be another: what the member goes by is about to change.
        if self.accepting.is_none() && self.target.as_ref() == Some(&next) {
            return Approach::Accepted;
        }
        if self.accepting.is_none() && !self.timers.contains_key(&Timer::Accept) {
            self.accepting = Some(next.clone());
            self.actions.push(Action::Accept(next, self.turn.as_ref().map(|track| *track.turn())));
        }
        Approach::UnderWay("writing down what it is to be".to_owned())
    }

    fn is_here(&self, release: Hash) -> bool {
        let read = matches!(self.plan, PlanOf::Read(Some(read)) | PlanOf::Broken(Some(read)) if read == release);
        read || self.fetch == Fetch::Here(release)
    }

    fn fetch(&mut self, release: Hash) {
        let is_under_way = match self.fetch {
            Fetch::UnderWay(other) | Fetch::Paused(other) => other == release,
            Fetch::Idle | Fetch::Here(_) => false,
        };
        if is_under_way {
            return;
        }
        self.troubles.remove(&Trouble::Release);
        self.timers.remove(&Timer::Fetch);
        self.retry = RETRY_MIN;
        self.fetch_again(release);
    }

    fn fetch_again(&mut self, release: Hash) {
        self.fetch = Fetch::UnderWay(release);
        self.actions.push(Action::Fetch(release));
        if let Some(track) = &mut self.turn {
            track.fetching(self.troubles.get(&Trouble::Release).map_or("", String::as_str));
        }
    }

    /// The pause after a failure is over.
    pub(super) fn fetch_due(&mut self) {
        if let Fetch::Paused(release) = self.fetch {
            self.fetch_again(release);
        }
    }

    pub(super) fn fetched(&mut self, release: Hash) {
        if self.fetch == Fetch::UnderWay(release) {
            self.troubles.remove(&Trouble::Release);
            self.fetch = Fetch::Here(release);
        }
    }

    pub(super) fn not_fetched(&mut self, release: Hash, why: String, now: Now) {
        if self.fetch != Fetch::UnderWay(release) {
            return;
        }
        self.fetch = Fetch::Paused(release);
        let why = format!("release {} cannot be had: {why}", release.short());
        if let Some(track) = &mut self.turn {
            track.fetching(&why);
        }
        self.troubles.insert(Trouble::Release, why);
        self.arm_retry(Timer::Fetch, now);
    }

    pub(super) fn accepted(&mut self, target: Target) {
        if self.accepting.as_ref() != Some(&target) {
            return;
        }
        self.accepting = None;
        self.troubles.remove(&Trouble::Target);
        self.moved = self.target.as_ref() != Some(&target);
        self.target = Some(target);
    }

    pub(super) fn not_accepted(&mut self, why: String, now: Now) {
        self.accepting = None;
        self.troubles.insert(Trouble::Target, why);
        self.arm_retry(Timer::Accept, now);
    }

    /// Goes by what was accepted, whatever goes on.
    pub(super) fn go_by_target(&mut self, now: Now) {
        let release = self.target_release();
        let begins = self.turn.as_ref().is_some_and(Track::is_ahead);
        if let Some(track) = self.turn.as_mut().filter(|_| begins) {
            track.applying();
        }
        let moved = std::mem::take(&mut self.moved);
        match self.plan.release() {
            Some(read) if read != release => self.swap(begins || moved, now),
            Some(_) | None if begins || (moved && self.goes_back()) => self.wake(moved, now),
            Some(_) | None => {}
        }
    }

    pub(super) fn target_release(&self) -> Option<Hash> {
        self.target.as_ref().and_then(|target| target.release)
    }

    /// Leaves the release that the service is at for the one that was accepted, which is news or was under way already.
    fn swap(&mut self, is_news: bool, now: Now) {
        let seat = self.seat_after_stop();
        match &mut self.phase {
            Phase::Installing
            | Phase::Preparing
            | Phase::Initializing(_)
            | Phase::Launching(_)
            | Phase::Starting
            | Phase::Up => self.end(Then::Swap(seat), "restarting: it goes to another release".to_owned(), now),
            Phase::Waiting(_) | Phase::Backoff | Phase::Failed(_) => self.load(now),
            Phase::PreStop(then) | Phase::Ending(then) | Phase::PostStop(then) => {
                then.swap(seat);
                if is_news {
                    self.cut_short();
                }
            }
            // What is being read is followed by what was accepted, and a service that rests has time.
            Phase::Loading | Phase::Down | Phase::Uninstalling | Phase::Unloaded => {}
        }
    }

    /// A turn begins, or the member goes back from one that failed: nothing that the service waits for after a failure is waited for any longer.
    fn wake(&mut self, moved: bool, now: Now) {
        match &mut self.phase {
            Phase::Backoff => {
                self.timers.remove(&Timer::Backoff);
                self.backoff.reset();
                self.enter(Phase::Waiting(Gate::Ring), String::new(), now);
            }
            Phase::Failed(_) => self.load(now),
            Phase::Installing | Phase::Preparing | Phase::Initializing(_) | Phase::Launching(_) if moved => {
                self.end(Then::Again(Seat::Kept), "restarting: its config has changed".to_owned(), now);
            }
            Phase::PreStop(then) | Phase::Ending(then) | Phase::PostStop(then) => {
                then.wake();
                self.cut_short();
            }
            Phase::Starting | Phase::Up if moved => self.cancel_reconfigure(),
            Phase::Starting
            | Phase::Up
            | Phase::Installing
            | Phase::Preparing
            | Phase::Initializing(_)
            | Phase::Launching(_)
            | Phase::Loading
            | Phase::Waiting(_)
            | Phase::Down
            | Phase::Uninstalling
            | Phase::Unloaded => {}
        }
    }

    /// Ends the hooks with which a release that failed would go: they get no time to hang.
    pub(super) fn cut_short(&mut self) {
        for hook in [HookName::PreStop, HookName::PostStop] {
            if self.leaves_failed() && self.hooks.contains(&hook) {
                self.actions.push(Action::CancelHook(hook));
            }
        }
    }

    /// A reconfiguration to what is not wanted any more is not waited for.
    fn cancel_reconfigure(&mut self) {
        if let Apply::Reconfiguring(to) = &self.apply {
            self.apply = Apply::Cancelled(to.clone());
            self.actions.push(Action::CancelHook(HookName::Reconfigure));
        }
    }

    /// Whether the seat that this member may hold outlasts a stop that is about to come. In a turn of its own the leader
    /// makes room for a member that is up: that takes a round trip, and starting takes as long as it takes.
    pub(super) fn seat_after_stop(&self) -> Seat {
        let hands_over = |track: &Track| track.is_applying() && track.turn().options.hand_over_leader;
        let hands_over = self.turn.as_ref().is_some_and(hands_over);
        if hands_over && self.leads() && self.successor == Successor::Ready { Seat::GivenBack } else { Seat::Kept }
    }

    /// Whether nothing runs, and nothing is to.
    pub(super) fn is_at_rest(&self) -> bool {
        let rests = matches!(self.phase, Phase::Down | Phase::Failed(_) | Phase::Unloaded);
        rests && self.process == Process::None && self.unwanted().is_some()
    }

    /// Whether the process goes by what was accepted.
    pub(super) fn is_in_place(&self) -> bool {
        let (Some(target), Some(applied)) = (&self.target, &self.applied) else { return false };
        let runs = matches!(self.phase, Phase::Starting | Phase::Up);
        let same = applied.release == target.release && applied.revision == target.config;
        // While something else is rendered it goes on as it is.
        let is_told = matches!(self.apply, Apply::Idle | Apply::Rendering);
        runs && same && is_told && self.unwanted().is_none()
    }

    /// The config of the target is not one that the plan takes. The process goes on with what it has.
    pub(super) fn config_refused(&mut self, why: &str) {
        self.turn_failed(why, Blame::Nothing);
    }
}
