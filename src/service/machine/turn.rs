//! A member's turn in a rollout: how far it is, and when it is done or has failed.
//!
//! ```text
//! Granted -> Fetching -> Applying -> Verifying -> done | failed
//! ```
//!
//! A turn is judged more strictly than a service is watched: one critical check after the first that was ok is enough,
//! however many in a row it takes otherwise, since a release that is not sure to work is not one to go on with.

use std::time::Duration;

use super::Machine;
use super::event::{Action, Blame, HealthPolicy};
use crate::base::{Mono, Now, Wall};
use crate::census::Turn;
use crate::plan::{HookName, period};
use crate::records::value::{Health, TurnKind, TurnPhase, TurnReport};

/// How soon checks follow each other until the first that is ok.
const SEEKING: Duration = Duration::from_millis(250);
/// How far apart they are at most while it has to stay ok.
const WATCHING: Duration = Duration::from_secs(1);

/// How far a turn is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Granted,
    Fetching,
    Applying,
    Verifying(Verifying),
}

/// What the checks of a turn have said so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Verifying {
    /// Since when it is ok.
    ok_since: Option<Mono>,
    /// Whether it ever was.
    was_ok: bool,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Failed(String),
}

/// A turn under way.
#[derive(Debug, Clone)]
pub(super) struct Track {
    turn: Turn,
    /// When it must be ok.
    deadline: Mono,
    stage: Stage,
    /// The phase that was told last, and since when it is in it.
    told: (TurnPhase, Wall),
    /// What it waits for, while that is worth telling.
    why: String,
    /// What the last check said that was not ok.
    said: String,
}

impl Track {
    pub(super) fn begin(turn: Turn, now: Now) -> Self {
        let deadline = now.mono + Duration::from_millis(turn.options.deadline_ms);
        let told = (TurnPhase::Granted, now.wall);
        Self { turn, deadline, stage: Stage::Granted, told, why: String::new(), said: String::new() }
    }

    pub(super) fn is(&self, turn: &Turn) -> bool {
        (self.turn.rollout, self.turn.number) == (turn.rollout, turn.number)
    }

    pub(super) fn turn(&self) -> &Turn {
        &self.turn
    }

    /// Whether it leads back to what the member was: whatever still runs of what failed is not waited for.
    fn goes_back(&self) -> bool {
        match self.turn.kind {
            TurnKind::Restore | TurnKind::Back => true,
            TurnKind::Forward => false,
        }
    }

    pub(super) fn is_applying(&self) -> bool {
        self.stage == Stage::Applying
    }

    pub(super) fn is_verifying(&self) -> bool {
        matches!(self.stage, Stage::Verifying(_))
    }

    /// Whether the process has not been touched yet.
    pub(super) fn is_ahead(&self) -> bool {
        matches!(self.stage, Stage::Granted | Stage::Fetching)
    }

    /// The release is on its way; why it takes so long, if that is known.
    pub(super) fn fetching(&mut self, why: &str) {
        if self.is_ahead() {
            self.stage = Stage::Fetching;
            why.clone_into(&mut self.why);
        }
    }

    /// The process is being changed; perhaps once more.
    pub(super) fn applying(&mut self) {
        self.stage = Stage::Applying;
        self.why.clear();
    }

    /// It goes by the target, and has to prove itself.
    pub(super) fn verifying(&mut self) {
        self.stage = Stage::Verifying(Verifying::default());
        self.why.clear();
    }

    /// Takes a verdict of the health check, or that a process without one is up.
    #[must_use]
    pub(super) fn verdict(&mut self, health: Health, said: &str, now: Mono) -> Option<End> {
        let strict = self.turn.options.strict;
        let Stage::Verifying(verifying) = &mut self.stage else { return None };
        let ok = match health {
            Health::Ok => true,
            Health::Warning => !strict,
            Health::Critical | Health::Unknown => false,
        };
        if ok {
            verifying.was_ok = true;
            verifying.ok_since.get_or_insert(now);
            return self.look(Checking::No, now);
        }
        said.clone_into(&mut self.said);
        verifying.ok_since = None;
        if verifying.was_ok && health == Health::Critical {
            return Some(End::Failed(with("critical after it was ok", said)));
        }
        self.look(Checking::No, now)
    }

    /// Whether it has come to its end by now.
    #[must_use]
    pub(super) fn look(&self, checking: Checking, now: Mono) -> Option<End> {
        let ok_since = match &self.stage {
            Stage::Verifying(verifying) => verifying.ok_since,
            Stage::Granted | Stage::Fetching | Stage::Applying => None,
        };
        match ok_since {
            // A check that hangs must not be outwaited.
            Some(since) if now >= since + self.min_healthy() => (checking == Checking::No).then_some(End::Done),
            Some(_) => None,
            None => (now >= self.deadline).then(|| End::Failed(self.too_late())),
        }
    }

    fn too_late(&self) -> String {
        let deadline = period::format(Duration::from_millis(self.turn.options.deadline_ms));
        match &self.stage {
            Stage::Granted | Stage::Fetching => with(&format!("its release is not there after {deadline}"), &self.why),
            Stage::Applying => with(&format!("not up after {deadline}"), &self.why),
            Stage::Verifying(verifying) if verifying.was_ok => {
                with(&format!("ok once, and not any more after {deadline}"), &self.said)
            }
            Stage::Verifying(_) => with(&format!("not ok within {deadline}"), &self.said),
        }
    }

    /// When to look again; none if that is after the check that is under way.
    pub(super) fn due(&self, now: Mono) -> Option<Mono> {
        let due = match &self.stage {
            Stage::Verifying(Verifying { ok_since: Some(since), .. }) => *since + self.min_healthy(),
            Stage::Granted | Stage::Fetching | Stage::Applying | Stage::Verifying(_) => self.deadline,
        };
        (now < due).then_some(due)
    }

    /// How long to wait before the next check, of a service that would have it checked after `usual`.
    pub(super) fn pause(&self, usual: Duration, policy: HealthPolicy) -> Duration {
        match &self.stage {
            Stage::Verifying(Verifying { ok_since: Some(_), .. }) => policy.interval.min(WATCHING),
            Stage::Verifying(_) => usual.min(SEEKING),
            Stage::Granted | Stage::Fetching | Stage::Applying => usual,
        }
    }

    fn min_healthy(&self) -> Duration {
        Duration::from_millis(self.turn.options.min_healthy_ms)
    }

    fn phase(&self) -> TurnPhase {
        match self.stage {
            Stage::Granted => TurnPhase::Granted,
            Stage::Fetching => TurnPhase::Fetching,
            Stage::Applying => TurnPhase::Applying,
            Stage::Verifying(_) => TurnPhase::Verifying,
        }
    }

    /// Takes note of when it came into its phase.
    fn mark(&mut self, now: Wall) {
        if self.told.0 != self.phase() {
            self.told = (self.phase(), now);
        }
    }

    /// What is told of it while it is under way.
    pub(super) fn report(&self) -> TurnReport {
        let (phase, since) = self.told;
        let why = self.why.clone();
        TurnReport { rollout: self.turn.rollout, turn: self.turn.number, phase, why, output: String::new(), since }
    }

    /// What is told of its end. The driver adds the output.
    fn last_report(&self, end: End, now: Wall) -> TurnReport {
        let (phase, why) = match end {
            End::Done => (TurnPhase::Done, String::new()),
            End::Failed(why) => (TurnPhase::Failed, why),
        };
        TurnReport { phase, why, since: now, ..self.report() }
    }
}

/// Whether a check is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checking {
    Yes,
    No,
}

fn with(what: &str, said: &str) -> String {
    if said.is_empty() { what.to_owned() } else { format!("{what}: {said}") }
}

impl Machine {
    /// Something went wrong that a turn does not forgive. Outside of one this is nothing: what went wrong is dealt with
    /// where it did.
    pub(super) fn turn_failed(&mut self, why: impl Into<String>, blame: Blame) {
        if self.turn.as_ref().is_some_and(|track| track.is_applying() || track.is_verifying()) {
            self.end_turn(End::Failed(why.into()), blame);
        }
    }

    /// Ends the turn, and leaves the service as it is.
    pub(super) fn end_turn(&mut self, end: End, blame: Blame) {
        let Some(track) = self.turn.take() else { return };
        if end == End::Done {
            self.proven.clone_from(&self.target);
        }
        let report = track.last_report(end, self.seen.wall);
        self.ended = Some(report.clone());
        // Nobody took the seat: this member may have it back.
        self.seat = None;
        self.actions.push(Action::EndTurn { report, blame });
    }

    /// Outside of turns the member counts as what it goes by once that is in force, and at once if nothing runs.
    pub(super) fn prove(&mut self) {
        let is_there = self.accepting.is_none() && self.next_target() == self.target;
        if self.turn.is_none() && is_there && !self.is_after_turn() && (self.is_in_place() || !self.is_begun()) {
            self.proven.clone_from(&self.target);
        }
    }

    /// Whether the goal is still that of the turn that just ended here.
    fn is_after_turn(&self) -> bool {
        let turn = self.goal.as_ref().and_then(|goal| goal.turn.as_ref());
        turn.is_some_and(|turn| self.has_ended(turn))
    }

    /// Whether the turn leads back from one that failed, or the member goes back by itself.
    pub(super) fn goes_back(&self) -> bool {
        match &self.turn {
            Some(track) => track.goes_back(),
            None => self.ended.as_ref().is_some_and(|ended| ended.phase == TurnPhase::Failed),
        }
    }

    /// Whether it is on its way back from what failed here.
    pub(super) fn leaves_failed(&self) -> bool {
        self.goes_back() && self.ended.as_ref().is_some_and(|ended| ended.phase == TurnPhase::Failed)
    }

    /// Whether a turn is the one that ended last.
    pub(super) fn has_ended(&self, turn: &Turn) -> bool {
        self.ended.as_ref().is_some_and(|ended| (ended.rollout, ended.turn) == (turn.rollout, turn.number))
    }

    /// Goes on with the turn as far as the service has got.
    pub(super) fn go_on_with_turn(&mut self, now: Now) {
        if self.turn.as_ref().is_some_and(Track::is_applying) {
            if self.is_at_rest() {
                // It is not to run: nothing is there to be verified.
                self.end_turn(End::Done, Blame::Nothing);
            } else if self.is_in_place() {
                self.verify(now);
            } else if let Some(track) = &mut self.turn {
                // What it waits for, should it wait in vain.
                self.why.clone_into(&mut track.why);
            }
        }
        self.look_at_turn(now);
        self.prove();
        if let Some(track) = &mut self.turn {
            track.mark(now.wall);
        }
        if let Some(due) = self.turn.as_ref().and_then(|track| track.due(now.mono)) {
            self.timers.insert(super::Timer::Turn, due);
        } else {
            self.timers.remove(&super::Timer::Turn);
        }
    }

    pub(super) fn look_at_turn(&mut self, now: Now) {
        let checking = if self.checking { Checking::Yes } else { Checking::No };
        let Some(track) = &self.turn else { return };
        let blame = if track.is_verifying() { Blame::Hook(HookName::HealthCheck) } else { Blame::Nothing };
        if let Some(end) = track.look(checking, now.mono) {
            self.end_turn(end, blame);
        }
    }

    fn verify(&mut self, now: Now) {
        let Some(track) = &mut self.turn else { return };
        track.verifying();
        if self.health.is_some() {
            // One that runs already began before the change was through. The driver forgets it for this one.
            self.checking = true;
            self.timers.remove(&super::Timer::Health);
            self.actions.push(Action::CheckHealth);
        } else if let Some(end) = track.verdict(Health::Ok, "", now.mono) {
            self.end_turn(end, Blame::Nothing);
        }
    }

    /// A check has ended.
    pub(super) fn judge_turn(&mut self, health: Health, said: &str, now: Now) {
        if let Some(end) = self.turn.as_mut().and_then(|track| track.verdict(health, said, now.mono)) {
            self.end_turn(end, Blame::Hook(HookName::HealthCheck));
        }
    }
}
