//! From loaded to launched.

use std::collections::BTreeSet;
use std::time::Duration;

use super::apply::Apply;
use super::backoff::Next;
use super::ending::{Pause, Seat, Then};
use super::event::{Action, Applied, Blame, HealthPolicy, HookEnd, RestartPolicy, Role, Settings};
use super::heading::{Approach, Fetch, PlanOf};
use super::health::HealthTrack;
use super::{Gate, Machine, Phase, Process, RETRY_MIN, Remedy, Timer, Trouble};
use crate::base::{Hash, Now, Wall};
use crate::plan::{HookName, period};
use crate::records::value::Topology;
use crate::service::handle::RingState;
use crate::service::spec::BindingMode;

impl Settings {
    /// What goes for a process that was adopted although its plan cannot be read: no hooks, no checks.
    pub(super) fn without_plan(topology: Topology) -> Self {
        Self {
            topology,
            binding_mode: BindingMode::Strict,
            hooks: BTreeSet::new(),
            installed: false,
            restart: RestartPolicy {
                min_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(30),
                cooldown: Duration::from_secs(60),
                give_up_after: 0,
            },
            health: None,
        }
    }
}

impl Machine {
    /// Reads the plan anew.
    pub(super) fn load(&mut self, now: Now) {
        self.rest(Phase::Loading, String::new(), now);
        self.backoff.reset();
        self.plan = PlanOf::Unread;
        self.reading = self.target_release();
        self.actions.push(Action::Load(self.reading));
    }

    pub(super) fn start_asked(&mut self, now: Now) {
        match &mut self.phase {
            Phase::PreStop(then) | Phase::Ending(then) | Phase::PostStop(then) => then.start_again(),
            Phase::Failed(_) | Phase::Down | Phase::Backoff => self.load(now),
            Phase::Loading
            | Phase::Waiting(_)
            | Phase::Installing
            | Phase::Preparing
            | Phase::Initializing(_)
            | Phase::Launching(_)
            | Phase::Starting
            | Phase::Up
            | Phase::Uninstalling
            | Phase::Unloaded => {}
        }
    }

    pub(super) fn plan_read(&mut self, settings: Settings) {
        self.troubles.clear();
        self.plan = PlanOf::Read(self.reading);
        self.settings = settings;
    }

    pub(super) fn plan_failed(&mut self, why: String) {
        self.plan = PlanOf::Broken(self.reading);
        self.troubles.insert(Trouble::Plan, why);
    }

    /// The release that was to be read is not here. What was said of it before goes for nothing.
    pub(super) fn release_missing(&mut self, release: Hash, now: Now) {
        self.plan = PlanOf::Missing(release);
        self.troubles.insert(Trouble::Plan, format!("release {} is not on this node", release.short()));
        if self.fetch == Fetch::Here(release) {
            self.fetch = Fetch::Paused(release);
            self.arm_retry(Timer::Fetch, now);
        }
    }

    /// A process that already runs is up, whatever else is known.
    pub(super) fn adopted(&mut self, pid: u32, since: Wall, applied: Option<Applied>, now: Now) {
        self.process = Process::Runs { pid, since: now.mono };
        self.ran = true;
        self.applied = applied;
        self.apply = Apply::Idle;
        self.settled = false;
        self.dirty = true;
        self.bound = true;
        self.settings.installed = true;
        self.watch_health(now);
        self.enter(Phase::Up, String::new(), now);
        self.since = since;
    }

    pub(super) fn nothing_to_adopt(&mut self, now: Now) {
        let Phase::Loading = self.phase else { return };
        match (self.plan, self.troubles.get(&Trouble::Plan).cloned()) {
            (PlanOf::Broken(_), Some(why)) => {
                self.turn_failed(why.as_str(), Blame::Nothing);
                self.rest(Phase::Failed(Remedy::Command), why, now);
            }
            // It is fetched before the start, if it is still what is wanted then.
            (PlanOf::Missing(_) | PlanOf::Broken(_) | PlanOf::Unread | PlanOf::Read(_), _) => {
                self.troubles.remove(&Trouble::Plan);
                self.enter(Phase::Waiting(Gate::Ring), String::new(), now);
            }
        }
    }

    /// Goes through the gates that are open, and into the first that is shut.
    pub(super) fn pass_gates(&mut self, now: Now) {
        if self.ring == RingState::Joining {
            let why = "waiting until this node has joined the ring and knows its state";
            return self.enter(Phase::Waiting(Gate::Ring), why.to_owned(), now);
        }
        match self.approach() {
            Approach::Unknown => {
                let why = "waiting until this node knows what the member is to be";
                return self.enter(Phase::Waiting(Gate::Ring), why.to_owned(), now);
            }
            Approach::UnderWay(why) => return self.enter(Phase::Waiting(Gate::Release), why, now),
            Approach::Accepted if self.plan != PlanOf::Read(self.target_release()) => return self.load(now),
            Approach::Accepted => {}
        }
        if !self.settings.installed && self.has(HookName::Install) {
            self.enter(Phase::Installing, "running the install hook".to_owned(), now);
            return self.run_hook(HookName::Install);
        }
        let waits_for_binds = self.settings.binding_mode == BindingMode::Strict && !self.bound;
        if waits_for_binds && !self.unmet_binds.is_empty() {
            let why = format!("waiting for {}", self.unmet_binds.join("; "));
            return self.enter(Phase::Waiting(Gate::Binds), why, now);
        }
        self.bound = true;
        if let Role::Leaderless(why) = &self.role {
            let why = format!("waiting for a leader: {why}");
            return self.enter(Phase::Waiting(Gate::Leader), why, now);
        }
        if self.seat == Some(Seat::GivenBack) && self.role != Role::Follower {
            let why = "waiting until another member leads";
            return self.enter(Phase::Waiting(Gate::Leader), why.to_owned(), now);
        }
        self.dirty = false;
        self.enter(Phase::Preparing, "rendering".to_owned(), now);
        self.actions.push(Action::Render);
    }

    pub(super) fn installed(&mut self, end: HookEnd, now: Now) {
        match end {
            HookEnd::Done => {
                self.settings.installed = true;
                self.actions.push(Action::RememberInstallation);
                self.enter(Phase::Waiting(Gate::Ring), String::new(), now);
            }
            HookEnd::Failed(how) => {
                let why = format!("the install hook {how}");
                self.turn_failed(why.as_str(), Blame::Hook(HookName::Install));
                self.rest(Phase::Failed(Remedy::Command), why, now);
            }
        }
    }

    /// The files for a start are there.
    pub(super) fn prepared(&mut self, rendered: Applied, now: Now) {
        if self.has(HookName::Init) {
            self.enter(Phase::Initializing(rendered), "running the init hook".to_owned(), now);
            self.run_hook(HookName::Init);
        } else {
            self.launch(rendered, now);
        }
    }

    /// The files for a start are not there. With those of an earlier start the process runs as it did before.
    pub(super) fn not_prepared(&mut self, why: String, now: Now) {
        self.turn_failed(why.as_str(), Blame::Nothing);
        match self.applied.clone() {
            // Those of another release are no files for this one.
            Some(earlier) if earlier.told == self.role.told() && earlier.release == self.target_release() => {
                self.troubles.insert(Trouble::Render, why);
                self.prepared(earlier, now);
            }
            Some(_) | None => {
                self.apply = Apply::Idle;
                self.rest(Phase::Failed(Remedy::NewContext), why, now);
                self.arm_retry(Timer::Apply, now);
            }
        }
    }

    pub(super) fn initialized(&mut self, end: HookEnd, now: Now) {
        let Phase::Initializing(rendered) = self.phase.clone() else { return };
        match end {
            HookEnd::Done => self.launch(rendered, now),
            HookEnd::Failed(how) => self.back_off(format!("the init hook {how}"), Blame::Hook(HookName::Init), now),
        }
    }

    fn launch(&mut self, rendered: Applied, now: Now) {
        if rendered.told != self.role.told() || rendered.release != self.target_release() {
            // The seat went to somebody else, or came here, while `init` ran: a process must not begin as a leader
            // that it is not. Nor as a release that is not what the member goes by any more.
            return self.enter(Phase::Waiting(Gate::Ring), String::new(), now);
        }
        self.process = Process::Launching;
        self.actions.push(Action::Launch(rendered.clone()));
        self.enter(Phase::Launching(rendered), "launching the process".to_owned(), now);
    }

    pub(super) fn launched(&mut self, pid: u32, now: Now) {
        self.process = Process::Runs { pid, since: now.mono };
        self.launches += 1;
        self.ran = true;
        match self.phase.clone() {
            Phase::Launching(rendered) => {
                self.actions.push(Action::Remember(rendered.clone()));
                self.applied = Some(rendered);
                self.apply = Apply::Idle;
                self.settled = true;
                self.seat = None;
                self.retry = RETRY_MIN;
                self.watch_health(now);
                if self.health.is_some() {
                    self.enter(Phase::Starting, String::new(), now);
                } else {
                    self.up(now);
                }
            }
            // It was unwanted before it was there.
            _ => self.actions.push(Action::StopProcess),
        }
    }

    pub(super) fn launch_failed(&mut self, why: String, now: Now) {
        self.process = Process::None;
        if let Phase::Launching(_) = self.phase {
            self.back_off(why, Blame::Nothing, now);
        }
    }

    fn watch_health(&mut self, now: Now) {
        self.checking = false;
        self.health = self.settings.health.map(|policy: HealthPolicy| HealthTrack::new(policy, now.mono));
        if self.health.is_some() {
            self.timers.insert(Timer::Health, now.mono);
        }
    }

    pub(super) fn up(&mut self, now: Now) {
        self.enter(Phase::Up, String::new(), now);
        if self.has(HookName::PostRun) {
            self.run_hook(HookName::PostRun);
        }
    }

    /// Starts again after a while, or gives up.
    pub(super) fn back_off(&mut self, why: String, blame: Blame, now: Now) {
        self.turn_failed(why.as_str(), blame);
        let up_since = match self.process {
            Process::Runs { since, .. } => Some(since),
            Process::None | Process::Launching => None,
        };
        let next = self.backoff.failed(&self.settings.restart, up_since, now.mono);
        self.restarts = self.restarts.saturating_add(1);
        let then = match next {
            Next::After(delay) => {
                let why = format!("{why}; started again after {}", period::format(delay));
                Then::Backoff(Pause { until: now.mono + delay, why })
            }
            Next::GiveUp(runs) => Then::Fail(format!("{why}; given up after {runs} failed runs in a row")),
        };
        self.process = Process::None;
        let why = then.why();
        self.end(then, why, now);
    }
}
