//! A fake service: how long it takes, how healthy it is and when it exits are scripted; and the member's shell around it,
//! which makes it what the node says that it is to be.
//!
//! Three lives: the *process*, which a supervisor's crash does not take along; what is on *disk*, which nothing takes
//! along; and the *shell*, which is a part of the supervisor.

use std::time::Duration;

use crate::base::Now;
use crate::census::{Goal, Turn};
use crate::node::GroupRules;
use crate::records::value::{
    DesiredState, Health, MemberStatus, ServiceState, Strategy, Target, Topology, TurnPhase, TurnReport,
};

use super::clock::{True, us};
use super::make::{Fate, Make};

/// How a fake service behaves.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// The group's topology.
    pub topology: Topology,
    /// The group's update strategy.
    pub strategy: Strategy,
    /// What decides the group's elections.
    pub rules: GroupRules,
    /// From launch to up.
    pub start_time: Duration,
    /// How suited it is to lead.
    pub suitability: u64,
}

/// From the request to stop to the end.
const STOP_TIME: Duration = Duration::from_millis(40);
/// From the end of a process to its next start.
const BACKOFF: Duration = Duration::from_millis(500);

/// The fake service of one machine.
#[derive(Debug, Clone)]
pub(super) struct FakeService {
    number: usize,
    pub(super) script: Script,
    process: Option<Process>,
    launches: u64,
    restarts: u32,
    /// On disk: what the member goes by.
    mine: Option<Target>,
    /// What it went by before its last turn.
    before: Option<Target>,
    shell: Shell,
    /// Whether the process is not what it was because it was told to be something else.
    changing: bool,
}

#[derive(Debug, Clone)]
struct Process {
    number: u64,
    target: Target,
    phase: Phase,
    health: Health,
    fate: Option<Fate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Up,
    Stopping,
}

/// What the supervisor knows, and forgets when it dies.
#[derive(Debug, Clone, Default)]
struct Shell {
    ready: bool,
    leader_known: bool,
    goal: Option<Goal>,
    turn: Option<Active>,
    /// Whether something was launched, or found running.
    ran: bool,
    /// It ended by itself, and is started again after a while.
    backs_off: bool,
}

/// A turn, under way or ended.
#[derive(Debug, Clone)]
struct Active {
    turn: Turn,
    target: Target,
    phase: TurnPhase,
    why: String,
    ok_since: Option<True>,
}

impl Active {
    fn is_under_way(&self) -> bool {
        match self.phase {
            TurnPhase::Granted | TurnPhase::Fetching | TurnPhase::Applying | TurnPhase::Verifying => true,
            TurnPhase::Done | TurnPhase::Failed => false,
        }
    }
}

/// What may happen to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServiceEvent {
    /// Its node is ready.
    RingReady,
    /// A leader is known.
    LeaderKnown,
    /// Its node says what it is to be.
    Goal(Option<Box<Goal>>),
    /// This process's start time is over.
    Started(u64),
    /// This process has stopped, as it was told.
    Stopped(u64),
    /// What the script holds for this process happens.
    Fate(u64),
    /// The process ends by itself.
    Exit,
    /// It is time to start it again.
    Retry,
    /// Its health check says so from now on.
    Health(Health),
    /// A turn's time to be ok is over.
    Deadline(u64),
    /// A turn may have been ok for long enough.
    Healthy(u64),
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Another event, after so long.
    After(Duration, ServiceEvent),
    /// The leader's seat is to be given back, if this member has it: it is stopped for its turn.
    Resign,
    /// A turn begins to change something.
    Began(Turn),
    /// A turn has come to a good end.
    Done(Turn),
    /// A process was launched.
    Launched {
        /// To be this.
        target: Target,
        /// In which turn.
        turn: Option<u64>,
    },
    /// A member in which nothing runs goes by something else from now on.
    Adopted {
        /// By this.
        target: Target,
        /// By what it went until then.
        before: Option<Target>,
    },
}

impl FakeService {
    pub(super) fn new(number: usize, script: Script) -> Self {
        Self {
            number,
            script,
            process: None,
            launches: 0,
            restarts: 0,
            mine: None,
            before: None,
            shell: Shell::default(),
            changing: false,
        }
    }

    /// What happens to the process itself, whether its supervisor looks or not.
    pub(super) fn happen(&mut self, event: &ServiceEvent) {
        let Some(process) = &mut self.process else { return };
        match event {
            ServiceEvent::Started(number) if *number == process.number && process.phase == Phase::Starting => {
                process.phase = Phase::Up;
                process.health = match process.fate {
                    Some(Fate::Warns) => Health::Warning,
                    Some(Fate::NeverOk) => Health::Critical,
                    Some(Fate::Hangs | Fate::ExitsAtStart | Fate::TurnsCritical | Fate::Exits) | None => Health::Ok,
                };
            }
            ServiceEvent::Stopped(number) if *number == process.number => self.process = None,
            ServiceEvent::Fate(number) if *number == process.number && process.phase != Phase::Stopping => {
                match process.fate {
                    Some(Fate::TurnsCritical) => process.health = Health::Critical,
                    Some(Fate::Exits | Fate::ExitsAtStart) => self.process = None,
                    Some(Fate::Hangs | Fate::Warns | Fate::NeverOk) | None => {}
                }
            }
            ServiceEvent::Exit if process.phase == Phase::Up => self.process = None,
            ServiceEvent::Health(health)
                if process.phase == Phase::Up && !matches!(process.fate, Some(Fate::TurnsCritical | Fate::NeverOk)) =>
            {
                process.health = *health;
            }
            ServiceEvent::RingReady
            | ServiceEvent::LeaderKnown
            | ServiceEvent::Goal(_)
            | ServiceEvent::Started(_)
            | ServiceEvent::Stopped(_)
            | ServiceEvent::Fate(_)
            | ServiceEvent::Exit
            | ServiceEvent::Retry
            | ServiceEvent::Health(_)
            | ServiceEvent::Deadline(_)
            | ServiceEvent::Healthy(_) => {}
        }
        self.calm();
    }

    /// What the supervisor does about an event, when it looks.
    pub(super) fn react(&mut self, at: True, event: ServiceEvent) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            ServiceEvent::RingReady => {
                self.shell.ready = true;
                self.shell.ran |= self.process.is_some();
            }
            ServiceEvent::LeaderKnown => self.shell.leader_known = true,
            ServiceEvent::Goal(goal) => self.shell.goal = goal.map(|goal| *goal),
            ServiceEvent::Started(_) | ServiceEvent::Health(_) => {}
            ServiceEvent::Stopped(_) => effects.push(Effect::Resign),
            ServiceEvent::Fate(_) | ServiceEvent::Exit => {
                if self.process.is_none() {
                    self.restarts += 1;
                    if !self.fail("the process exited") && !self.shell.backs_off {
                        self.shell.backs_off = true;
                        effects.push(Effect::After(BACKOFF, ServiceEvent::Retry));
                    }
                }
            }
            ServiceEvent::Retry => self.shell.backs_off = false,
            ServiceEvent::Deadline(turn) => {
                let is_late = |active: &Active| active.turn.number == turn && active.ok_since.is_none();
                if self.shell.turn.as_ref().is_some_and(is_late) {
                    self.fail("not ok within the deadline");
                }
            }
            ServiceEvent::Healthy(_) => {}
        }
        self.proceed(&mut effects);
        self.verify(at, &mut effects);
        self.calm();
        effects
    }

    /// Brings the process nearer to what it is to be.
    fn proceed(&mut self, effects: &mut Vec<Effect>) {
        if !self.shell.ready {
            return;
        }
        let Some(goal) = self.shell.goal.clone() else { return };
        if self.script.strategy == Strategy::None {
            // Configs are rendered while it runs, and releases have to wait: nothing of either is simulated.
            self.mine = Some(goal.target.clone());
        }
        match goal.turn {
            Some(turn) if self.shell.turn.as_ref().is_none_or(|active| active.turn.number != turn.number) => {
                let (target, phase) = (goal.target.clone(), TurnPhase::Applying);
                self.shell.turn = Some(Active { turn, target, phase, why: String::new(), ok_since: None });
                effects.push(Effect::Began(turn));
                let deadline = Duration::from_millis(turn.options.deadline_ms);
                effects.push(Effect::After(deadline, ServiceEvent::Deadline(turn.number)));
            }
            Some(_) => {}
            None => {
                if self.shell.turn.as_ref().is_some_and(Active::is_under_way) {
                    self.shell.turn = None;
                }
                if self.process.is_none() && !self.shell.ran && self.mine.as_ref() != Some(&goal.target) {
                    let before = self.mine.replace(goal.target.clone());
                    effects.push(Effect::Adopted { target: goal.target.clone(), before });
                }
            }
        }
        self.make_it(&goal, effects);
    }

    fn make_it(&mut self, goal: &Goal, effects: &mut Vec<Effect>) {
        let turn = goal.turn.map(|turn| turn.number);
        // What a failed turn left behind stays until the node says otherwise.
        if self.shell.turn.as_ref().is_some_and(|active| Some(active.turn.number) == turn && !active.is_under_way()) {
            return;
        }
        let keeps = self.script.strategy == Strategy::None;
        match &mut self.process {
            Some(process) if process.phase == Phase::Stopping => {}
            Some(process) if keeps || (process.target == goal.target && goal.target.state == DesiredState::Up) => {}
            Some(process) => {
                process.phase = Phase::Stopping;
                self.changing = true;
                effects.push(Effect::After(STOP_TIME, ServiceEvent::Stopped(process.number)));
            }
            None if goal.target.state == DesiredState::Down => {}
            None if self.shell.backs_off => {}
            None if self.script.topology == Topology::Leader && !self.shell.leader_known && !self.shell.ran => {}
            None => self.launch(goal, turn, effects),
        }
    }

    fn launch(&mut self, goal: &Goal, turn: Option<u64>, effects: &mut Vec<Effect>) {
        self.launches += 1;
        self.shell.ran = true;
        let number = self.launches;
        let make = Make::of(goal, self.number);
        let target = goal.target.clone();
        effects.push(Effect::Launched { target: target.clone(), turn });
        let start = self.script.start_time;
        match make.fate {
            Some(Fate::Hangs) => {}
            Some(Fate::ExitsAtStart) => effects.push(Effect::After(start, ServiceEvent::Fate(number))),
            Some(Fate::TurnsCritical | Fate::Exits) => {
                effects.push(Effect::After(start, ServiceEvent::Started(number)));
                effects.push(Effect::After(start + make.after, ServiceEvent::Fate(number)));
            }
            Some(Fate::Warns | Fate::NeverOk) | None => {
                effects.push(Effect::After(start, ServiceEvent::Started(number)));
            }
        }
        let (phase, health, fate) = (Phase::Starting, Health::Unknown, make.fate);
        self.process = Some(Process { number, target, phase, health, fate });
    }

    /// Looks whether the turn has come to an end.
    fn verify(&mut self, at: True, effects: &mut Vec<Effect>) {
        let is_ok = self.is_ok();
        let Some(active) = self.shell.turn.as_mut().filter(|active| active.is_under_way()) else { return };
        if active.target.state == DesiredState::Down {
            if self.process.is_none() {
                self.done(effects);
            }
            return;
        }
        let is_there = self
            .process
            .as_ref()
            .is_some_and(|process| process.target == active.target && process.phase != Phase::Stopping);
        if !is_there {
            return;
        }
        active.phase = TurnPhase::Verifying;
        let min_healthy = Duration::from_millis(active.turn.options.min_healthy_ms);
        match (active.ok_since, is_ok) {
            (None, true) => {
                active.ok_since = Some(at);
                if min_healthy.is_zero() {
                    self.done(effects);
                } else {
                    effects.push(Effect::After(min_healthy, ServiceEvent::Healthy(active.turn.number)));
                }
            }
            (Some(since), true) if at >= since + us(min_healthy) => self.done(effects),
            (Some(_), false) => {
                self.fail("the health check says critical");
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    fn done(&mut self, effects: &mut Vec<Effect>) {
        let Some(active) = &mut self.shell.turn else { return };
        active.phase = TurnPhase::Done;
        self.before = self.mine.replace(active.target.clone());
        effects.push(Effect::Done(active.turn));
    }

    /// Ends the turn that is under way; returns whether there is one.
    fn fail(&mut self, why: &str) -> bool {
        let Some(active) = self.shell.turn.as_mut().filter(|active| active.is_under_way()) else { return false };
        active.phase = TurnPhase::Failed;
        why.clone_into(&mut active.why);
        true
    }

    /// A change is over once the member is ok again and nothing of it has to be proved any more.
    fn calm(&mut self) {
        let is_what_it_goes_by = self.process.as_ref().map(|process| &process.target) == self.mine.as_ref();
        if is_what_it_goes_by && self.is_ok() {
            self.changing = false;
        }
        if self.process.is_none() && self.mine.as_ref().is_some_and(|mine| mine.state == DesiredState::Down) {
            self.changing = false;
        }
    }

    fn is_ok(&self) -> bool {
        self.process
            .as_ref()
            .is_some_and(|process| process.phase == Phase::Up && matches!(process.health, Health::Ok | Health::Warning))
    }

    /// Whether it does not serve because of a change that it was told to make.
    pub(super) fn is_out(&self) -> bool {
        let is_unproved = self.process.as_ref().is_some_and(|process| Some(&process.target) != self.mine.as_ref());
        self.script.strategy == Strategy::Rolling && (self.changing || is_unproved) && !self.is_ok()
    }

    /// What the member goes by.
    pub(super) fn mine(&self) -> Option<&Target> {
        self.mine.as_ref()
    }

    /// Whether it goes by this, and nothing else runs: a process that has ended since is not the rollout's business.
    pub(super) fn has_become(&self, wanted: &Target) -> bool {
        self.mine.as_ref() == Some(wanted) && self.process.as_ref().is_none_or(|process| process.target == *wanted)
    }

    /// Whether it serves, and what.
    pub(super) fn serves(&self) -> Option<&Target> {
        self.process.as_ref().filter(|_| self.is_ok()).map(|process| &process.target)
    }

    /// What its last turn made of it is lost: a planted fault.
    pub(super) fn forget(&mut self) {
        if let Some(before) = self.before.take() {
            self.mine = Some(before);
        }
    }

    /// Its supervisor dies. The process does not.
    pub(super) fn orphan(&mut self) {
        self.shell = Shell::default();
    }

    /// Everything on the machine ends but what is on disk.
    pub(super) fn stop(&mut self) {
        self.shell = Shell::default();
        self.process = None;
        self.changing = false;
    }

    /// What the node last said.
    pub(super) fn goal(&self) -> Option<&Goal> {
        self.shell.goal.as_ref()
    }

    pub(super) fn waits_for_leader(&self) -> bool {
        !self.shell.leader_known
    }

    /// Whether there is something to publish.
    pub(super) fn is_loaded(&self) -> bool {
        self.shell.ready
    }

    fn state(&self) -> ServiceState {
        match self.process.as_ref().map(|process| process.phase) {
            Some(Phase::Starting) => ServiceState::Starting,
            Some(Phase::Up) => ServiceState::Up,
            Some(Phase::Stopping) => ServiceState::Stopping,
            None if self.mine.as_ref().is_some_and(|mine| mine.state == DesiredState::Down) => ServiceState::Down,
            None if self.shell.ran => ServiceState::Backoff,
            None if self.script.topology == Topology::Leader && self.shell.ready => ServiceState::WaitingForLeader,
            None => ServiceState::Loaded,
        }
    }

    pub(super) fn status(&self, now: Now) -> MemberStatus {
        let turn = self.shell.turn.as_ref().map(|active| TurnReport {
            rollout: active.turn.rollout,
            turn: active.turn.number,
            phase: active.phase,
            why: active.why.clone(),
            ..TurnReport::default()
        });
        MemberStatus {
            topology: self.script.topology,
            strategy: self.script.strategy,
            state: self.state(),
            health: self.process.as_ref().map(|process| process.health).unwrap_or_default(),
            eligible: self.shell.ready,
            suitability: Some(self.script.suitability),
            ident: "sim/fake/1".to_owned(),
            pid: self.process.as_ref().and_then(|process| u32::try_from(process.number).ok()),
            since: now.wall,
            restarts: self.restarts,
            target: self.mine.clone(),
            turn,
            ..MemberStatus::default()
        }
    }
}
