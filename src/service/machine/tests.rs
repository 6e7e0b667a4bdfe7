mod rollout;
mod world;

use std::time::Duration;

use super::*;
use crate::base::Term;
use crate::service::spec::BindingMode;

/// A machine, and a clock.
struct Rig {
    machine: Machine,
    now: Now,
}

fn settings(hooks: &[HookName]) -> Settings {
    Settings { hooks: hooks.iter().copied().collect(), installed: true, ..Settings::without_plan(Topology::Standalone) }
}

fn led(hooks: &[HookName]) -> Settings {
    Settings { topology: Topology::Leader, ..settings(hooks) }
}

fn checked() -> Settings {
    let health = Some(HealthPolicy { interval: Duration::from_secs(5), failures: 3 });
    Settings { health, ..settings(&[]) }
}

fn files(config: &str, told: Told) -> Applied {
    Applied {
        release: None,
        revision: None,
        config: config.to_owned(),
        reconfigure: String::new(),
        run: "run".to_owned(),
        told,
    }
}

fn killed() -> Event {
    Event::Exited(ProcessEnd { how: "was killed by SIGKILL".to_owned(), by: EndedBy::Itself })
}

fn stopped() -> Event {
    Event::Exited(ProcessEnd { how: "exited with 0".to_owned(), by: EndedBy::Request })
}

fn done(hook: HookName) -> Event {
    Event::HookEnded { hook, end: HookEnd::Done }
}

fn failed(hook: HookName) -> Event {
    Event::HookEnded { hook, end: HookEnd::Failed("exited with 7: no such key".to_owned()) }
}

const LEADS: Told = Told::Leads(Term(3));
const FOLLOWS: Told = Told::Follows;

impl Rig {
    fn new(topology: Topology) -> Self {
        let now = Now { mono: Mono(1_000_000), wall: Wall(1_000) };
        // It has accepted before what it is told to be.
        let target = Some(Target::default());
        let earlier = Earlier { target: target.clone(), goes_by: target, ..Earlier::default() };
        let mut rig = Self { machine: Machine::new(topology, DesiredState::Up, earlier, now), now };
        rig.tell(Event::Goal(Goal::default()));
        assert_eq!(rig.actions(), [Action::Load(None)]);
        rig
    }

    /// The group is to be up or down, which is written down at once.
    fn group(&mut self, state: DesiredState) -> &mut Self {
        let target = Target { state, ..Target::default() };
        self.tell(Event::Goal(Goal { target: target.clone(), ..Goal::default() }));
        self.tell(Event::Accepted(target))
    }

    /// A service of which everything is known that does not concern the test.
    fn loaded(settings: Settings) -> Self {
        let mut rig = Self::new(settings.topology);
        rig.tell(Event::Ring(RingState::Ready));
        rig.tell(Event::PlanRead(settings));
        rig.tell(Event::NothingToAdopt);
        rig
    }

    /// One that is up, with `config`.
    fn up(settings: Settings, role: Role) -> Self {
        let mut rig = Self::loaded(settings);
        let told = role.told();
        if role != Role::Standalone {
            rig.tell(Event::Role(role));
        }
        rig.tell(Event::Rendered(files("a", told)));
        rig.tell(Event::Launched { pid: 42 });
        if rig.state() == ServiceState::Starting {
            rig.tell(Event::Checked(Health::Ok, String::new()));
        }
        assert_eq!(rig.state(), ServiceState::Up);
        rig.actions();
        rig
    }

    fn tell(&mut self, event: Event) -> &mut Self {
        self.machine.handle(event, self.now);
        self
    }

    fn pass(&mut self, duration: Duration) -> &mut Self {
        self.now.mono = self.now.mono + duration;
        self.now.wall = self.now.wall + duration;
        self.machine.tick(self.now);
        self
    }

    /// Passes exactly as much time as there is to the next timer.
    fn wake(&mut self) -> Duration {
        let due = self.machine.deadline().unwrap().since(self.now.mono);
        self.pass(due);
        due
    }

    fn actions(&mut self) -> Vec<Action> {
        let quiet = |action: &Action| !matches!(action, Action::MeasureSuitability | Action::Accept(..));
        self.machine.drain().into_iter().filter(quiet).collect()
    }

    fn state(&self) -> ServiceState {
        self.machine.snapshot().state
    }

    fn why(&self) -> String {
        self.machine.snapshot().why
    }
}

#[test]
fn nothing_starts_before_the_ring_is_known() {
    let mut rig = Rig::new(Topology::Standalone);
    rig.tell(Event::PlanRead(settings(&[]))).tell(Event::NothingToAdopt);
    assert_eq!(rig.state(), ServiceState::WaitingForRing);
    assert_eq!(rig.actions(), []);
    rig.tell(Event::Ring(RingState::Ready));
    assert_eq!(rig.actions(), [Action::Render]);
}

#[test]
fn a_start_renders_then_runs_init_then_launches() {
    let mut rig = Rig::loaded(settings(&[HookName::Init]));
    assert_eq!(rig.actions(), [Action::Render]);
    rig.tell(Event::Rendered(files("a", FOLLOWS)));
    assert_eq!(rig.actions(), [Action::RunHook(HookName::Init)]);
    assert_eq!(rig.state(), ServiceState::Initializing);
    rig.tell(done(HookName::Init));
    assert_eq!(rig.actions(), [Action::Launch(files("a", FOLLOWS))]);
    assert_eq!(rig.state(), ServiceState::Starting);
    rig.tell(Event::Launched { pid: 42 });
    assert_eq!(rig.actions(), [Action::Remember(files("a", FOLLOWS))]);
    let told = rig.machine.snapshot();
    assert_eq!((told.state, told.pid, told.health, told.launches), (ServiceState::Up, Some(42), Health::Ok, 1));
}

#[test]
fn install_runs_once_and_its_failure_keeps_the_service_from_starting() {
    let fresh = Settings { installed: false, ..settings(&[HookName::Install]) };
    let mut rig = Rig::loaded(fresh.clone());
    assert_eq!(rig.actions(), [Action::RunHook(HookName::Install)]);
    rig.tell(failed(HookName::Install));
    assert_eq!(rig.state(), ServiceState::Failed);
    assert_eq!(rig.why(), "the install hook exited with 7: no such key");
    rig.tell(Event::ContextChanged);
    assert_eq!(rig.actions(), [], "a failed installation is tried again only on request");
    rig.tell(Event::Command(Command::Start)).tell(Event::PlanRead(fresh)).tell(Event::NothingToAdopt);
    assert_eq!(rig.actions(), [Action::Load(None), Action::RunHook(HookName::Install)]);
    rig.tell(done(HookName::Install));
    assert_eq!(rig.actions(), [Action::RememberInstallation, Action::Render]);
}

#[test]
fn strict_binds_are_waited_for_once_and_losing_one_later_stops_nothing() {
    let unmet = || Event::Binds(vec!["bind backend: group web.default has no member that is up".to_owned()]);
    let mut rig = Rig::new(Topology::Standalone);
    rig.tell(Event::Ring(RingState::Ready)).tell(unmet());
    rig.tell(Event::PlanRead(settings(&[]))).tell(Event::NothingToAdopt);
    assert_eq!(rig.state(), ServiceState::WaitingForBinds);
    assert_eq!(rig.why(), "waiting for bind backend: group web.default has no member that is up");
    assert!(!rig.machine.snapshot().eligible);
    rig.tell(Event::Binds(Vec::new()));
    assert_eq!(rig.actions(), [Action::Render]);
    rig.tell(Event::Rendered(files("a", FOLLOWS))).tell(Event::Launched { pid: 42 });
    rig.actions();
    rig.tell(unmet());
    assert_eq!(rig.state(), ServiceState::Up);
    rig.tell(killed());
    rig.wake();
    assert_eq!(rig.actions(), [Action::Render], "a restart does not wait for a bind that was lost");
}

#[test]
fn relaxed_binds_are_not_waited_for() {
    let mut rig = Rig::new(Topology::Standalone);
    rig.tell(Event::Ring(RingState::Ready)).tell(Event::Binds(vec!["bind backend".to_owned()]));
    let relaxed = Settings { binding_mode: BindingMode::Relaxed, ..settings(&[]) };
    rig.tell(Event::PlanRead(relaxed)).tell(Event::NothingToAdopt);
    assert_eq!(rig.actions(), [Action::Render]);
}

#[test]
fn a_led_service_waits_for_a_leader_and_is_eligible_meanwhile() {
    let mut rig = Rig::loaded(led(&[]));
    assert_eq!(rig.state(), ServiceState::WaitingForLeader);
    assert!(rig.machine.snapshot().eligible);
    rig.tell(Event::Role(Role::Leaderless("waiting for 2 more members".to_owned())));
    assert_eq!(rig.why(), "waiting for a leader: waiting for 2 more members");
    assert_eq!(rig.actions(), []);
    rig.tell(Event::Role(Role::Follower));
    assert_eq!(rig.actions(), [Action::Render]);
}

#[test]
fn suitability_is_measured_when_it_begins_to_matter_and_then_at_an_interval() {
    let mut rig = Rig::new(Topology::Leader);
    rig.tell(Event::PlanRead(led(&[]))).tell(Event::NothingToAdopt);
    assert_eq!(rig.machine.drain(), [], "a member that cannot lead was measured");
    rig.tell(Event::Ring(RingState::Ready));
    assert_eq!(rig.machine.drain(), [Action::MeasureSuitability]);
    rig.tell(Event::Suitability(7));
    assert_eq!(rig.machine.snapshot().suitability, Some(7));
    assert_eq!(rig.wake(), SUITABILITY_INTERVAL);
    assert_eq!(rig.machine.drain(), [Action::MeasureSuitability]);
}

#[test]
fn losing_the_leader_measures_suitability_at_once() {
    let mut rig = Rig::up(led(&[HookName::Reconfigure]), Role::Follower);
    rig.tell(Event::Suitability(7));
    rig.actions();
    rig.tell(Event::Role(Role::Leaderless(String::new())));
    assert!(rig.machine.drain().contains(&Action::MeasureSuitability));
}

#[test]
fn a_process_never_begins_as_a_leader_that_it_no_longer_is() {
    let mut rig = Rig::loaded(led(&[HookName::Init]));
    rig.tell(Event::Role(Role::Leader(Term(3)))).tell(Event::Rendered(files("a", LEADS)));
    rig.tell(Event::Role(Role::Follower)).tell(done(HookName::Init));
    let actions = rig.actions();
    assert_eq!(actions, [Action::Render, Action::RunHook(HookName::Init), Action::Render]);
}

#[test]
fn init_failing_backs_off_and_says_why() {
    let mut rig = Rig::loaded(settings(&[HookName::Init, HookName::PostStop]));
    rig.tell(Event::Rendered(files("a", FOLLOWS))).tell(failed(HookName::Init));
    assert_eq!(rig.state(), ServiceState::Backoff);
    assert_eq!(rig.why(), "the init hook exited with 7: no such key; started again after 100ms");
    assert_eq!(rig.actions(), [Action::Render, Action::RunHook(HookName::Init)], "post-stop ran, but nothing had");
    assert_eq!(rig.wake(), Duration::from_millis(100));
    assert_eq!(rig.actions(), [Action::Render]);
}

#[test]
fn a_killed_process_is_back_after_the_least_delay() {
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    rig.tell(killed());
    assert_eq!(rig.state(), ServiceState::Backoff);
    assert_eq!(rig.why(), "the process was killed by SIGKILL; started again after 100ms");
    assert!(rig.machine.snapshot().eligible);
    assert_eq!(rig.machine.snapshot().pid, None);
    assert_eq!(rig.wake(), Duration::from_millis(100));
    rig.tell(Event::Rendered(files("a", FOLLOWS))).tell(Event::Launched { pid: 43 });
    let told = rig.machine.snapshot();
    assert_eq!((told.state, told.pid, told.restarts, told.launches), (ServiceState::Up, Some(43), 1, 2));
    assert_eq!(told.why, "");
}

#[test]
fn the_delay_counts_from_the_exit_not_from_the_end_of_post_stop() {
    let mut rig = Rig::up(settings(&[HookName::PostStop]), Role::Standalone);
    rig.tell(killed());
    assert_eq!(rig.actions(), [Action::RunHook(HookName::PostStop)]);
    rig.pass(Duration::from_secs(3));
    assert_eq!(rig.actions(), [], "it was started while post-stop ran");
    rig.tell(done(HookName::PostStop));
    rig.pass(Duration::ZERO);
    assert_eq!(rig.actions(), [Action::Render]);
}

#[test]
fn it_gives_up_when_told_to_and_a_person_starts_it_again() {
    let restart = RestartPolicy { give_up_after: 1, ..settings(&[]).restart };
    let policy = Settings { restart, ..settings(&[]) };
    let mut rig = Rig::up(policy.clone(), Role::Standalone);
    rig.tell(killed());
    rig.wake();
    rig.tell(Event::Rendered(files("a", FOLLOWS))).tell(Event::Launched { pid: 43 }).tell(killed());
    assert_eq!(rig.state(), ServiceState::Failed);
    assert_eq!(rig.why(), "the process was killed by SIGKILL; given up after 2 failed runs in a row");
    assert_eq!(rig.machine.deadline(), None);
    rig.actions();
    rig.tell(Event::Command(Command::Start)).tell(Event::PlanRead(policy)).tell(Event::NothingToAdopt);
    assert_eq!(rig.actions(), [Action::Load(None), Action::Render]);
}

#[test]
fn a_leader_that_is_stopped_keeps_its_seat_until_its_process_is_gone() {
    let mut rig = Rig::up(led(&[HookName::PostStop]), Role::Leader(Term(1)));
    rig.tell(Event::Command(Command::Stop));
    assert_eq!(rig.state(), ServiceState::Stopping);
    assert!(rig.machine.snapshot().eligible);
    rig.tell(killed());
    assert!(!rig.machine.snapshot().eligible, "it need not wait for its post-stop hook");
}

#[test]
fn a_stop_ends_the_process_first_then_runs_post_stop_and_then_is_done() {
    let mut rig = Rig::up(settings(&[HookName::PostStop]), Role::Standalone);
    rig.tell(Event::Command(Command::Stop));
    assert_eq!(rig.actions(), [Action::StopProcess]);
    assert_eq!(rig.state(), ServiceState::Stopping);
    assert!(!rig.machine.snapshot().eligible);
    rig.tell(stopped());
    assert_eq!(rig.actions(), [Action::RunHook(HookName::PostStop)]);
    assert_eq!(rig.state(), ServiceState::Stopping);
    rig.tell(failed(HookName::PostStop));
    let told = rig.machine.snapshot();
    assert_eq!((told.state, told.why.as_str(), told.restarts), (ServiceState::Down, "stopped on request", 0));
    assert_eq!(told.problems, ["the post-stop hook exited with 7: no such key"]);
}

#[test]
fn pre_stop_ends_before_the_process_is_stopped_and_a_leader_keeps_its_seat_meanwhile() {
    for (command, then) in [
        (Command::Stop, vec![]),
        (Command::Restart, vec![Action::Load(None)]),
        (Command::Unload, vec![Action::ForgetInstallation, Action::End]),
    ] {
        let mut rig = Rig::up(led(&[HookName::PreStop]), Role::Leader(Term(1)));
        rig.tell(Event::Command(command));
        assert_eq!(rig.actions(), [Action::RunHook(HookName::PreStop)]);
        assert_eq!(rig.state(), ServiceState::Stopping);
        assert!(rig.machine.snapshot().eligible);
        rig.tell(done(HookName::PreStop));
        assert_eq!(rig.actions(), [Action::StopProcess]);
        assert_eq!(rig.state(), ServiceState::Stopping);
        assert!(rig.machine.snapshot().eligible);
        rig.tell(stopped());
        assert_eq!(rig.actions(), then);
        assert!(!rig.machine.snapshot().eligible);
    }
}

#[test]
fn pre_stop_runs_for_a_stop_everywhere_and_for_a_restart_that_a_change_asks_for() {
    let mut rig = Rig::up(settings(&[HookName::PreStop]), Role::Standalone);
    rig.group(DesiredState::Down);
    assert_eq!(rig.actions(), [Action::RunHook(HookName::PreStop)]);
    let mut rig = Rig::up(settings(&[HookName::PreStop]), Role::Standalone);
    rig.tell(Event::ContextChanged).tell(Event::Rendered(files("b", FOLLOWS)));
    assert_eq!(rig.actions(), [Action::Render, Action::RunHook(HookName::PreStop)]);
}

#[test]
fn a_pre_stop_that_fails_or_hangs_does_not_keep_the_process_running() {
    for how in ["exited with 7: no such key", "was killed, since it had not ended after 10s"] {
        let mut rig = Rig::up(settings(&[HookName::PreStop]), Role::Standalone);
        rig.tell(Event::Command(Command::Stop));
        rig.actions();
        rig.tell(Event::HookEnded { hook: HookName::PreStop, end: HookEnd::Failed(how.to_owned()) });
        assert_eq!(rig.actions(), [Action::StopProcess]);
        rig.tell(stopped());
        let told = rig.machine.snapshot();
        assert_eq!((told.state, told.why.as_str()), (ServiceState::Down, "stopped on request"));
        assert_eq!(told.problems, [format!("the pre-stop hook {how}")]);
    }
}

#[test]
fn asking_again_during_pre_stop_changes_what_follows_and_runs_nothing_twice() {
    let mut rig = Rig::up(settings(&[HookName::PreStop]), Role::Standalone);
    rig.tell(Event::Command(Command::Stop));
    assert_eq!(rig.actions(), [Action::RunHook(HookName::PreStop)]);
    rig.tell(Event::Command(Command::Stop)).tell(Event::Command(Command::Restart)).tell(Event::Command(Command::Stop));
    rig.group(DesiredState::Down).tell(Event::ContextChanged);
    rig.tell(Event::Command(Command::Start)).group(DesiredState::Up);
    assert_eq!((rig.state(), rig.actions()), (ServiceState::Stopping, vec![]));
    rig.tell(done(HookName::PreStop)).tell(stopped());
    assert_eq!(rig.actions(), [Action::StopProcess, Action::Load(None)], "it was wanted after all");
    let mut rig = Rig::up(settings(&[HookName::PreStop]), Role::Standalone);
    rig.tell(Event::Command(Command::Stop)).tell(Event::Command(Command::Unload)).tell(Event::Command(Command::Start));
    rig.tell(done(HookName::PreStop)).tell(stopped());
    assert!(rig.machine.is_unloaded());
}

#[test]
fn a_process_that_dies_during_pre_stop_is_stopped_as_soon_as_the_hook_is_gone() {
    for end in [killed(), Event::Exited(ProcessEnd { how: "killed".to_owned(), by: EndedBy::Lease })] {
        let mut rig = Rig::up(led(&[HookName::PreStop, HookName::PostStop]), Role::Leader(Term(1)));
        rig.tell(Event::Command(Command::Stop));
        rig.actions();
        rig.tell(end);
        assert_eq!(rig.actions(), [Action::CancelHook(HookName::PreStop)]);
        assert!(!rig.machine.snapshot().eligible);
        rig.tell(failed(HookName::PreStop));
        assert_eq!(rig.actions(), [Action::RunHook(HookName::PostStop)]);
        rig.tell(done(HookName::PostStop));
        let told = rig.machine.snapshot();
        assert_eq!((told.state, told.why.as_str()), (ServiceState::Down, "stopped on request"));
        assert_eq!(told.problems, Vec::<String>::new(), "it was cancelled, which is nobody's fault");
    }
}

#[test]
fn an_end_that_nobody_asked_for_has_no_pre_stop() {
    for end in [killed(), Event::Exited(ProcessEnd { how: "killed".to_owned(), by: EndedBy::Lease })] {
        let mut rig = Rig::up(settings(&[HookName::PreStop]), Role::Standalone);
        rig.tell(end);
        assert!(!rig.actions().contains(&Action::RunHook(HookName::PreStop)));
    }
    let mut rig = Rig::loaded(settings(&[HookName::PreStop]));
    rig.tell(Event::Rendered(files("a", FOLLOWS)))
        .tell(Event::Command(Command::Stop))
        .tell(Event::Launched { pid: 42 });
    assert_eq!(rig.actions().last(), Some(&Action::StopProcess), "what was never up has nothing to drain");
}

#[test]
fn nothing_starts_before_post_stop_has_ended() {
    let mut rig = Rig::up(settings(&[HookName::PostStop]), Role::Standalone);
    rig.tell(Event::Command(Command::Restart)).tell(stopped());
    rig.actions();
    rig.tell(Event::Command(Command::Start)).tell(Event::ContextChanged).pass(Duration::from_secs(100));
    assert_eq!(rig.actions(), []);
    rig.tell(done(HookName::PostStop));
    assert_eq!(rig.actions(), [Action::Load(None)], "a restart reads the plan anew");
}

#[test]
fn a_stop_while_init_hangs_kills_the_hook_and_waits_until_it_is_gone() {
    let mut rig = Rig::loaded(settings(&[HookName::Init]));
    rig.tell(Event::Rendered(files("a", FOLLOWS)));
    rig.actions();
    rig.tell(Event::Command(Command::Stop));
    assert_eq!(rig.actions(), [Action::CancelHook(HookName::Init)]);
    assert_eq!(rig.state(), ServiceState::Stopping);
    rig.tell(failed(HookName::Init));
    assert_eq!((rig.state(), rig.actions()), (ServiceState::Down, vec![]));
}

#[test]
fn a_stop_while_the_process_is_being_launched_stops_it_once_it_is_there() {
    let mut rig = Rig::loaded(settings(&[]));
    rig.tell(Event::Rendered(files("a", FOLLOWS)));
    rig.actions();
    rig.tell(Event::Command(Command::Stop));
    assert_eq!((rig.state(), rig.actions()), (ServiceState::Stopping, vec![]));
    rig.tell(Event::Launched { pid: 42 });
    assert_eq!(rig.actions(), [Action::StopProcess]);
    rig.tell(stopped());
    assert_eq!(rig.state(), ServiceState::Down);
}

#[test]
fn a_launch_that_fails_after_a_stop_ends_down() {
    let mut rig = Rig::loaded(settings(&[HookName::PostStop]));
    rig.tell(Event::Rendered(files("a", FOLLOWS))).tell(Event::Command(Command::Stop));
    rig.actions();
    rig.tell(Event::LaunchFailed("no such file".to_owned()));
    assert_eq!((rig.state(), rig.actions()), (ServiceState::Down, vec![]));
}

#[test]
fn a_stop_in_every_resting_state_ends_down_at_once() {
    let mut waiting = Rig::loaded(led(&[]));
    let mut backoff = Rig::up(settings(&[]), Role::Standalone);
    backoff.tell(killed());
    let mut broken = Rig::loaded(settings(&[]));
    broken.tell(Event::RenderFailed("no".to_owned()));
    assert_eq!(broken.state(), ServiceState::Failed);
    for rig in [&mut waiting, &mut backoff, &mut broken] {
        rig.tell(Event::Command(Command::Stop));
        assert_eq!((rig.state(), rig.machine.deadline()), (ServiceState::Down, None));
    }
}

#[test]
fn a_group_that_is_to_be_down_stops_its_members_and_starts_them_again() {
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    rig.group(DesiredState::Down);
    assert_eq!(rig.actions(), [Action::StopProcess]);
    rig.tell(stopped());
    assert_eq!(rig.why(), "stopped everywhere: the group's desired state is down");
    rig.tell(Event::Command(Command::Start));
    assert_eq!(rig.state(), ServiceState::Loaded);
    rig.tell(Event::PlanRead(settings(&[]))).tell(Event::NothingToAdopt);
    assert_eq!(rig.state(), ServiceState::Down, "a start on one node does not overrule the group");
    rig.actions();
    rig.group(DesiredState::Up);
    assert_eq!(rig.actions(), [Action::Load(None)]);
}

#[test]
fn unloading_stops_then_uninstalls_then_ends() {
    let mut rig = Rig::up(settings(&[HookName::PostStop, HookName::Uninstall]), Role::Standalone);
    rig.tell(Event::Command(Command::Unload));
    assert_eq!(rig.actions(), [Action::StopProcess]);
    rig.tell(stopped()).tell(done(HookName::PostStop));
    rig.tell(Event::Command(Command::Start));
    let hooks = [HookName::PostStop, HookName::Uninstall].map(Action::RunHook);
    assert_eq!(rig.actions(), hooks);
    rig.tell(failed(HookName::Uninstall));
    assert_eq!(rig.actions(), [Action::ForgetInstallation, Action::End]);
    assert!(rig.machine.is_unloaded());
}

#[test]
fn unloading_while_the_plan_is_read_still_finds_and_ends_the_process() {
    let mut rig = Rig::new(Topology::Standalone);
    rig.tell(Event::Command(Command::Unload)).tell(Event::PlanRead(settings(&[])));
    assert_eq!(rig.actions(), []);
    rig.tell(Event::Adopted { pid: 42, since: Wall(5), applied: None });
    assert_eq!(rig.actions(), [Action::StopProcess]);
    rig.tell(stopped());
    assert!(rig.machine.is_unloaded());
}

#[test]
fn an_adopted_process_is_up_at_once_and_left_alone_until_the_view_is_known() {
    let mut rig = Rig::new(Topology::Leader);
    let checked = Settings { topology: Topology::Leader, ..checked() };
    rig.tell(Event::PlanRead(Settings { hooks: [HookName::Reconfigure].into(), ..checked }));
    rig.tell(Event::Adopted { pid: 42, since: Wall(5), applied: Some(files("a", FOLLOWS)) });
    let told = rig.machine.snapshot();
    assert_eq!((told.state, told.pid, told.since, told.launches), (ServiceState::Up, Some(42), Wall(5), 0));
    rig.pass(Duration::ZERO);
    assert_eq!(rig.actions(), [Action::CheckHealth]);
    rig.tell(Event::ContextChanged).tell(Event::Ring(RingState::Ready)).tell(Event::ContextChanged);
    assert_eq!(rig.actions(), [], "an empty view was rendered for a running process");
    rig.tell(Event::Role(Role::Follower));
    assert_eq!(rig.actions(), [Action::Render]);
    rig.tell(Event::Rendered(files("a", FOLLOWS)));
    assert_eq!(rig.actions(), [Action::ReleaseSwitch], "nothing had changed");
}

#[test]
fn a_process_is_adopted_although_its_plan_is_broken() {
    let mut rig = Rig::new(Topology::Standalone);
    rig.tell(Event::Ring(RingState::Ready)).tell(Event::PlanFailed("plan.toml:3:1: unknown key".to_owned()));
    rig.tell(Event::Adopted { pid: 42, since: Wall(5), applied: None }).tell(Event::ContextChanged);
    assert_eq!(rig.actions(), []);
    let told = rig.machine.snapshot();
    assert_eq!((told.state, told.why.as_str()), (ServiceState::Up, "plan.toml:3:1: unknown key"));
    assert_eq!(told.health, Health::Unknown);
    rig.tell(killed());
    rig.wake();
    assert_eq!(rig.actions(), [Action::Load(None)], "it was started without a plan");
    rig.tell(Event::PlanFailed("plan.toml:3:1: unknown key".to_owned())).tell(Event::NothingToAdopt);
    assert_eq!(rig.state(), ServiceState::Failed);
}

#[test]
fn a_broken_plan_is_failed_until_somebody_acts() {
    let mut rig = Rig::new(Topology::Standalone);
    rig.tell(Event::PlanFailed("no plan.toml".to_owned())).tell(Event::NothingToAdopt);
    assert_eq!((rig.state(), rig.why()), (ServiceState::Failed, "no plan.toml".to_owned()));
    rig.tell(Event::Ring(RingState::Ready)).tell(Event::ContextChanged);
    assert_eq!(rig.actions(), []);
    rig.tell(Event::Command(Command::Restart));
    assert_eq!(rig.actions(), [Action::Load(None)]);
}

#[test]
fn a_change_is_rendered_and_the_process_reconfigured_only_if_its_files_differ() {
    let mut rig = Rig::up(settings(&[HookName::Reconfigure]), Role::Standalone);
    rig.tell(Event::ContextChanged);
    assert_eq!(rig.actions(), [Action::Render]);
    rig.tell(Event::Rendered(files("a", FOLLOWS)));
    assert_eq!(rig.actions(), [Action::ReleaseSwitch]);
    rig.tell(Event::ContextChanged).tell(Event::Rendered(files("b", FOLLOWS)));
    assert_eq!(rig.actions(), [Action::Render, Action::RunHook(HookName::Reconfigure)]);
    rig.tell(done(HookName::Reconfigure));
    assert_eq!(rig.actions(), [Action::Remember(files("b", FOLLOWS)), Action::ReleaseSwitch]);
}

#[test]
fn changes_during_a_reconfiguration_are_taken_up_together_when_it_is_through() {
    let mut rig = Rig::up(settings(&[HookName::Reconfigure]), Role::Standalone);
    rig.tell(Event::ContextChanged).tell(Event::Rendered(files("b", FOLLOWS)));
    rig.actions();
    for _ in 0..5 {
        rig.tell(Event::ContextChanged);
    }
    assert_eq!(rig.actions(), []);
    rig.tell(done(HookName::Reconfigure));
    let actions = rig.actions();
    assert_eq!(actions.iter().filter(|action| **action == Action::Render).count(), 1, "{actions:?}");
}

#[test]
fn without_a_reconfigure_hook_a_changed_config_restarts_without_delay() {
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    rig.tell(Event::ContextChanged).tell(Event::Rendered(files("b", FOLLOWS)));
    assert_eq!(rig.actions(), [Action::Render, Action::StopProcess]);
    assert!(rig.machine.snapshot().eligible);
    rig.tell(stopped());
    assert_eq!(rig.actions(), [Action::Render]);
    assert_eq!(rig.machine.snapshot().restarts, 0);
}

#[test]
fn a_changed_run_text_restarts_even_with_a_reconfigure_hook() {
    let mut rig = Rig::up(settings(&[HookName::Reconfigure]), Role::Standalone);
    let rendered = Applied { run: "other".to_owned(), ..files("a", FOLLOWS) };
    rig.tell(Event::ContextChanged).tell(Event::Rendered(rendered));
    assert_eq!(rig.actions(), [Action::Render, Action::StopProcess]);
}

#[test]
fn a_failed_reconfiguration_is_reported_and_offered_again_only_when_something_changes() {
    let mut rig = Rig::up(settings(&[HookName::Reconfigure]), Role::Standalone);
    rig.tell(Event::ContextChanged).tell(Event::Rendered(files("b", FOLLOWS))).tell(failed(HookName::Reconfigure));
    assert_eq!(rig.state(), ServiceState::Up);
    assert_eq!(rig.why(), "the reconfigure hook exited with 7: no such key");
    assert_eq!(rig.machine.deadline(), None);
    rig.actions();
    rig.tell(Event::ContextChanged).tell(Event::Rendered(files("b", FOLLOWS)));
    assert_eq!(rig.actions(), [Action::Render, Action::ReleaseSwitch]);
    rig.tell(Event::ContextChanged).tell(Event::Rendered(files("c", FOLLOWS))).tell(done(HookName::Reconfigure));
    assert_eq!(rig.why(), "");
}

#[test]
fn a_template_that_does_not_render_leaves_the_process_alone() {
    let mut rig = Rig::up(settings(&[HookName::Reconfigure]), Role::Standalone);
    rig.tell(Event::ContextChanged).tell(Event::RenderFailed("redis.conf:3:1: no such helper".to_owned()));
    assert_eq!((rig.state(), rig.why()), (ServiceState::Up, "redis.conf:3:1: no such helper".to_owned()));
    rig.actions();
    rig.wake();
    assert_eq!(rig.actions(), [Action::Render], "a disk that has room again says nothing");
    rig.tell(Event::RenderFailed("redis.conf:3:1: no such helper".to_owned()));
    rig.tell(Event::ContextChanged).tell(Event::Rendered(files("a", FOLLOWS)));
    assert_eq!(rig.why(), "");
}

#[test]
fn a_template_that_never_rendered_keeps_the_service_from_starting_until_something_changes() {
    let mut rig = Rig::loaded(settings(&[]));
    rig.actions();
    rig.tell(Event::RenderFailed("redis.conf:3:1: no such helper".to_owned()));
    assert_eq!((rig.state(), rig.actions()), (ServiceState::Failed, vec![]));
    rig.tell(Event::ContextChanged);
    assert_eq!(rig.actions(), [Action::Render]);
}

#[test]
fn a_service_that_cannot_be_rendered_stays_failed_while_it_is_tried_again() {
    let mut rig = Rig::loaded(settings(&[]));
    rig.tell(Event::RenderFailed("one".to_owned()));
    rig.actions();
    rig.tell(Event::ContextChanged).tell(Event::ContextChanged);
    // Were it anything else meanwhile, templates would see that, and it would be tried again without end.
    assert_eq!((rig.state(), rig.actions()), (ServiceState::Failed, vec![Action::Render]));
    rig.tell(Event::RenderFailed("two".to_owned()));
    assert_eq!((rig.state(), rig.why(), rig.actions()), (ServiceState::Failed, "two".to_owned(), vec![Action::Render]));
    rig.tell(Event::RenderFailed("two".to_owned()));
    assert_eq!((rig.state(), rig.actions()), (ServiceState::Failed, vec![]));
    rig.wake();
    assert_eq!(rig.actions(), [Action::Render], "a disk that has room again says nothing");
    rig.tell(Event::RenderFailed("two".to_owned()));
    rig.tell(Event::ContextChanged).tell(Event::Rendered(files("a", FOLLOWS)));
    assert_eq!((rig.state(), rig.actions()), (ServiceState::Initializing, vec![Action::Render, Action::Render]));
    rig.tell(Event::Rendered(files("a", FOLLOWS)));
    assert_eq!(rig.actions(), [Action::Launch(files("a", FOLLOWS))]);
}

#[test]
fn a_restart_goes_by_the_previous_files_if_the_new_ones_do_not_render() {
    let mut rig = Rig::up(settings(&[]), Role::Standalone);
    rig.tell(killed());
    rig.wake();
    rig.actions();
    rig.tell(Event::RenderFailed("no".to_owned()));
    assert_eq!(rig.actions(), [Action::Launch(files("a", FOLLOWS))]);
}

#[test]
fn the_switch_is_released_only_once_the_process_has_let_go() {
    let mut rig = Rig::up(led(&[HookName::Reconfigure]), Role::Leader(Term(3)));
    rig.tell(Event::Role(Role::Leaderless("the lease ended".to_owned())));
    rig.tell(Event::Rendered(files("a", FOLLOWS)));
    assert_eq!(rig.actions(), [Action::Render, Action::RunHook(HookName::Reconfigure)]);
    rig.tell(done(HookName::Reconfigure));
    assert_eq!(rig.actions(), [Action::Remember(files("a", FOLLOWS)), Action::ReleaseSwitch]);
}

#[test]
fn a_process_that_would_not_let_go_is_left_to_the_switch_and_told_again() {
    let mut rig = Rig::up(led(&[HookName::Reconfigure]), Role::Leader(Term(3)));
    rig.tell(Event::Suitability(0));
    rig.tell(Event::Role(Role::Follower)).tell(Event::Rendered(files("b", FOLLOWS)));
    rig.tell(failed(HookName::Reconfigure));
    assert!(!rig.actions().contains(&Action::ReleaseSwitch));
    assert_eq!(rig.wake(), RETRY_MIN);
    rig.tell(Event::Rendered(files("b", FOLLOWS)));
    assert_eq!(rig.actions(), [Action::Render, Action::RunHook(HookName::Reconfigure)]);
    let end = ProcessEnd { how: "killed".to_owned(), by: EndedBy::Lease };
    rig.tell(Event::Exited(end));
    assert_eq!(rig.actions(), [Action::CancelHook(HookName::Reconfigure)]);
    rig.tell(failed(HookName::Reconfigure));
    assert_eq!(rig.actions(), [Action::Render], "a process stopped for its lease is started again without delay");
}

#[test]
fn a_seat_that_changes_hands_twice_during_a_reconfiguration_ends_as_it_is() {
    let mut rig = Rig::up(led(&[HookName::Reconfigure]), Role::Leader(Term(3)));
    rig.tell(Event::Role(Role::Follower)).tell(Event::Rendered(files("a", FOLLOWS)));
    rig.tell(Event::Role(Role::Leader(Term(5))));
    rig.actions();
    rig.tell(done(HookName::Reconfigure));
    let actions = rig.actions();
    assert!(!actions.contains(&Action::ReleaseSwitch), "a leader ran without its switch: {actions:?}");
    assert!(actions.contains(&Action::Render));
    rig.tell(Event::Rendered(files("a", Told::Leads(Term(5)))));
    assert_eq!(rig.actions(), [Action::RunHook(HookName::Reconfigure)]);
}

#[test]
fn without_a_reconfigure_hook_a_change_of_role_restarts() {
    let mut rig = Rig::up(led(&[]), Role::Follower);
    rig.tell(Event::Role(Role::Leader(Term(3)))).tell(Event::Rendered(files("a", LEADS)));
    assert_eq!(rig.actions(), [Action::Render, Action::StopProcess]);
}

#[test]
fn another_member_leading_restarts_nothing_whose_files_are_the_same() {
    let mut rig = Rig::up(led(&[]), Role::Follower);
    rig.tell(Event::ContextChanged).tell(Event::Rendered(files("a", FOLLOWS)));
    assert_eq!(rig.actions(), [Action::Render, Action::ReleaseSwitch]);
}

#[test]
fn a_checked_service_is_up_with_its_first_success() {
    let mut rig = Rig::loaded(Settings { hooks: [HookName::PostRun].into(), ..checked() });
    rig.tell(Event::Rendered(files("a", FOLLOWS))).tell(Event::Launched { pid: 42 }).pass(Duration::ZERO);
    assert_eq!(rig.actions().last(), Some(&Action::CheckHealth));
    rig.tell(Event::Checked(Health::Critical, "connection refused".to_owned()));
    assert_eq!(rig.why(), "health check: connection refused");
    assert_eq!((rig.state(), rig.wake()), (ServiceState::Starting, Duration::from_millis(25)));
    assert_eq!(rig.actions(), [Action::CheckHealth]);
    rig.tell(Event::Checked(Health::Ok, String::new()));
    assert_eq!((rig.state(), rig.why()), (ServiceState::Up, String::new()));
    assert_eq!(rig.actions(), [Action::RunHook(HookName::PostRun)], "post-run is for a process that is up");
    assert_eq!(rig.wake(), Duration::from_secs(5));
}

#[test]
fn a_service_whose_checks_never_pass_is_up_and_critical_in_the_end() {
    let mut rig = Rig::loaded(checked());
    rig.tell(Event::Rendered(files("a", FOLLOWS))).tell(Event::Launched { pid: 42 });
    let mut waited = Duration::ZERO;
    while rig.state() == ServiceState::Starting {
        waited += rig.wake();
        rig.tell(Event::Checked(Health::Critical, "connection refused".to_owned()));
    }
    let told = rig.machine.snapshot();
    assert_eq!((told.state, told.health), (ServiceState::Up, Health::Critical));
    assert!((15..=20).contains(&waited.as_secs()), "{waited:?}");
}

#[test]
fn post_run_is_tried_again_with_growing_delays() {
    let mut rig = Rig::up(settings(&[HookName::PostRun]), Role::Standalone);
    rig.tell(failed(HookName::PostRun));
    assert_eq!(rig.why(), "the post-run hook exited with 7: no such key; it is tried again");
    assert_eq!(rig.wake(), Duration::from_secs(1));
    rig.tell(failed(HookName::PostRun));
    assert_eq!(rig.wake(), Duration::from_secs(2));
    rig.tell(done(HookName::PostRun));
    assert_eq!((rig.why(), rig.machine.deadline()), (String::new(), None));
}

#[test]
fn a_crash_during_a_reconfiguration_waits_for_the_hook_to_be_gone() {
    let mut rig = Rig::up(settings(&[HookName::Reconfigure]), Role::Standalone);
    rig.tell(Event::ContextChanged).tell(Event::Rendered(files("b", FOLLOWS)));
    rig.actions();
    rig.tell(killed());
    assert_eq!(rig.actions(), [Action::CancelHook(HookName::Reconfigure)]);
    rig.tell(failed(HookName::Reconfigure));
    rig.wake();
    assert_eq!(rig.actions(), [Action::Render]);
}
