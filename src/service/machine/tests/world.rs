//! Everything that can happen to a service, in any order.

use proptest::prelude::*;

use super::*;
use crate::base::Hash;
use crate::census::{Turn, When};
use crate::records::value::{RolloutOptions, TurnKind, TurnPhase};

/// Whether a goal comes with a turn.
#[derive(Debug, Clone, Copy)]
enum TurnStep {
    None,
    Same,
    New(TurnKind),
}

fn release(byte: u8) -> Hash {
    Hash::from_bytes([byte; 32])
}

/// What a driver that does all that it is told, in any order that it may, can make of a service.
#[derive(Debug, Clone)]
enum Step {
    Command(Command),
    Role(Role),
    Ring,
    Binds(bool),
    Context,
    Goal { release: Option<Hash>, config: bool, state: DesiredState, when: When, turn: TurnStep },
    Wait(u64),
    Answer { which: usize, well: bool },
    Crash { lease: bool },
}

fn step() -> impl Strategy<Value = Step> {
    use Command::{Restart, Start, Stop};
    prop_oneof![
        prop_oneof![Just(Start), Just(Stop), Just(Restart)].prop_map(Step::Command),
        (0_u64..4).prop_map(|term| Step::Role(match term {
            0 => Role::Follower,
            1 => Role::Leaderless("none".to_owned()),
            term => Role::Leader(Term(term)),
        })),
        Just(Step::Ring),
        any::<bool>().prop_map(Step::Binds),
        Just(Step::Context),
        goal_step(),
        goal_step(),
        (0_u64..40_000).prop_map(Step::Wait),
        (0_usize..8, any::<bool>()).prop_map(|(which, well)| Step::Answer { which, well }),
        (0_usize..8).prop_map(|which| Step::Answer { which, well: true }),
        any::<bool>().prop_map(|lease| Step::Crash { lease }),
    ]
}

fn goal_step() -> impl Strategy<Value = Step> {
    let states = prop_oneof![3 => Just(DesiredState::Up), 1 => Just(DesiredState::Down)];
    let when = prop_oneof![Just(When::Now), Just(When::NextStart)];
    let kinds = prop_oneof![Just(TurnKind::Forward), Just(TurnKind::Restore), Just(TurnKind::Back)];
    let turns = prop_oneof![Just(TurnStep::None), Just(TurnStep::Same), kinds.prop_map(TurnStep::New)];
    (prop::option::of(1_u8..3), any::<bool>(), states, when, turns).prop_map(|(byte, config, state, when, turn)| {
        Step::Goal { release: byte.map(release), config, state, when, turn }
    })
}

/// The world around a machine: what it asked for and was not yet answered, and the process.
struct World {
    rig: Rig,
    pending: Vec<Action>,
    process: bool,
    role: Role,
    /// What the process was told last, by a launch or a reconfiguration that went through.
    told: Told,
    rendered: u32,
    /// What is on the disk.
    accepted: Target,
    /// The releases that are here, the one whose plan was read last, and the config that goes with it.
    here: BTreeSet<Hash>,
    plan: Option<Hash>,
    config: Option<String>,
    /// What the last rendering began with.
    rendering: (Option<Hash>, Option<String>),
    /// The number of the last turn, and those that ended, with whether they were done.
    turn: u64,
    ended: BTreeMap<u64, TurnPhase>,
}

impl World {
    fn new() -> Self {
        let now = Now { mono: Mono(1), wall: Wall(1) };
        let target = Some(Target::default());
        let earlier = Earlier { target: target.clone(), goes_by: target, ..Earlier::default() };
        let machine = Machine::new(Topology::Leader, DesiredState::Up, earlier, now);
        let mut world = Self {
            rig: Rig { machine, now },
            pending: Vec::new(),
            process: false,
            role: Role::Leaderless(String::new()),
            told: FOLLOWS,
            rendered: 0,
            accepted: Target::default(),
            here: BTreeSet::new(),
            plan: None,
            config: None,
            rendering: (None, None),
            turn: 0,
            ended: BTreeMap::new(),
        };
        world.tell(Event::Goal(Goal::default()));
        world.collect();
        world
    }

    fn collect(&mut self) {
        for action in self.rig.machine.drain() {
            match &action {
                Action::Launch(files) => {
                    let goes_by = (self.accepted.release, &self.accepted.config);
                    assert_eq!(files.release, goes_by.0, "another release than the accepted one was launched");
                    assert!(!self.process, "a second process was launched");
                    assert!(!self.pending.iter().any(|other| matches!(other, Action::Launch(_))), "launched twice");
                    assert!(!self.pending.iter().any(|other| matches!(other, Action::RunHook(_))), "beside a hook");
                }
                Action::StopProcess => {
                    let drains = self.pending.contains(&Action::RunHook(HookName::PreStop));
                    assert!(!drains, "the process was stopped while pre-stop runs");
                }
                Action::RunHook(HookName::PostStop | HookName::Init) => {
                    assert!(!self.process, "{action:?} while the process runs");
                }
                Action::RunHook(hook) => {
                    let drains_nothing = *hook == HookName::PreStop && !self.process;
                    assert!(!drains_nothing, "pre-stop with no process");
                    assert!(!self.pending.contains(&Action::RunHook(*hook)), "{hook} was started while it runs");
                }
                Action::Render => self.rendering = (self.plan, self.config.clone()),
                Action::Accept(target, _) => {
                    let is_here = target.release.is_none_or(|release| self.here.contains(&release));
                    assert!(is_here, "a release was accepted that is not here");
                    let twice = self.pending.iter().any(|other| matches!(other, Action::Accept(..)));
                    assert!(!twice, "two targets are being written down");
                }
                Action::EndTurn { report, .. } => {
                    let before = self.ended.insert(report.turn, report.phase);
                    assert_eq!(before, None, "a turn ended twice");
                }
                Action::ReleaseSwitch => {
                    assert!(!self.process || self.told == FOLLOWS, "a process that leads lost its switch");
                }
                _ => {}
            }
            self.pending.push(action);
        }
    }

    fn tell(&mut self, event: Event) {
        self.rig.tell(event);
        self.collect();
    }

    fn answer(&mut self, which: usize, well: bool) {
        if self.pending.is_empty() {
            return;
        }
        let action = self.pending.remove(which % self.pending.len());
        match action {
            Action::Load(release) => {
                let hooks = [HookName::Init, HookName::Reconfigure, HookName::PreStop, HookName::PostStop];
                match release.filter(|release| !self.here.contains(release)) {
                    Some(missing) => self.tell(Event::ReleaseMissing(missing)),
                    None if well => {
                        self.plan = release;
                        self.config = None;
                        self.tell(Event::PlanRead(led(&hooks)));
                    }
                    None => self.tell(Event::PlanFailed("no".to_owned())),
                }
                self.observe();
                self.tell(Event::NothingToAdopt);
            }
            Action::Fetch(release) if well => {
                self.here.insert(release);
                self.tell(Event::Fetched(release));
            }
            Action::Fetch(release) => self.tell(Event::NotFetched(release, "no".to_owned())),
            Action::Accept(target, _) if well => {
                self.accepted = target.clone();
                self.observe();
                self.tell(Event::Accepted(target));
            }
            Action::Accept(..) => self.tell(Event::NotAccepted("no".to_owned())),
            Action::Render => {
                // The driver drops all but the last.
                if self.pending.contains(&Action::Render) {
                    return;
                }
                self.rendered += 1;
                let (release, revision) = self.rendering.clone();
                let files = files(&(self.rendered % 3).to_string(), self.role.told());
                let files = Applied { release, revision, ..files };
                self.tell(if well { Event::Rendered(files) } else { Event::RenderFailed("no".to_owned()) });
            }
            Action::RunHook(hook) => {
                if hook == HookName::Reconfigure && well && self.process {
                    self.told = self.role.told();
                }
                self.tell(if well { done(hook) } else { failed(hook) });
            }
            Action::Launch(files) if well => {
                self.process = true;
                self.told = files.told;
                self.tell(Event::Launched { pid: 42 });
            }
            Action::Launch(_) => self.tell(Event::LaunchFailed("no".to_owned())),
            Action::StopProcess if self.process => {
                self.process = false;
                self.tell(stopped());
            }
            Action::MeasureSuitability => self.tell(Event::Suitability(1)),
            Action::CheckHealth => self.tell(Event::Checked(Health::Ok, String::new())),
            Action::StopProcess
            | Action::CancelHook(_)
            | Action::Remember(_)
            | Action::ReleaseSwitch
            | Action::ForgetInstallation
            | Action::RememberInstallation
            | Action::EndTurn { .. }
            | Action::End => {}
        }
    }

    /// The config of what was accepted goes with its plan, and with no other.
    fn observe(&mut self) {
        if self.plan == self.accepted.release && self.config != self.accepted.config {
            self.config.clone_from(&self.accepted.config);
            self.tell(Event::ContextChanged);
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Command(command) => self.tell(Event::Command(command)),
            Step::Role(role) => {
                // While a reconfiguration runs its outcome is about the role that it was rendered for.
                if !self.pending.contains(&Action::RunHook(HookName::Reconfigure)) {
                    self.role = role.clone();
                    self.tell(Event::Role(role));
                }
            }
            Step::Ring => self.tell(Event::Ring(RingState::Ready)),
            Step::Binds(met) => self.tell(Event::Binds(if met { vec![] } else { vec!["bind x".to_owned()] })),
            Step::Context => self.tell(Event::ContextChanged),
            Step::Goal { release, config, state, when, turn } => {
                let number = match turn {
                    TurnStep::None => None,
                    TurnStep::Same => (self.turn > 0).then_some((self.turn, TurnKind::Forward)),
                    TurnStep::New(kind) => {
                        self.turn += 1;
                        Some((self.turn, kind))
                    }
                };
                let options = RolloutOptions::default();
                let turn = number.map(|(number, kind)| Turn { rollout: 1, number, kind, options });
                let target = Target { release, config: config.then(|| "1-a".to_owned()), state };
                self.tell(Event::Goal(Goal { target, release_when: when, turn }));
            }
            Step::Wait(ms) => {
                self.rig.pass(Duration::from_millis(ms));
                self.collect();
            }
            Step::Answer { which, well } => self.answer(which, well),
            Step::Crash { lease } => {
                if self.process {
                    self.process = false;
                    let by = if lease { EndedBy::Lease } else { EndedBy::Itself };
                    self.tell(Event::Exited(ProcessEnd { how: "crashed".to_owned(), by }));
                }
            }
        }
    }

    /// Everything turns out well from here on.
    fn calm_down(&mut self) {
        self.take(Step::Ring);
        self.take(Step::Binds(true));
        self.take(Step::Goal {
            release: Some(release(2)),
            config: true,
            state: DesiredState::Up,
            when: When::Now,
            turn: TurnStep::New(TurnKind::Forward),
        });
        for _ in 0..3 {
            self.work_off();
        }
        self.take(Step::Role(Role::Leader(Term(9))));
        self.work_off();
        self.take(Step::Command(Command::Start));
        for _ in 0..40 {
            self.work_off();
            self.take(Step::Wait(31_000));
        }
        self.work_off();
    }

    fn work_off(&mut self) {
        let mut left = 200;
        while !self.pending.is_empty() {
            self.answer(0, true);
            left -= 1;
            assert!(left > 0, "it never comes to rest: {:?}", self.rig.machine);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_there_is_one_process_and_it_runs_once_all_is_well(steps in prop::collection::vec(step(), 0..80)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.calm_down();
        let told = world.rig.machine.snapshot();
        prop_assert_eq!(told.state, ServiceState::Up, "{:?}", world.rig.machine);
        prop_assert!(world.process);
        prop_assert_eq!(world.accepted.release, Some(release(2)), "{:?}", world.rig.machine);
        prop_assert_eq!(world.rig.machine.applied.as_ref().map(|files| files.release), Some(Some(release(2))));
        prop_assert_eq!(world.config.as_deref(), Some("1-a"));
        prop_assert_eq!(world.told, Told::Leads(Term(9)));
    }
}
