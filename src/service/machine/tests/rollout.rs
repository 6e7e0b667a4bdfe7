//! Going to a target, in a turn and outside of one.

use super::*;
use crate::base::Hash;
use crate::census::{Turn, When};
use crate::records::value::{RolloutOptions, TurnKind, TurnPhase};

fn release(byte: u8) -> Hash {
    Hash::from_bytes([byte; 32])
}

fn target(release: Option<Hash>, config: Option<&str>) -> Target {
    Target { release, config: config.map(str::to_owned), state: DesiredState::Up }
}

fn turn(number: u64, kind: TurnKind) -> Turn {
    let options = RolloutOptions { min_healthy_ms: 5_000, deadline_ms: 60_000, ..RolloutOptions::default() };
    Turn { rollout: 1, number, kind, options }
}

fn goal(target: &Target, turn: Option<Turn>) -> Event {
    Event::Goal(Goal { target: target.clone(), release_when: When::Now, turn })
}

/// What is rendered for a target.
fn of(target: &Target, text: &str, told: Told) -> Applied {
    Applied { release: target.release, revision: target.config.clone(), ..files(text, told) }
}

impl Rig {
    fn phase(&self) -> Option<TurnPhase> {
        self.machine.snapshot().turn.map(|report| report.phase)
    }

    fn all(&mut self) -> Vec<Action> {
        let quiet = |action: &Action| !matches!(action, Action::MeasureSuitability);
        self.machine.drain().into_iter().filter(quiet).collect()
    }

    /// The turn that has ended by now, and everything else that there was to do.
    fn end_of_turn(&mut self) -> Option<(TurnPhase, String)> {
        self.machine.drain().into_iter().find_map(|action| match action {
            Action::EndTurn { report, .. } => Some((report.phase, report.why)),
            _ => None,
        })
    }

    /// A turn to another release, up to where the process of that release runs.
    fn swap(&mut self, to: &Target, turn: Turn, settings: Settings) -> &mut Self {
        self.tell(goal(to, Some(turn)));
        if let Some(release) = to.release {
            self.tell(Event::Fetched(release));
        }
        self.tell(Event::Accepted(to.clone()));
        if self.state() == ServiceState::Stopping {
            self.tell(stopped());
        }
        self.tell(Event::PlanRead(settings)).tell(Event::NothingToAdopt);
        let told = self.machine.role.told();
        self.tell(Event::Rendered(of(to, "new", told))).tell(Event::Launched { pid: 43 })
    }
}

#[test]
fn a_turn_fetches_while_the_process_runs_then_accepts_then_stops_loads_and_starts() {
    let mut rig = Rig::up(checked(), Role::Standalone);
    let to = target(Some(release(2)), Some("1-a"));
    rig.tell(goal(&to, Some(turn(7, TurnKind::Forward))));
    assert_eq!(rig.all(), [Action::Fetch(release(2))]);
    assert_eq!((rig.state(), rig.phase()), (ServiceState::Up, Some(TurnPhase::Fetching)));
    rig.tell(Event::Fetched(release(2)));
    assert_eq!(rig.all(), [Action::Accept(to.clone(), Some(turn(7, TurnKind::Forward)))]);
    assert_eq!(rig.state(), ServiceState::Up, "it was stopped before it was written down why");
    rig.tell(Event::Accepted(to.clone()));
    assert_eq!((rig.all(), rig.phase()), (vec![Action::StopProcess], Some(TurnPhase::Applying)));
    rig.tell(stopped());
    assert_eq!(rig.all(), [Action::Load(Some(release(2)))]);
    rig.tell(Event::PlanRead(checked())).tell(Event::NothingToAdopt);
    assert_eq!(rig.all(), [Action::Render]);
    rig.tell(Event::Rendered(of(&to, "new", FOLLOWS)));
    rig.tell(Event::Launched { pid: 43 });
    assert_eq!(rig.phase(), Some(TurnPhase::Verifying));
    assert!(rig.all().contains(&Action::CheckHealth), "the check is run at once");
    assert_eq!(rig.machine.snapshot().target, Some(Target::default()), "it counts as what it was until it is done");
    rig.tell(Event::Checked(Health::Ok, String::new()));
    let mut waited = Duration::ZERO;
    while rig.phase().is_some() {
        let pause = rig.wake();
        assert!(pause <= Duration::from_secs(1), "it was left unwatched for {pause:?}");
        waited += pause;
        rig.tell(Event::Checked(Health::Ok, String::new()));
    }
    assert_eq!(waited, Duration::from_secs(5));
    assert_eq!(rig.end_of_turn(), Some((TurnPhase::Done, String::new())));
    assert_eq!(rig.machine.snapshot().target, Some(to));
}

#[test]
fn with_no_time_to_be_healthy_the_first_ok_is_the_end_of_the_turn() {
    let mut rig = Rig::up(checked(), Role::Standalone);
    let mut turn = turn(7, TurnKind::Forward);
    turn.options.min_healthy_ms = 0;
    rig.swap(&target(Some(release(2)), None), turn, checked());
    rig.tell(Event::Checked(Health::Critical, "not yet".to_owned()));
    assert!(rig.wake() <= Duration::from_millis(250));
    rig.tell(Event::Checked(Health::Ok, String::new()));
    assert_eq!(rig.end_of_turn(), Some((TurnPhase::Done, String::new())));
}

#[test]
fn until_the_first_ok_a_check_follows_every_quarter_of_a_second_at_least() {
    let mut rig = Rig::up(checked(), Role::Standalone);
    rig.swap(&target(Some(release(2)), None), turn(7, TurnKind::Forward), checked());
    let mut waited = Duration::ZERO;
    while rig.phase().is_some() {
        rig.tell(Event::Checked(Health::Critical, "connection refused".to_owned()));
        let pause = rig.wake();
        assert!(pause <= Duration::from_millis(250), "{pause:?}");
        waited += pause;
    }
    assert_eq!(waited, Duration::from_secs(60));
    let why = "not ok within 1m: connection refused";
    assert_eq!(rig.end_of_turn(), Some((TurnPhase::Failed, why.to_owned())));
}

#[test]
fn one_critical_check_after_the_first_ok_fails_the_turn_although_health_is_more_patient() {
    let mut rig = Rig::up(checked(), Role::Standalone);
    rig.swap(&target(Some(release(2)), None), turn(7, TurnKind::Forward), checked());
    rig.tell(Event::Checked(Health::Ok, String::new())).tell(Event::Checked(Health::Critical, "gone".to_owned()));
    let why = "critical after it was ok: gone";
    assert_eq!(rig.end_of_turn(), Some((TurnPhase::Failed, why.to_owned())));
    assert_eq!(rig.machine.snapshot().health, Health::Ok);
    assert_eq!(rig.state(), ServiceState::Up, "a failed turn leaves the service as it is");
}

#[test]
fn a_warning_is_ok_unless_the_rollout_is_strict() {
    for (strict, phase) in [(false, Some(TurnPhase::Done)), (true, None)] {
        let mut rig = Rig::up(checked(), Role::Standalone);
        let mut turn = turn(7, TurnKind::Forward);
        turn.options.min_healthy_ms = 0;
        turn.options.strict = strict;
        rig.swap(&target(Some(release(2)), None), turn, checked());
        rig.tell(Event::Checked(Health::Warning, "slow".to_owned()));
        assert_eq!(rig.end_of_turn().map(|(phase, _)| phase), phase);
    }
}

#[test]
fn a_check_that_cannot_tell_begins_the_healthy_time_anew() {
    let mut rig = Rig::up(checked(), Role::Standalone);
    rig.swap(&target(Some(release(2)), None), turn(7, TurnKind::Forward), checked());
    rig.tell(Event::Checked(Health::Ok, String::new())).pass(Duration::from_secs(4));
    rig.tell(Event::Checked(Health::Unknown, String::new())).tell(Event::Checked(Health::Ok, String::new()));
    rig.pass(Duration::from_millis(4_999)).tell(Event::Checked(Health::Ok, String::new()));
    assert_eq!(rig.phase(), Some(TurnPhase::Verifying));
    rig.pass(Duration::from_millis(1)).tell(Event::Checked(Health::Ok, String::new()));
    assert_eq!(rig.end_of_turn(), Some((TurnPhase::Done, String::new())));
}

#[test]
fn a_check_that_hangs_is_not_outwaited() {
    let mut rig = Rig::up(checked(), Role::Standalone);
    rig.swap(&target(Some(release(2)), None), turn(7, TurnKind::Forward), checked());
    rig.tell(Event::Checked(Health::Ok, String::new()));
    rig.wake();
    rig.actions();
    rig.pass(Duration::from_secs(10));
    assert_eq!(rig.phase(), Some(TurnPhase::Verifying));
    rig.tell(Event::Checked(Health::Critical, "no answer within 10s".to_owned()));
    assert_eq!(rig.end_of_turn().map(|(phase, _)| phase), Some(TurnPhase::Failed));
}

#[test]
fn without_a_check_being_up_for_the_healthy_time_is_enough() {
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    rig.swap(&target(Some(release(2)), None), turn(7, TurnKind::Forward), settings(&[]));
    assert_eq!((rig.phase(), rig.wake()), (Some(TurnPhase::Verifying), Duration::from_secs(5)));
    assert_eq!(rig.end_of_turn(), Some((TurnPhase::Done, String::new())));
}

#[test]
fn an_exit_a_launch_a_hook_a_rendering_and_a_plan_that_fail_fail_the_turn_at_once() {
    let with_hooks = || settings(&[HookName::Install, HookName::Init, HookName::PostRun]);
    let to = target(Some(release(2)), None);
    let begin = |rig: &mut Rig| {
        rig.tell(goal(&to, Some(turn(7, TurnKind::Forward)))).tell(Event::Fetched(release(2)));
        rig.tell(Event::Accepted(to.clone())).tell(stopped());
    };
    let read = |rig: &mut Rig, settings| {
        rig.tell(Event::PlanRead(settings)).tell(Event::NothingToAdopt);
    };
    let rendered = || Event::Rendered(of(&to, "new", FOLLOWS));
    type Fail<'a> = &'a dyn Fn(&mut Rig);
    let failures: [(&str, Fail<'_>); 7] = [
        ("plan.toml:1:1", &|rig| {
            rig.tell(Event::PlanFailed("plan.toml:1:1".to_owned())).tell(Event::NothingToAdopt);
        }),
        ("the install hook exited with 7", &|rig| {
            read(rig, Settings { installed: false, ..with_hooks() });
            rig.tell(failed(HookName::Install));
        }),
        ("redis.conf:3:1", &|rig| {
            read(rig, with_hooks());
            rig.tell(Event::RenderFailed("redis.conf:3:1".to_owned()));
        }),
        ("the init hook exited with 7", &|rig| {
            read(rig, with_hooks());
            rig.tell(rendered()).tell(failed(HookName::Init));
        }),
        ("no such file", &|rig| {
            read(rig, settings(&[]));
            rig.tell(rendered()).tell(Event::LaunchFailed("no such file".to_owned()));
        }),
        ("the process was killed", &|rig| {
            read(rig, settings(&[]));
            rig.tell(rendered()).tell(Event::Launched { pid: 43 }).tell(killed());
        }),
        ("the post-run hook exited with 7", &|rig| {
            read(rig, with_hooks());
            rig.tell(rendered()).tell(done(HookName::Init)).tell(Event::Launched { pid: 43 });
            rig.tell(failed(HookName::PostRun));
        }),
    ];
    for (why, fail) in failures {
        let mut rig = Rig::up(settings(&[]), Role::Standalone);
        begin(&mut rig);
        fail(&mut rig);
        let end = rig.end_of_turn();
        assert!(end.as_ref().is_some_and(|(phase, said)| *phase == TurnPhase::Failed && said.contains(why)), "{end:?}");
        assert_eq!(rig.machine.snapshot().target, Some(Target::default()), "{why}");
    }
}

#[test]
fn a_release_that_cannot_be_had_is_tried_until_the_deadline_while_the_process_runs() {
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    rig.tell(goal(&target(Some(release(2)), None), Some(turn(7, TurnKind::Forward))));
    let mut tries = 0;
    while rig.phase().is_some() {
        if rig.all().contains(&Action::Fetch(release(2))) {
            tries += 1;
            rig.tell(Event::NotFetched(release(2), "no member has it".to_owned()));
            continue;
        }
        rig.wake();
    }
    let why = "its release is not there after 1m: release 020202020202 cannot be had: no member has it";
    assert_eq!(rig.machine.ended.as_ref().map(|report| report.why.as_str()), Some(why));
    assert_eq!((rig.state(), tries > 3), (ServiceState::Up, true));
}

#[test]
fn a_turn_to_what_the_member_is_already_is_verified_and_restarts_nothing() {
    let mut rig = Rig::up(checked(), Role::Standalone);
    rig.tell(goal(&Target::default(), Some(turn(7, TurnKind::Forward))));
    assert_eq!((rig.all(), rig.phase()), (vec![Action::CheckHealth], Some(TurnPhase::Verifying)));
    rig.tell(Event::Checked(Health::Ok, String::new())).pass(Duration::from_secs(5));
    rig.tell(Event::Checked(Health::Ok, String::new()));
    assert_eq!(rig.end_of_turn(), Some((TurnPhase::Done, String::new())));
    assert_eq!(rig.machine.snapshot().launches, 1);
}

#[test]
fn a_turn_that_has_ended_is_not_taken_twice_not_even_by_the_next_task() {
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    let to = target(Some(release(2)), None);
    rig.swap(&to, turn(7, TurnKind::Forward), settings(&[])).tell(killed());
    assert_eq!(rig.end_of_turn().map(|(phase, _)| phase), Some(TurnPhase::Failed));
    rig.tell(goal(&to, Some(turn(7, TurnKind::Forward))));
    assert_eq!((rig.phase(), rig.all()), (None, vec![]));
    let ended = rig.machine.ended.clone();
    let earlier =
        Earlier { target: Some(Target::default()), goes_by: Some(to.clone()), turn: ended, release: to.release };
    let mut next =
        Rig { machine: Machine::new(Topology::Standalone, DesiredState::Up, earlier, rig.now), now: rig.now };
    assert_eq!(next.all(), [Action::Load(Some(release(2)))]);
    next.tell(goal(&to, Some(turn(7, TurnKind::Forward)))).tell(Event::Ring(RingState::Ready));
    next.tell(Event::PlanRead(settings(&[])));
    next.tell(Event::Adopted { pid: 43, since: Wall(5), applied: Some(of(&to, "new", FOLLOWS)) });
    assert_eq!((next.phase(), next.end_of_turn()), (None, None));
}

#[test]
fn a_member_goes_back_from_a_backoff_the_moment_it_is_told_to() {
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    let restart = RestartPolicy { min_backoff: Duration::from_secs(30), ..settings(&[]).restart };
    rig.swap(&target(Some(release(2)), None), turn(7, TurnKind::Forward), Settings { restart, ..settings(&[]) });
    rig.tell(killed());
    assert_eq!(rig.state(), ServiceState::Backoff);
    rig.all();
    rig.tell(goal(&Target::default(), Some(turn(8, TurnKind::Restore)))).tell(Event::Accepted(Target::default()));
    let actions = rig.all();
    assert_eq!(actions.last(), Some(&Action::Load(None)), "{actions:?}");
}

#[test]
fn a_config_that_crashes_is_left_without_waiting_for_the_backoff() {
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    let to = target(None, Some("1-a"));
    rig.tell(goal(&to, Some(turn(7, TurnKind::Forward)))).tell(Event::Accepted(to.clone())).tell(Event::ContextChanged);
    rig.tell(Event::Rendered(of(&to, "bad", FOLLOWS))).tell(stopped());
    rig.tell(Event::Rendered(of(&to, "bad", FOLLOWS))).tell(Event::Launched { pid: 43 }).tell(killed());
    assert_eq!((rig.state(), rig.end_of_turn().is_some()), (ServiceState::Backoff, true));
    // Without a turn, as a member does that is cut off from the updater.
    rig.tell(goal(&Target::default(), None)).tell(Event::Accepted(Target::default()));
    assert_eq!(rig.actions(), [Action::Render]);
}

#[test]
fn a_hook_of_the_failed_release_that_hangs_is_not_waited_for_on_the_way_back() {
    let hooks = [HookName::Init, HookName::PostStop];
    let to = target(Some(release(2)), None);
    let back = |rig: &mut Rig| {
        rig.tell(goal(&Target::default(), Some(turn(8, TurnKind::Restore)))).tell(Event::Accepted(Target::default()));
    };
    let begin = || {
        let mut rig = Rig::up(settings(&[]), Role::Standalone);
        rig.tell(goal(&to, Some(turn(7, TurnKind::Forward)))).tell(Event::Fetched(release(2)));
        rig.tell(Event::Accepted(to.clone())).tell(stopped());
        rig.tell(Event::PlanRead(settings(&hooks))).tell(Event::NothingToAdopt);
        rig.tell(Event::Rendered(of(&to, "new", FOLLOWS)));
        rig
    };
    let mut rig = begin();
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.end_of_turn().map(|(phase, _)| phase), Some(TurnPhase::Failed), "init hangs");
    back(&mut rig);
    assert!(rig.all().contains(&Action::CancelHook(HookName::Init)));
    rig.tell(failed(HookName::Init));
    assert_eq!(rig.all(), [Action::Load(None)]);
    let mut rig = begin();
    rig.tell(done(HookName::Init)).tell(Event::Launched { pid: 43 }).tell(killed());
    assert!(rig.all().contains(&Action::RunHook(HookName::PostStop)));
    back(&mut rig);
    assert!(rig.all().contains(&Action::CancelHook(HookName::PostStop)));
    rig.tell(failed(HookName::PostStop));
    assert_eq!(rig.all(), [Action::Load(None)]);
}

#[test]
fn on_the_way_back_from_a_release_that_was_well_its_hooks_have_their_time() {
    let hooks = settings(&[HookName::PreStop, HookName::PostStop]);
    let to = target(Some(release(2)), None);
    let mut turn_there = turn(7, TurnKind::Forward);
    turn_there.options.min_healthy_ms = 0;
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    rig.swap(&to, turn_there, hooks);
    assert_eq!(rig.end_of_turn(), Some((TurnPhase::Done, String::new())));
    rig.actions();
    rig.tell(goal(&Target::default(), Some(turn(8, TurnKind::Back)))).tell(Event::Accepted(Target::default()));
    assert_eq!(rig.actions(), [Action::RunHook(HookName::PreStop)]);
    rig.tell(Event::ContextChanged).pass(Duration::from_secs(9));
    assert_eq!(rig.actions(), [], "pre-stop was cut short");
    rig.tell(done(HookName::PreStop)).tell(stopped());
    assert_eq!(rig.actions(), [Action::StopProcess, Action::RunHook(HookName::PostStop)]);
    rig.tell(Event::ContextChanged).pass(Duration::from_secs(30));
    assert_eq!(rig.actions(), [], "post-stop was cut short");
    rig.tell(done(HookName::PostStop));
    assert_eq!(rig.actions(), [Action::Load(None)]);
}

#[test]
fn on_the_way_back_from_a_release_that_failed_its_hooks_have_two_seconds() {
    let hooks = Settings { hooks: settings(&[HookName::PreStop, HookName::PostStop]).hooks, ..checked() };
    let to = target(Some(release(2)), None);
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    rig.swap(&to, turn(7, TurnKind::Forward), hooks);
    rig.tell(Event::Checked(Health::Ok, String::new())).tell(Event::Checked(Health::Critical, "gone".to_owned()));
    assert_eq!(rig.end_of_turn().map(|(phase, _)| phase), Some(TurnPhase::Failed));
    rig.actions();
    rig.tell(goal(&Target::default(), Some(turn(8, TurnKind::Restore)))).tell(Event::Accepted(Target::default()));
    assert_eq!(rig.actions(), [Action::RunHook(HookName::PreStop)]);
    rig.tell(Event::ContextChanged).pass(Duration::from_millis(1_900));
    assert_eq!(rig.actions(), []);
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.actions(), [Action::CancelHook(HookName::PreStop)]);
    rig.tell(failed(HookName::PreStop)).tell(stopped());
    assert_eq!(rig.actions(), [Action::StopProcess, Action::RunHook(HookName::PostStop)]);
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.actions(), [Action::CancelHook(HookName::PostStop)]);
    rig.tell(failed(HookName::PostStop));
    assert_eq!(rig.actions(), [Action::Load(None)]);
}

#[test]
fn a_reconfiguration_to_a_bad_config_is_cut_short_and_taken_back() {
    let mut rig = Rig::up(settings(&[HookName::Reconfigure]), Role::Standalone);
    let to = target(None, Some("1-a"));
    rig.tell(goal(&to, Some(turn(7, TurnKind::Forward)))).tell(Event::Accepted(to.clone())).tell(Event::ContextChanged);
    rig.tell(Event::Rendered(of(&to, "bad", FOLLOWS))).pass(Duration::from_secs(60));
    assert_eq!(rig.end_of_turn().map(|(phase, _)| phase), Some(TurnPhase::Failed));
    rig.tell(goal(&Target::default(), Some(turn(8, TurnKind::Restore)))).tell(Event::ContextChanged);
    rig.tell(Event::Accepted(Target::default()));
    assert!(rig.all().contains(&Action::CancelHook(HookName::Reconfigure)));
    rig.tell(failed(HookName::Reconfigure));
    assert_eq!(rig.phase(), Some(TurnPhase::Applying), "what was cut short is no failure of the way back");
    assert_eq!(rig.actions(), [Action::Remember(of(&to, "bad", FOLLOWS)), Action::Render]);
    rig.tell(Event::Rendered(files("a", FOLLOWS))).tell(done(HookName::Reconfigure));
    assert_eq!((rig.state(), rig.phase()), (ServiceState::Up, Some(TurnPhase::Verifying)));
}

#[test]
fn a_failed_reconfiguration_fails_the_turn_and_a_refused_config_does() {
    let to = target(None, Some("1-a"));
    let begin = || {
        let mut rig = Rig::up(settings(&[HookName::Reconfigure]), Role::Standalone);
        rig.tell(goal(&to, Some(turn(7, TurnKind::Forward)))).tell(Event::Accepted(to.clone()));
        rig
    };
    let mut rig = begin();
    rig.tell(Event::ContextChanged).tell(Event::Rendered(of(&to, "b", FOLLOWS))).tell(failed(HookName::Reconfigure));
    let why = "the reconfigure hook exited with 7: no such key".to_owned();
    assert_eq!(rig.end_of_turn(), Some((TurnPhase::Failed, why)));
    let mut rig = begin();
    rig.tell(Event::ConfigRefused("unknown key wrod".to_owned()));
    assert_eq!(rig.end_of_turn(), Some((TurnPhase::Failed, "unknown key wrod".to_owned())));
}

#[test]
fn a_returned_member_loads_what_it_is_to_be_before_it_starts_anything() {
    let now = Now { mono: Mono(1_000_000), wall: Wall(1_000) };
    let mine = target(Some(release(1)), None);
    let earlier = Earlier { target: Some(mine.clone()), goes_by: Some(mine), release: Some(release(1)), turn: None };
    let mut rig = Rig { machine: Machine::new(Topology::Standalone, DesiredState::Up, earlier, now), now };
    assert_eq!(rig.all(), [Action::Load(Some(release(1)))]);
    rig.tell(Event::PlanRead(settings(&[]))).tell(Event::NothingToAdopt);
    let to = target(Some(release(3)), None);
    rig.tell(goal(&to, None));
    assert_eq!((rig.state(), rig.all()), (ServiceState::WaitingForRing, vec![]));
    rig.tell(Event::Ring(RingState::Ready));
    assert_eq!(rig.all(), [Action::Fetch(release(3))]);
    assert_eq!(rig.why(), "waiting for release 030303030303");
    rig.tell(Event::Fetched(release(3)));
    assert_eq!(rig.all(), [Action::Accept(to.clone(), None)]);
    rig.tell(Event::Accepted(to.clone()));
    assert_eq!(rig.all(), [Action::Load(Some(release(3)))]);
    assert_eq!(rig.machine.snapshot().target, Some(to), "it says at once what it is about to start");
    rig.tell(Event::PlanRead(settings(&[]))).tell(Event::NothingToAdopt);
    assert_eq!(rig.all(), [Action::Render]);
}

#[test]
fn a_release_that_is_gone_from_this_node_is_fetched_again_before_a_start_and_not_in_a_tight_loop() {
    let now = Now { mono: Mono(1_000_000), wall: Wall(1_000) };
    let mine = target(Some(release(1)), None);
    let earlier =
        Earlier { target: Some(mine.clone()), goes_by: Some(mine.clone()), release: Some(release(1)), turn: None };
    let mut rig = Rig { machine: Machine::new(Topology::Standalone, DesiredState::Up, earlier, now), now };
    rig.tell(goal(&mine, None)).tell(Event::Ring(RingState::Ready));
    rig.tell(Event::ReleaseMissing(release(1))).tell(Event::NothingToAdopt);
    assert_eq!(rig.all(), [Action::Load(Some(release(1))), Action::Fetch(release(1))]);
    rig.tell(Event::Fetched(release(1)));
    assert_eq!(rig.all(), [Action::Load(Some(release(1)))]);
    rig.tell(Event::ReleaseMissing(release(1))).tell(Event::NothingToAdopt);
    assert_eq!(rig.all(), []);
    assert_eq!(rig.wake(), Duration::from_secs(1));
    assert_eq!(rig.all(), [Action::Fetch(release(1))]);
}

#[test]
fn a_release_for_the_next_start_waits_for_it_and_a_config_does_not() {
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    let wanted = target(Some(release(2)), Some("1-a"));
    let goal = Event::Goal(Goal { target: wanted.clone(), release_when: When::NextStart, turn: None });
    rig.tell(goal);
    let now = target(None, Some("1-a"));
    assert_eq!(rig.all(), [Action::Accept(now.clone(), None)]);
    rig.tell(Event::Accepted(now.clone())).tell(Event::ContextChanged).tell(Event::Rendered(of(&now, "a", FOLLOWS)));
    assert_eq!(rig.state(), ServiceState::Up);
    rig.all();
    rig.tell(killed());
    assert_eq!(rig.all(), [Action::Fetch(release(2))], "a restart after a crash is a start, too");
    rig.tell(Event::Fetched(release(2))).tell(Event::Accepted(wanted));
    assert_eq!(rig.all().last(), Some(&Action::Load(Some(release(2)))));
}

#[test]
fn a_target_that_cannot_be_written_down_changes_nothing_and_is_tried_again() {
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    rig.tell(goal(&target(None, Some("1-a")), None)).tell(Event::NotAccepted("the disk is full".to_owned()));
    assert_eq!((rig.state(), rig.why()), (ServiceState::Up, "the disk is full".to_owned()));
    rig.all();
    rig.wake();
    assert_eq!(rig.all(), [Action::Accept(target(None, Some("1-a")), None)]);
}

#[test]
fn a_member_that_a_person_stopped_has_nothing_to_prove() {
    let mut rig = Rig::up(checked(), Role::Standalone);
    rig.tell(Event::Command(Command::Stop)).tell(stopped());
    let to = target(Some(release(2)), None);
    rig.tell(goal(&to, Some(turn(7, TurnKind::Forward)))).tell(Event::Fetched(release(2)));
    rig.tell(Event::Accepted(to.clone()));
    assert_eq!(rig.end_of_turn(), Some((TurnPhase::Done, String::new())));
    rig.tell(Event::Command(Command::Start));
    assert_eq!(rig.all(), [Action::Load(Some(release(2)))]);
}

#[test]
fn a_turn_that_takes_a_group_down_is_done_when_the_process_is_gone() {
    let mut rig = Rig::up(checked(), Role::Standalone);
    let down = Target { state: DesiredState::Down, ..Target::default() };
    rig.tell(goal(&down, Some(turn(7, TurnKind::Forward)))).tell(Event::Accepted(down));
    assert_eq!(rig.phase(), Some(TurnPhase::Applying));
    rig.tell(stopped());
    assert_eq!(rig.end_of_turn(), Some((TurnPhase::Done, String::new())));
}

#[test]
fn a_leader_hands_its_seat_over_once_its_process_is_gone_and_waits_for_another_to_lead() {
    let to = target(Some(release(2)), None);
    let begin = |successor| {
        let mut rig = Rig::up(led(&[]), Role::Leader(Term(3)));
        rig.tell(Event::Successor(successor)).tell(goal(&to, Some(turn(7, TurnKind::Forward))));
        rig.tell(Event::Fetched(release(2))).tell(Event::Accepted(to.clone()));
        assert!(
            rig.machine.snapshot().eligible,
            "two may take writes when the seat is given back before the process ends"
        );
        rig.tell(stopped()).tell(Event::PlanRead(led(&[]))).tell(Event::NothingToAdopt);
        rig
    };
    let mut rig = begin(Successor::Ready);
    assert_eq!((rig.machine.snapshot().eligible, rig.state()), (false, ServiceState::WaitingForLeader));
    rig.tell(Event::Role(Role::Leaderless("an election is under way".to_owned())));
    assert!(!rig.machine.snapshot().eligible);
    rig.all();
    rig.tell(Event::Role(Role::Follower));
    assert_eq!((rig.machine.snapshot().eligible, rig.all()), (true, vec![Action::Render]));
    // Nobody is there to take it: it is kept.
    let rig = begin(Successor::None);
    assert_eq!((rig.machine.snapshot().eligible, rig.state()), (true, ServiceState::Initializing));
    // Whoever was there is gone: it is taken back.
    let mut rig = begin(Successor::Ready);
    rig.tell(Event::Successor(Successor::None));
    assert!(rig.machine.snapshot().eligible);
    // Nobody takes it.
    let mut rig = begin(Successor::Ready);
    rig.pass(Duration::from_secs(5));
    assert!(rig.machine.snapshot().eligible);
}

#[test]
fn a_leader_keeps_its_seat_all_through_a_swap_that_is_not_to_hand_it_over() {
    let to = target(Some(release(2)), None);
    let mut rig = Rig::up(led(&[]), Role::Leader(Term(3)));
    let mut turn = turn(7, TurnKind::Forward);
    turn.options.hand_over_leader = false;
    rig.tell(Event::Successor(Successor::Ready)).tell(goal(&to, Some(turn)));
    rig.tell(Event::Fetched(release(2))).tell(Event::Accepted(to.clone()));
    for event in [stopped(), Event::PlanRead(led(&[])), Event::NothingToAdopt] {
        rig.tell(event);
        assert!(rig.machine.snapshot().eligible, "{:?}", rig.state());
    }
}

#[test]
fn a_leader_that_is_only_reconfigured_in_its_turn_keeps_its_seat() {
    let mut rig = Rig::up(led(&[HookName::Reconfigure]), Role::Leader(Term(3)));
    let to = target(None, Some("1-a"));
    rig.tell(Event::Successor(Successor::Ready)).tell(goal(&to, Some(turn(7, TurnKind::Forward))));
    rig.tell(Event::Accepted(to.clone())).tell(Event::ContextChanged).tell(Event::Rendered(of(&to, "b", LEADS)));
    rig.tell(done(HookName::Reconfigure));
    assert!(rig.machine.snapshot().eligible);
    assert_eq!(rig.phase(), Some(TurnPhase::Verifying));
}
