//! The states of a service, and what leads from one to another.
//!
//! Pure: events and the time go in, actions come out ([`Machine::drain`]), and [`Machine::deadline`] says when
//! [`Machine::tick`] is due. The driver may be slow, a hook may hang; the machine is always in one definite state
//! and always says why.
//!
//! ```text
//! Loading -> Waiting (ring, release, install, binds, leader) -> Preparing (render, init) -> Launching -> Running -+
//!    ^          ^                                                                                         |
//!    |          +---- Resting: backoff <---- Ending: pre-stop, process gone, hooks gone, post-stop <------+
//!    +------------------ start, restart ----------'----> Resting: down, failed
//! ```
//!
//! - `event`: the vocabulary.
//! - `heading`: from what the member is told to be to what it goes by.
//! - `turn`: its turn in a rollout, and when that is done or has failed.
//! - `start`: from loaded to launched.
//! - `apply`: what a running process is told when something changed.
//! - `ending`: from running to rest.
//! - `backoff`, `health`: counting failures.

// Pure as the core is, and by the same means: see clippy.toml.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod apply;
mod backoff;
mod ending;
mod event;
mod heading;
mod health;
mod start;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

pub use event::{
    Action, Applied, Blame, Earlier, EndedBy, Event, Goal, HealthPolicy, HookEnd, ProcessEnd, RestartPolicy, Role,
    Settings, Successor, Told,
};

use self::apply::Apply;
use self::backoff::Backoff;
use self::ending::{Seat, Then};
use self::heading::{Approach, Fetch, PlanOf};
use self::health::HealthTrack;
use self::turn::Track;
use super::handle::{Command, RingState};
use crate::base::{Hash, Mono, Now, Wall};
use crate::plan::HookName;
use crate::records::value::{DesiredState, Health, ServiceState, Target, Topology, TurnReport};

/// How often the suitability is asked for while all is quiet.
const SUITABILITY_INTERVAL: Duration = Duration::from_secs(5);
/// First and longest delay before something that failed while the process runs is tried again: `post-run`, and
/// telling the process its role.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Where the service is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The plan is being read, and a process of an earlier task looked for.
    Loading,
    /// Something that a start needs is not there.
    Waiting(Gate),
    /// The `install` hook runs.
    Installing,
    /// The files are being rendered for a start.
    Preparing,
    /// The `init` hook runs, with what was rendered.
    Initializing(Applied),
    /// The process is being launched.
    Launching(Applied),
    /// The process runs, and no check has yet said that it works.
    Starting,
    /// The process runs.
    Up,
    /// The process is about to be stopped, and `pre-stop` runs.
    PreStop(Then),
    /// The process, and hooks that ran, are being ended.
    Ending(Then),
    /// The process is gone, and `post-stop` runs.
    PostStop(Then),
    /// The `uninstall` hook runs.
    Uninstalling,
    /// Started again when the timer says so.
    Backoff,
    /// Stopped on request.
    Down,
    /// A person has to change something.
    Failed(Remedy),
    /// Gone from this node.
    Unloaded,
}

/// What a start waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Ring,
    Release,
    Binds,
    Leader,
}

/// What may end a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Only a command.
    Command,
    /// Also a change of what is rendered.
    NewContext,
}

/// The process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    None,
    Launching,
    Runs { pid: u32, since: Mono },
}

/// What is known of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// One of an earlier task may run.
    Nothing,
    /// None runs.
    None,
    /// It runs.
    Runs,
}

/// What may be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Backoff,
    Health,
    PostRun,
    Apply,
    Suitability,
    Fetch,
    Accept,
    Turn,
    HandOver,
    /// What a release that failed still runs on its way out has had its time.
    Leave,
}

impl Timer {
    /// Whether it is about what the member is to be, and not about a process that may be gone.
    fn is_of_goal(self) -> bool {
        match self {
            Timer::Fetch | Timer::Accept | Timer::Turn | Timer::HandOver => true,
            Timer::Backoff | Timer::Health | Timer::PostRun | Timer::Apply | Timer::Suitability | Timer::Leave => false,
        }
    }
}

/// Something that is wrong and does not keep the process from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Plan,
    Release,
    Target,
    Render,
    Reconfigure,
    PostRun,
    PreStop,
    PostStop,
}

/// What the machine tells of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What the process is doing.
    pub state: ServiceState,
    /// Why; empty when there is nothing to say.
    pub why: String,
    /// Since when.
    pub since: Wall,
    /// What the health check says.
    pub health: Health,
    /// Whether this member may hold seats.
    pub eligible: bool,
    /// How suited it is to lead.
    pub suitability: Option<u64>,
    /// The process.
    pub pid: Option<u32>,
    /// Starts after an exit that nobody asked for.
    pub restarts: u32,
    /// Processes launched.
    pub launches: u64,
    /// What is wrong without keeping the process from running.
    pub problems: Vec<String>,
    /// Whether the process goes by what was rendered last, as far as it ever will.
    pub applied: bool,
    /// What it counts as.
    pub target: Option<Target>,
    /// The turn that it has; none if it has none.
    pub turn: Option<TurnReport>,
}

/// A service's state machine.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    /// Whose `settings` are. Nobody's for a process that was adopted although its plan is broken.
    plan: PlanOf,
    /// The release whose plan is being read, or was last.
    reading: Option<Hash>,
    phase: Phase,
    why: String,
    since: Wall,
    process: Process,
    /// What this node was asked for.
    desired: DesiredState,
    /// What the member is told to be, what it goes by, and what is being written down to be gone by next.
    goal: Option<Goal>,
    target: Option<Target>,
    /// What it counts as: what it went by when that was last in force, and not the attempt of a turn that is not done.
    proven: Option<Target>,
    accepting: Option<Target>,
    /// The target was just replaced by another.
    moved: bool,
    fetch: Fetch,
    /// The turn under way, and how the last one ended.
    turn: Option<Track>,
    ended: Option<TurnReport>,
    /// What becomes of the leader's seat while the process is away; none if nothing special.
    seat: Option<Seat>,
    successor: Successor,
    ring: RingState,
    unmet_binds: Vec<String>,
    /// Whether the binds were met once since the service was last put up: losing one later stops nothing.
    bound: bool,
    role: Role,
    /// What the process goes by.
    applied: Option<Applied>,
    apply: Apply,
    /// Something that templates show has changed since the last rendering began.
    dirty: bool,
    /// Whether the view may be rendered for the process that runs. After an adoption it may not before the ring, the
    /// binds and the leader were known once: an empty view would reconfigure the process to nonsense.
    settled: bool,
    /// The hooks that run.
    hooks: BTreeSet<HookName>,
    /// Whether a process ran since `post-stop` ran last: what never ran needs no cleaning up after.
    ran: bool,
    /// Whether the service is to go. There is no way back from this.
    unloading: bool,
    timers: BTreeMap<Timer, Mono>,
    backoff: Backoff,
    retry: Duration,
    health: Option<HealthTrack>,
    checking: bool,
    measuring: bool,
    suitability: Option<u64>,
    troubles: BTreeMap<Trouble, String>,
    restarts: u32,
    launches: u64,
    actions: Vec<Action>,
    /// When the event at hand came.
    seen: Now,
}

impl Machine {
    /// A service that was just loaded. Its first action is [`Action::Load`].
    #[must_use]
    pub fn new(topology: Topology, desired: DesiredState, earlier: Earlier, now: Now) -> Self {
        let mut machine = Self {
            settings: Settings::without_plan(topology),
            plan: PlanOf::Unread,
            reading: earlier.release,
            phase: Phase::Loading,
            why: String::new(),
            since: now.wall,
            process: Process::None,
            desired,
            goal: None,
            target: earlier.goes_by,
            proven: earlier.target,
            accepting: None,
            moved: false,
            fetch: Fetch::Idle,
            turn: None,
            ended: earlier.turn,
            seat: None,
            successor: Successor::None,
            ring: RingState::Joining,
            unmet_binds: Vec::new(),
            bound: false,
            role: match topology {
                Topology::Standalone => Role::Standalone,
                Topology::Leader => Role::Leaderless("no leader is known yet".to_owned()),
            },
            applied: None,
            apply: Apply::Idle,
            dirty: false,
            settled: false,
            hooks: BTreeSet::new(),
            ran: false,
            unloading: false,
            timers: BTreeMap::new(),
            backoff: Backoff::default(),
            retry: RETRY_MIN,
            health: None,
            checking: false,
            measuring: false,
            suitability: None,
            troubles: BTreeMap::new(),
            restarts: 0,
            launches: 0,
            actions: Vec::new(),
            seen: now,
        };
        machine.enter(Phase::Loading, String::new(), now);
        machine.actions.push(Action::Load(machine.reading));
        machine
    }

    /// Takes what happened.
    pub fn handle(&mut self, event: Event, now: Now) {
        self.seen = now;
        match event {
            Event::PlanRead(settings) => self.plan_read(settings),
            Event::PlanFailed(why) => self.plan_failed(why),
            Event::ReleaseMissing(release) => self.release_missing(release, now),
            Event::Adopted { pid, since, applied } => self.adopted(pid, since, applied, now),
            Event::NothingToAdopt => self.nothing_to_adopt(now),
            Event::Ring(ring) => self.ring = ring,
            Event::Binds(unmet) => self.unmet_binds = unmet,
            Event::Role(role) => self.role_changed(role),
            Event::Goal(goal) => self.goal_told(goal, now),
            Event::Accepted(target) => self.accepted(target),
            Event::NotAccepted(why) => self.not_accepted(why, now),
            Event::Fetched(release) => self.fetched(release),
            Event::NotFetched(release, why) => self.not_fetched(release, why, now),
            Event::ConfigRefused(why) => self.config_refused(&why),
            Event::Successor(successor) => self.successor_changed(successor),
            Event::ContextChanged => self.context_changed(),
            Event::Rendered(rendered) => self.rendered(rendered, now),
            Event::RenderFailed(why) => self.render_failed(why, now),
            Event::HookEnded { hook, end } => self.hook_ended(hook, end, now),
            Event::Launched { pid } => self.launched(pid, now),
            Event::LaunchFailed(why) => self.launch_failed(why, now),
            Event::Exited(end) => self.exited(&end, now),
            Event::Checked(health, said) => self.checked(health, said, now),
            Event::Suitability(suitability) => {
                self.measuring = false;
                self.suitability = Some(suitability);
                self.arm(Timer::Suitability, SUITABILITY_INTERVAL, now);
            }
            Event::Command(command) => self.command(command, now),
        }
        self.settle(now);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now) {
        self.seen = now;
        while let Some((&timer, _)) = self.timers.iter().find(|(_, due)| **due <= now.mono) {
            self.timers.remove(&timer);
            match timer {
                Timer::Backoff => self.enter(Phase::Waiting(Gate::Ring), String::new(), now),
                Timer::Health => self.check_health(),
                Timer::PostRun => self.run_hook(HookName::PostRun),
                Timer::Apply => self.context_changed(),
                Timer::Suitability => self.measure_suitability(),
                Timer::Fetch => self.fetch_due(),
                // That it is due is all that `settle` wants to know of these.
                Timer::Accept | Timer::Turn => {}
                Timer::HandOver => self.seat = None,
                Timer::Leave => self.cut_short(),
            }
        }
        self.settle(now);
    }

    /// When [`Self::tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        self.timers.values().min().copied()
    }

    /// Takes the actions that have come up.
    #[must_use]
    pub fn drain(&mut self) -> Vec<Action> {
        mem::take(&mut self.actions)
    }

    /// What is told of the service.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let runs = matches!(self.process, Process::Runs { .. });
        let health = match (&self.health, &self.phase) {
            (Some(track), _) if runs => track.health(),
            // No check: being up is all that can be said.
            (None, Phase::Up) if !self.troubles.contains_key(&Trouble::Plan) => Health::Ok,
            (Some(_) | None, _) => Health::Unknown,
        };
        let mut why = self.why.clone();
        if let Some(track) = self.health.as_ref().filter(|_| runs && why.is_empty() && health != Health::Ok)
            && !track.said().is_empty()
        {
            why = format!("health check: {}", track.said());
        }
        let problems: Vec<_> = self.troubles.values().cloned().collect();
        if why.is_empty() {
            why = problems.join("; ");
        }
        Snapshot {
            state: self.state(),
            why,
            since: self.since,
            health,
            eligible: self.eligible(),
            suitability: self.suitability,
            pid: match self.process {
                Process::Runs { pid, .. } => Some(pid),
                Process::None | Process::Launching => None,
            },
            restarts: self.restarts,
            launches: self.launches,
            problems,
            applied: runs && self.apply == Apply::Idle && !self.dirty,
            target: self.proven.clone(),
            turn: self.turn.as_ref().map(Track::report),
        }
    }

    /// What is known of the process.
    #[must_use]
    pub fn knows(&self) -> Known {
        match (self.process, &self.phase) {
            (Process::Runs { .. }, _) => Known::Runs,
            (Process::None, Phase::Loading) if self.launches == 0 => Known::Nothing,
            (Process::None | Process::Launching, _) => Known::None,
        }
    }

    /// Whether the task may end.
    #[must_use]
    pub fn is_unloaded(&self) -> bool {
        self.phase == Phase::Unloaded
    }

    fn state(&self) -> ServiceState {
        match &self.phase {
            Phase::Loading | Phase::Installing | Phase::Waiting(Gate::Release) => ServiceState::Loaded,
            Phase::Waiting(Gate::Ring) => ServiceState::WaitingForRing,
            Phase::Waiting(Gate::Binds) => ServiceState::WaitingForBinds,
            Phase::Waiting(Gate::Leader) => ServiceState::WaitingForLeader,
            Phase::Preparing | Phase::Initializing(_) => ServiceState::Initializing,
            Phase::Launching(_) | Phase::Starting => ServiceState::Starting,
            Phase::Up => ServiceState::Up,
            Phase::Ending(Then::Backoff(_)) | Phase::PostStop(Then::Backoff(_)) | Phase::Backoff => {
                ServiceState::Backoff
            }
            Phase::PreStop(_) | Phase::Ending(_) | Phase::PostStop(_) | Phase::Uninstalling => ServiceState::Stopping,
            Phase::Down | Phase::Unloaded => ServiceState::Down,
            Phase::Failed(_) => ServiceState::Failed,
        }
    }

    /// From the leader's gate on, as long as nobody wants the process gone. A process that crashed keeps its seat
    /// until its health says otherwise: it is back sooner than a successor is seated.
    fn eligible(&self) -> bool {
        match &self.phase {
            Phase::Waiting(Gate::Leader)
            | Phase::Preparing
            | Phase::Initializing(_)
            | Phase::Launching(_)
            | Phase::Starting
            | Phase::Up
            | Phase::Backoff => self.seat != Some(Seat::GivenBack),
            Phase::PreStop(then) | Phase::Ending(then) => then.keeps_seat() || self.leads(),
            Phase::PostStop(then) => then.keeps_seat(),
            Phase::Loading | Phase::Waiting(Gate::Ring | Gate::Release | Gate::Binds) | Phase::Installing => {
                self.seat == Some(Seat::Kept)
            }
            Phase::Uninstalling | Phase::Down | Phase::Failed(_) | Phase::Unloaded => false,
        }
    }

    /// Whether the process may still do what only a leader's may: its seat is not given back before it is gone, or two
    /// would take writes at once.
    fn leads(&self) -> bool {
        matches!(self.process, Process::Runs { .. }) && matches!(self.role, Role::Leader(_))
    }

    /// Why the process should not run; none if it should.
    fn unwanted(&self) -> Option<&'static str> {
        match (self.desired, self.target.as_ref().map_or(DesiredState::Up, |target| target.state)) {
            (DesiredState::Down, _) => Some("stopped on request"),
            (DesiredState::Up, DesiredState::Down) => Some("stopped everywhere: the group's desired state is down"),
            (DesiredState::Up, DesiredState::Up) => None,
        }
    }

    /// Goes on as far as it goes, whatever it was that happened.
    fn settle(&mut self, now: Now) {
        if self.unloading {
            self.unload(now);
        } else if self.may_approach() && self.approach() == Approach::Accepted {
            self.go_by_target(now);
            // Before anything is started: this is what the start makes.
            self.prove();
        }
        let unwanted = self.unwanted();
        match (&self.phase, unwanted) {
            (Phase::Waiting(_) | Phase::Backoff, Some(why)) => self.rest(Phase::Down, why.to_owned(), now),
            (
                Phase::Installing
                | Phase::Preparing
                | Phase::Initializing(_)
                | Phase::Launching(_)
                | Phase::Starting
                | Phase::Up,
                Some(why),
            ) => self.end(Then::Down, why.to_owned(), now),
            (Phase::Down, None) => self.load(now),
            (Phase::Waiting(_), None) => self.pass_gates(now),
            _ => {}
        }
        self.go_on_ending(now);
        self.go_on_applying();
        self.go_on_with_turn(now);
        self.seek_suitability();
    }

    /// Whether what it is to be is worth going for: nothing is known before the ring is, and what a process of an
    /// earlier task goes by must be known before it is judged.
    fn may_approach(&self) -> bool {
        let is_late = matches!(self.phase, Phase::Loading | Phase::Uninstalling | Phase::Unloaded);
        self.ring == RingState::Ready && !is_late
    }

    fn command(&mut self, command: Command, now: Now) {
        self.desired = match command {
            Command::Start | Command::Restart => DesiredState::Up,
            Command::Stop | Command::Unload => DesiredState::Down,
        };
        match command {
            Command::Start => self.start_asked(now),
            Command::Stop => self.stop_asked(Then::Down, now),
            Command::Restart => self.stop_asked(Then::Load, now),
            Command::Unload => self.unloading = true,
        }
    }

    fn hook_ended(&mut self, hook: HookName, end: HookEnd, now: Now) {
        self.hooks.remove(&hook);
        match (hook, &self.phase) {
            (HookName::Install, Phase::Installing) => self.installed(end, now),
            (HookName::Init, Phase::Initializing(_)) => self.initialized(end, now),
            (HookName::PreStop, Phase::PreStop(_)) => self.pre_stopped(end, now),
            (HookName::PostStop, Phase::PostStop(_)) => self.post_stopped(end, now),
            (HookName::Uninstall, Phase::Uninstalling) => self.uninstalled(now),
            (HookName::Reconfigure, Phase::Starting | Phase::Up) => self.reconfigured(end, now),
            (HookName::PostRun, Phase::Starting | Phase::Up) => self.post_ran(end, now),
            // It was cancelled, by an end that `go_on_ending` sees to.
            _ => {}
        }
    }

    fn post_ran(&mut self, end: HookEnd, now: Now) {
        match end {
            HookEnd::Done => {
                self.troubles.remove(&Trouble::PostRun);
            }
            HookEnd::Failed(how) => {
                self.turn_failed(format!("the post-run hook {how}"), Blame::Hook(HookName::PostRun));
                self.troubles.insert(Trouble::PostRun, format!("the post-run hook {how}; it is tried again"));
                self.arm_retry(Timer::PostRun, now);
            }
        }
    }

    fn checked(&mut self, health: Health, said: String, now: Now) {
        self.checking = false;
        let Some(track) = self.health.as_mut() else { return };
        track.observe(health, said.clone(), now.mono);
        let (told, usual, policy) = (track.health(), track.pause(), track.policy());
        self.judge_turn(health, &said, now);
        let pause = self.turn.as_ref().map_or(usual, |turn| turn.pause(usual, policy));
        match (&self.phase, told) {
            (Phase::Starting, Health::Ok | Health::Warning | Health::Critical) => self.up(now),
            (Phase::Starting, Health::Unknown) | (Phase::Up, _) => {}
            _ => return,
        }
        self.arm(Timer::Health, pause, now);
    }

    fn check_health(&mut self) {
        let runs = matches!(self.phase, Phase::Starting | Phase::Up);
        if runs && self.health.is_some() && !self.checking {
            self.checking = true;
            self.actions.push(Action::CheckHealth);
        }
    }

    fn role_changed(&mut self, role: Role) {
        if role == self.role {
            return;
        }
        let known = |role: &Role| !matches!(role, Role::Leaderless(_));
        if known(&self.role) && !known(&role) {
            // An election begins: what was measured may be seconds old.
            self.measure_suitability();
        }
        if role == Role::Follower && self.seat == Some(Seat::GivenBack) {
            // Somebody else has it now.
            self.seat = None;
        }
        self.role = role;
        self.retry = RETRY_MIN;
        self.context_changed();
    }

    fn successor_changed(&mut self, successor: Successor) {
        self.successor = successor;
        if successor == Successor::None && self.seat == Some(Seat::GivenBack) && !self.leads() {
            self.seat = None;
        }
    }

    /// An eligible member of a led group measures its suitability as soon as it can.
    fn seek_suitability(&mut self) {
        if !self.timers.contains_key(&Timer::Suitability) {
            self.measure_suitability();
        }
    }

    fn measure_suitability(&mut self) {
        if self.settings.topology == Topology::Leader && self.eligible() && !self.measuring {
            self.measuring = true;
            self.actions.push(Action::MeasureSuitability);
        }
    }

    fn run_hook(&mut self, hook: HookName) {
        self.hooks.insert(hook);
        self.actions.push(Action::RunHook(hook));
    }

    fn has(&self, hook: HookName) -> bool {
        self.settings.hooks.contains(&hook)
    }

    fn arm(&mut self, timer: Timer, after: Duration, now: Now) {
        self.timers.insert(timer, now.mono + after);
    }

    fn arm_retry(&mut self, timer: Timer, now: Now) {
        self.arm(timer, self.retry, now);
        self.retry = self.retry.saturating_mul(2).min(RETRY_MAX);
    }

    fn enter(&mut self, phase: Phase, why: String, now: Now) {
        let before = self.state();
        self.phase = phase;
        self.why = why;
        if self.state() != before {
            self.since = now.wall;
        }
    }

    /// Enters a state in which nothing runs.
    fn rest(&mut self, phase: Phase, why: String, now: Now) {
        self.forget_timers();
        if matches!(phase, Phase::Down | Phase::Unloaded | Phase::Failed(_)) {
            self.seat = None;
        }
        if matches!(phase, Phase::Down | Phase::Unloaded) {
            self.bound = false;
            self.suitability = None;
            self.backoff.reset();
        }
        self.enter(phase, why, now);
    }

    /// What was due of a process that goes or is gone.
    fn forget_timers(&mut self) {
        self.timers.retain(|timer, _| timer.is_of_goal());
    }
}
