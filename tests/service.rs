//! Services with real processes: a shell script as the service, a ring that the test plays.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use sup::base::{GroupId, Hash, Mono, NodeId, Now, Term, Wall};
use sup::census::{ConfigView, ElectionState, Goal, GroupView, Liveness, MemberView, NodeView, SeatView, Turn, When};
use sup::records::value::{
    Grant, Health, MemberStatus, NodeFacts, Rollout, RolloutOptions, RolloutStatus, ServiceState, Strategy, Target,
    Topology, TurnKind, TurnPhase, TurnReport,
};
use sup::service::{
    Command, Deps, Fetching, Handle, HeldLease, LeaseState, Releases, RingState, ServiceSpec, ServiceStatus, spawn,
};
use sup::template::SysContext;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const SUP: &str = env!("CARGO_BIN_EXE_sup");
/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
const ME: NodeId = NodeId::from_u128(1);
const OTHER: NodeId = NodeId::from_u128(2);

fn clock() -> Now {
    let mono = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Now { mono: Mono(0) + Duration::from(mono), wall: Wall(u64::try_from(wall.as_millis()).unwrap()) }
}

fn member(id: NodeId, status: MemberStatus) -> MemberView {
    let address = "127.0.0.1:9638".parse().unwrap();
    let node = NodeView { id, address, liveness: Liveness::Alive, facts: Arc::new(NodeFacts::default()) };
    MemberView { node, status: Arc::new(status), leader: false, updater: false }
}

/// A service, and the world around it.
struct Rig {
    dir: TempDir,
    spec: ServiceSpec,
    handle: Option<Handle>,
    group: watch::Sender<Arc<GroupView>>,
    bound: watch::Sender<Arc<GroupView>>,
    lease: watch::Sender<LeaseState>,
    ring: watch::Sender<RingState>,
    releases: Arc<Store>,
}

/// Releases that a test puts there.
#[derive(Default)]
struct Store {
    here: Mutex<BTreeMap<Hash, PathBuf>>,
    snapshot: Mutex<Option<PathBuf>>,
}

impl Releases for Store {
    fn started_from(&self) -> Option<PathBuf> {
        self.snapshot.lock().unwrap().clone()
    }

    fn local(&self, release: Hash) -> Option<PathBuf> {
        self.here.lock().unwrap().get(&release).cloned()
    }

    fn fetch(&self, release: Hash) -> Fetching {
        let found = self.local(release).ok_or_else(|| "no member has it".to_owned());
        Box::pin(async { found })
    }
}

/// A plan that runs until it is told to stop, and whose config is one word.
const PLAN: &str = r#"
name = "echo"
version = "1"
[service]
run = "exec sleep 1000"
[exports]
word = "word"
"#;

fn write_hook(plan: &Path, name: &str, text: &str) {
    let path = plan.join("hooks").join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

impl Rig {
    fn new(plan: &str, hooks: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("plan");
        fs::create_dir_all(root.join("hooks")).unwrap();
        fs::create_dir_all(root.join("config")).unwrap();
        fs::write(root.join("plan.toml"), plan).unwrap();
        fs::write(root.join("default.toml"), "word = \"one\"\n").unwrap();
        fs::write(root.join("config/echo.conf"), "{{cfg.word}} {{svc.me.leader}}\n").unwrap();
        for (name, text) in hooks {
            write_hook(&root, name, text);
        }
        let spec = ServiceSpec::new("echo".parse().unwrap(), root);
        let mut view = GroupView::empty(spec.group_id());
        view.members.insert(ME, member(ME, MemberStatus::default()));
        view.goal = Some(Goal { target: Target::default(), config: None, release_when: When::NextStart, turn: None });
        let bound: GroupId = "web.default".parse().unwrap();
        Self {
            dir,
            spec,
            handle: None,
            group: watch::Sender::new(Arc::new(view)),
            bound: watch::Sender::new(Arc::new(GroupView::empty(bound))),
            lease: watch::Sender::new(LeaseState::default()),
            ring: watch::Sender::new(RingState::Ready),
            releases: Arc::default(),
        }
    }

    fn led(hooks: &[(&str, &str)]) -> Self {
        let mut rig = Self::new(PLAN, hooks);
        rig.spec.topology = Topology::Leader;
        rig.view(|view| view.election = ElectionState::Running);
        rig
    }

    /// A release of the plan with these hooks besides, that the node has.
    fn release(&self, byte: u8, hooks: &[(&str, &str)]) -> Hash {
        let root = self.dir.path().join(format!("release-{byte}"));
        copy(&self.spec.plan, &root);
        let plan = fs::read_to_string(root.join("plan.toml")).unwrap();
        fs::write(root.join("plan.toml"), plan.replace("version = \"1\"", &format!("version = \"{byte}\""))).unwrap();
        for (name, text) in hooks {
            write_hook(&root, name, text);
        }
        let release = Hash::from_bytes([byte; 32]);
        self.releases.here.lock().unwrap().insert(release, root);
        release
    }

    /// The member is told to be this in a turn.
    fn turn(&self, number: u64, kind: TurnKind, release: Option<Hash>, options: RolloutOptions) {
        self.goal(|goal| {
            goal.target.release = release;
            goal.release_when = When::Now;
            goal.turn = Some(Turn { rollout: 1, number, kind, options });
        });
    }

    async fn end_of_turn(&self, number: u64) -> Arc<ServiceStatus> {
        let has_ended =
            |report: &TurnReport| report.turn == number && matches!(report.phase, TurnPhase::Done | TurnPhase::Failed);
        self.until("the end of the turn", |status| status.member.turn.as_ref().is_some_and(has_ended)).await
    }

    fn start(&mut self) -> &mut Self {
        let bound = self.bound.clone();
        let deps = Deps {
            me: ME,
            sys: Arc::new(SysContext::default()),
            data_dir: self.dir.path().join("data"),
            sup_bin: SUP.into(),
            clock,
            ring: self.ring.subscribe(),
            group: self.group.subscribe(),
            subscribe: Arc::new(move |_| bound.subscribe()),
            lease: self.lease.subscribe(),
            releases: Arc::clone(&self.releases) as Arc<dyn Releases>,
            blobs: None,
        };
        self.handle = Some(spawn(self.spec.clone(), deps));
        self
    }

    /// The ring shows what the member says of itself.
    fn echo(&self) {
        let status = self.handle.as_ref().unwrap().status().borrow().member.clone();
        self.view(|view| {
            view.members.insert(ME, member(ME, status));
        });
    }

    fn view(&self, change: impl FnOnce(&mut GroupView)) {
        self.group.send_modify(|view| change(Arc::make_mut(view)));
    }

    fn apply(&self, revision: &str, toml: &str) {
        let config = ConfigView { revision: revision.to_owned(), toml: toml.into() };
        self.goal(|goal| {
            goal.target.config = Some(revision.to_owned());
            goal.config = Some(config);
        });
    }

    fn goal(&self, change: impl FnOnce(&mut Goal)) {
        self.view(|view| change(view.goal.as_mut().unwrap()));
    }

    /// This member holds the leader's lease for so long from now.
    fn hold(&self, lease: Duration) -> Mono {
        let until = clock().mono + lease;
        self.lease.send_replace(LeaseState { held: Some(HeldLease { term: Term(3), until }) });
        until
    }

    fn lose(&self) {
        self.view(|view| {
            view.leader = Some(SeatView { node: OTHER, term: Term(4) });
            view.election = ElectionState::Finished;
        });
        self.lease.send_replace(LeaseState::default());
    }

    async fn send(&self, command: Command) {
        self.handle.as_ref().unwrap().send(command).await.unwrap();
    }

    async fn until(&self, what: &str, wanted: impl Fn(&ServiceStatus) -> bool) -> Arc<ServiceStatus> {
        let handle = self.handle.as_ref().unwrap();
        match timeout(PATIENCE, handle.wait_for(wanted)).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("waited for: {what}; it is: {:#?}", **handle.status().borrow()),
        }
    }

    async fn up(&self) -> Arc<ServiceStatus> {
        self.until("up", |status| status.member.state == ServiceState::Up).await
    }

    async fn down(&self) -> Arc<ServiceStatus> {
        self.until("down", |status| status.member.state == ServiceState::Down).await
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("data/svc/echo")
    }

    fn conf(&self) -> String {
        fs::read_to_string(self.root().join("config/echo.conf")).unwrap()
    }

    /// What hooks have written to `data/trace`.
    fn trace(&self) -> String {
        fs::read_to_string(self.root().join("data/trace")).unwrap_or_default()
    }

    fn write_user(&self, text: &str) {
        let dir = self.dir.path().join("data/user/echo/config");
        fs::write(dir.join("user.toml"), text).unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.handle = None;
        // Killing a shim kills all that it holds. One whose process has ended is known by its open log alone.
        let mark = self.dir.path().display().to_string();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let is_ours = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&mark);
            let mut files = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
            let has_ours_open =
                files.any(|file| fs::read_link(file.path()).is_ok_and(|to| is_ours(to.as_os_str().as_encoded_bytes())));
            let is_me = pid == Pid::this().as_raw();
            if !is_me && (is_ours(&environment) || is_ours(&command) || has_ours_open) {
                kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
            }
        }
    }
}

fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited for: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_service_comes_up_with_its_files_and_stops_with_its_process_gone() {
    let trace = "echo $1 $SUP_SERVICE.$SUP_GROUP $SUP_IS_LEADER >> {{pkg.svc_data_path}}/trace";
    let init = format!("set init; {trace}");
    let post_stop = format!("set post-stop; {trace}");
    let mut rig = Rig::new(PLAN, &[("init", &init), ("post-stop", &post_stop)]);
    let status = rig.start().up().await;
    let pid = status.member.pid.unwrap();
    assert!(lives(pid));
    assert_eq!(fs::read_to_string(rig.root().join("PID")).unwrap(), format!("{pid}\n"));
    assert_eq!(rig.conf().split(' ').next(), Some("one"));
    assert_eq!(status.member.health, Health::Ok);
    assert_eq!(status.member.exports, BTreeMap::from([("word".to_owned(), "one".into())]));
    assert!(status.files.contains_key(Path::new("config/echo.conf")), "{:?}", status.files);
    assert_eq!(status.hooks["init"].outcome, "exited with 0");
    rig.send(Command::Stop).await;
    assert_eq!(rig.down().await.member.why, "stopped on request");
    assert!(!lives(pid) && !rig.root().join("PID").exists());
    assert_eq!(rig.trace(), "init echo.default false\npost-stop echo.default false\n");
    rig.send(Command::Start).await;
    assert_ne!(rig.up().await.member.pid, Some(pid));
}

#[tokio::test]
async fn pre_stop_runs_beside_the_process_and_one_that_hangs_is_killed_and_the_stop_goes_on() {
    let plan = format!("{PLAN}[hooks.pre-stop]\ntimeout = \"500ms\"\n");
    let hang = "kill -0 $SUP_PID && echo pre-stop >> {{pkg.svc_data_path}}/trace; sleep 1000";
    let mut rig =
        Rig::new(&plan, &[("pre_stop", hang), ("post-stop", "echo post-stop >> {{pkg.svc_data_path}}/trace")]);
    let pid = rig.start().up().await.member.pid.unwrap();
    rig.send(Command::Stop).await;
    let status = rig.down().await;
    assert!(!lives(pid));
    assert_eq!(rig.trace(), "pre-stop\npost-stop\n");
    assert_eq!(status.hooks["pre-stop"].outcome, "was killed, since it had not ended after 500ms");
    assert!(status.problems.iter().any(|problem| problem.starts_with("the pre-stop hook was killed")), "{status:?}");
}

#[tokio::test]
async fn nothing_runs_before_the_ring_is_known() {
    let mut rig = Rig::new(PLAN, &[]);
    rig.ring.send_replace(RingState::Joining);
    rig.start();
    rig.until("waiting", |status| status.member.state == ServiceState::WaitingForRing).await;
    assert!(!rig.root().join("config/echo.conf").exists());
    rig.ring.send_replace(RingState::Ready);
    rig.up().await;
}

#[tokio::test]
async fn a_killed_process_is_back_soon() {
    let mut rig = Rig::new(PLAN, &[]);
    let before = rig.start().up().await.member.pid.unwrap();
    let begun = Instant::now();
    kill(Pid::from_raw(i32::try_from(before).unwrap()), Signal::SIGKILL).unwrap();
    let status = rig.until("a new process", |status| status.member.pid.is_some_and(|pid| pid != before)).await;
    println!("running again after {:?}", begun.elapsed());
    assert_eq!((status.member.restarts, status.launches), (1, 2));
}

#[tokio::test]
async fn a_process_outlives_its_task_and_is_adopted_by_the_next() {
    let mut rig = Rig::led(&[("reconfigure", "echo ran >> {{pkg.svc_data_path}}/trace")]);
    rig.lose();
    let pid = rig.start().up().await.member.pid.unwrap();
    rig.handle = None;
    rig.ring.send_replace(RingState::Joining);
    let status = rig.start().up().await;
    assert_eq!((status.member.pid, status.launches), (Some(pid), 0));
    rig.ring.send_replace(RingState::Ready);
    rig.apply("1-a", "word = \"two\"");
    rig.until("the new config", |status| status.member.config_revision.as_deref() == Some("1-a")).await;
    assert_eq!(rig.trace(), "ran\n", "it was reconfigured for a view that had not changed");
    assert_eq!(rig.conf().split(' ').next(), Some("two"));
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    rig.until("a new process", |status| status.launches == 1).await;
}

#[tokio::test]
async fn an_applied_config_is_in_force_without_a_restart() {
    let mut rig =
        Rig::new(PLAN, &[("reconfigure", "cat {{pkg.svc_config_path}}/echo.conf >> {{pkg.svc_data_path}}/trace")]);
    let before = rig.start().up().await.member.pid;
    let begun = Instant::now();
    rig.apply("1-a", "word = \"two\"");
    let is_one = |status: &ServiceStatus| status.member.config_revision.as_deref() == Some("1-a");
    let status = rig.until("the new config", is_one).await;
    println!("in force after {:?}", begun.elapsed());
    assert_eq!(status.member.pid, before);
    assert!(rig.trace().starts_with("two"), "{:?}", rig.trace());
    assert_eq!(status.member.exports["word"], "two");
    rig.apply("2-b", "word = [");
    let is_bad = |status: &ServiceStatus| status.problems.iter().any(|why| why.contains("2-b:1:"));
    let status = rig.until("the complaint", is_bad).await;
    assert_eq!(status.member.config_revision.as_deref(), Some("1-a"), "what was there before is in force");
    assert!(status.member.pid == before && rig.conf().starts_with("two"));
}

#[tokio::test]
async fn without_a_reconfigure_hook_an_applied_config_restarts() {
    let mut rig = Rig::new(PLAN, &[]);
    let before = rig.start().up().await.member.pid;
    rig.apply("1-a", "word = \"two\"");
    let status = rig.until("a new process", |status| status.launches == 2 && status.member.pid.is_some()).await;
    assert_ne!(status.member.pid, before);
    assert_eq!((status.member.restarts, rig.conf().split(' ').next()), (0, Some("two")));
}

#[tokio::test]
async fn user_toml_is_watched_and_a_broken_one_keeps_what_was() {
    let mut rig = Rig::new(PLAN, &[("reconfigure", "true")]);
    let before = rig.start().up().await.member.pid;
    rig.write_user("word = \"mine\"");
    eventually("the new word", || rig.conf().starts_with("mine")).await;
    rig.write_user("word = \"mine\"\nwrod = 1\n");
    let is_bad = |status: &ServiceStatus| status.member.why.contains("user.toml:2:1");
    let status = rig.until("the complaint", is_bad).await;
    assert!(status.member.pid == before && rig.conf().starts_with("mine"));
    rig.write_user("word = \"again\"");
    eventually("the new word", || rig.conf().starts_with("again")).await;
    rig.until("no complaint", |status| status.problems.is_empty()).await;
}

#[tokio::test]
async fn a_user_toml_that_never_made_sense_keeps_the_service_from_starting_until_it_does() {
    let mut rig = Rig::new(PLAN, &[]);
    fs::create_dir_all(rig.dir.path().join("data/user/echo/config")).unwrap();
    rig.write_user("word = 7");
    rig.start();
    let status = rig.until("failed", |status| status.member.state == ServiceState::Failed).await;
    assert!(status.member.why.contains("user.toml:1:8"), "{}", status.member.why);
    rig.write_user("word = \"mine\"");
    rig.up().await;
}

#[tokio::test]
async fn binds_are_waited_for_and_the_status_says_for_which() {
    let plan = format!("{PLAN}[binds]\nbackend = [\"port\"]\n");
    let mut rig = Rig::new(&plan, &[]);
    rig.spec.binds = vec!["backend:web.default".parse().unwrap()];
    rig.start();
    let status = rig.until("waiting", |status| status.member.state == ServiceState::WaitingForBinds).await;
    assert_eq!(status.member.why, "waiting for bind backend: group web.default has no member that is up");
    let exports = BTreeMap::from([("port".to_owned(), 80.into())]);
    let up = MemberStatus { state: ServiceState::Up, health: Health::Ok, exports, ..MemberStatus::default() };
    rig.bound.send_modify(|view| {
        Arc::make_mut(view).members.insert(OTHER, member(OTHER, up));
    });
    let pid = rig.up().await.member.pid;
    rig.bound.send_modify(|view| Arc::make_mut(view).members.clear());
    rig.apply("1-a", "");
    let status = rig.until("a rendering", |status| status.member.config_revision.as_deref() == Some("1-a")).await;
    assert_eq!((status.member.state, status.member.pid), (ServiceState::Up, pid));
}

#[tokio::test]
async fn what_keeps_a_service_from_running_is_said() {
    let missing = format!("{PLAN}[requires]\ncommands = {{ no-such-command = \"apt-get install it\" }}\n");
    for (plan, hooks, state, why) in [
        (missing.as_str(), vec![], ServiceState::Failed, "no-such-command is not installed; get it with: apt-get"),
        (
            "name = \"other\"\nversion = \"1\"\n[service]\nrun = \"true\"",
            vec![],
            ServiceState::Failed,
            "is that of other",
        ),
        ("nam = 1", vec![], ServiceState::Failed, "plan.toml:1:1"),
        (
            PLAN,
            vec![("init", "echo no luck >&2; exit 3")],
            ServiceState::Backoff,
            "the init hook exited with 3: “no luck”",
        ),
        (PLAN, vec![("install", "exit 1")], ServiceState::Failed, "the install hook exited with 1"),
        (PLAN, vec![("run", "exit 5")], ServiceState::Backoff, "the process exited with status 5"),
    ] {
        let mut rig = Rig::new(plan, &hooks);
        rig.start();
        rig.until(why, |status| status.member.state == state && status.member.why.contains(why)).await;
    }
}

#[tokio::test]
async fn a_hook_that_hangs_is_ended_by_a_stop_and_blocks_nothing() {
    let mut rig = Rig::new(PLAN, &[("init", "echo begun > {{pkg.svc_data_path}}/trace; sleep 1000")]);
    rig.start();
    eventually("the hook", || !rig.trace().is_empty()).await;
    rig.send(Command::Stop).await;
    rig.down().await;
}

#[tokio::test]
async fn a_hook_has_the_time_that_its_plan_gives_it() {
    let plan = format!("{PLAN}[hooks.init]\ntimeout = \"200ms\"\n");
    let mut rig = Rig::new(&plan, &[("init", "sleep 1000")]);
    rig.start();
    let why = "the init hook was killed, since it had not ended after 200ms";
    rig.until(why, |status| status.member.why.contains(why)).await;
}

#[tokio::test]
async fn unloading_uninstalls_and_ends() {
    let trace = "echo ran >> {{pkg.svc_data_path}}/trace";
    let mut rig = Rig::new(PLAN, &[("install", trace), ("uninstall", trace)]);
    let pid = rig.start().up().await.member.pid.unwrap();
    rig.send(Command::Restart).await;
    rig.until("a restart", |status| status.launches == 2).await;
    assert_eq!(rig.trace(), "ran\n", "it was installed twice");
    rig.send(Command::Unload).await;
    rig.until("unloaded", |status| status.unloaded).await;
    assert!(!lives(pid));
    assert_eq!(rig.trace(), "ran\nran\n");
}

const TELL: &str = "echo $SUP_IS_LEADER $SUP_LEADER_TERM >> {{pkg.svc_data_path}}/trace";

#[tokio::test]
async fn a_leader_steps_down_without_being_killed_when_its_lease_is_lost() {
    let mut rig = Rig::led(&[("init", TELL), ("reconfigure", TELL), ("suitability", "echo 7")]);
    rig.start();
    rig.until("suitability", |status| status.member.eligible && status.member.suitability == Some(7)).await;
    let until = rig.hold(Duration::from_secs(3));
    let pid = rig.up().await.member.pid.unwrap();
    assert_eq!(rig.trace(), "true 3\n");
    rig.lose();
    eventually("the step down", || rig.trace() == "true 3\nfalse 4\n").await;
    eventually("the end of the lease", || clock().mono > until + Duration::from_millis(200)).await;
    assert!(lives(pid), "it was killed, although it had stepped down");
}

#[tokio::test]
async fn a_leader_whose_lease_is_not_renewed_steps_down_before_its_end() {
    let mut rig = Rig::led(&[("reconfigure", TELL)]);
    let until = rig.hold(Duration::from_secs(4));
    let pid = rig.start().up().await.member.pid.unwrap();
    eventually("the step down", || rig.trace().starts_with("false")).await;
    assert!(clock().mono < until, "it led on for {:?}", clock().mono.since(until));
    eventually("the end of the lease", || clock().mono > until + Duration::from_millis(200)).await;
    assert!(lives(pid));
}

#[tokio::test]
async fn a_leader_that_would_not_step_down_is_killed_with_the_lease_and_follows_then() {
    let mut rig = Rig::led(&[("reconfigure", "sleep 1000"), ("init", TELL)]);
    let until = rig.hold(Duration::from_secs(3));
    let pid = rig.start().up().await.member.pid.unwrap();
    rig.lose();
    eventually("the end of the old leader", || !lives(pid)).await;
    assert!(clock().mono > until - Duration::from_millis(100), "it was killed before its lease ended");
    rig.until("a follower", |status| status.launches == 2 && status.member.state == ServiceState::Up).await;
    assert_eq!(rig.trace(), "true 3\nfalse 4\n");
}

#[tokio::test]
async fn a_leader_whose_task_is_gone_is_killed_with_the_lease() {
    let mut rig = Rig::led(&[("reconfigure", "true")]);
    let until = rig.hold(Duration::from_secs(3));
    let pid = rig.start().up().await.member.pid.unwrap();
    rig.handle = None;
    eventually("the end of the old leader", || !lives(pid)).await;
    assert!(clock().mono > until - Duration::from_millis(100), "it was killed before its lease ended");
}

#[tokio::test]
async fn a_follower_that_is_promoted_is_told_and_then_dies_with_its_lease() {
    let mut rig = Rig::led(&[("reconfigure", TELL)]);
    rig.lose();
    let pid = rig.start().up().await.member.pid.unwrap();
    rig.hold(Duration::from_secs(3));
    eventually("the promotion", || rig.trace() == "true 3\n").await;
    assert!(lives(pid));
    rig.handle = None;
    eventually("the end of the old leader", || !lives(pid)).await;
}

#[tokio::test]
async fn a_renewed_lease_is_led_on_with() {
    let mut rig = Rig::led(&[("reconfigure", TELL)]);
    let first = rig.hold(Duration::from_secs(2));
    let pid = rig.start().up().await.member.pid.unwrap();
    while clock().mono < first + Duration::from_secs(1) {
        rig.hold(Duration::from_secs(5));
        sleep(Duration::from_millis(100)).await;
    }
    assert!(lives(pid));
    assert_eq!(rig.trace(), "", "a renewal reconfigured it");
}

#[tokio::test]
async fn a_plans_user_runs_the_process_and_its_hooks_and_reads_its_files() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let plan = PLAN.replace("[exports]", "user = \"nobody\"\n[exports]");
    let init =
        "id -un > {{pkg.svc_data_path}}/trace; cat {{pkg.svc_config_path}}/echo.conf >> {{pkg.svc_data_path}}/trace
if touch {{pkg.svc_path}}/x {{pkg.svc_path}}/run/x {{pkg.svc_config_path}}/x 2> /dev/null; then exit 1; fi";
    let mut rig = Rig::new(&plan, &[("init", init)]);
    fs::set_permissions(rig.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let status = rig.start().up().await;
    assert!(rig.trace().starts_with("nobody\none"), "{:?}", rig.trace());
    let about = fs::read_to_string(format!("/proc/{}/status", status.member.pid.unwrap())).unwrap();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid;
    assert!(about.contains(&format!("Uid:\t{nobody}\t{nobody}\t{nobody}")), "{about}");
}

const TRACE: &str = "echo $HOOK {{pkg.version}} >> {{pkg.svc_data_path}}/trace";

fn traced(hook: &str) -> String {
    TRACE.replace("$HOOK", hook)
}

/// A turn that is done at the first ok, and has little time.
fn quick() -> RolloutOptions {
    RolloutOptions { min_healthy_ms: 0, deadline_ms: 2_000, ..RolloutOptions::default() }
}

#[tokio::test]
async fn a_turn_leads_to_another_release_and_back_and_installs_each_once() {
    let (install, init, post_stop) = (traced("install"), traced("init"), traced("post-stop"));
    let mut rig = Rig::new(PLAN, &[("install", &install), ("init", &init), ("post-stop", &post_stop)]);
    let before = rig.start().up().await.member.pid;
    let release = rig.release(2, &[]);
    rig.turn(1, TurnKind::Forward, Some(release), quick());
    let status = rig.end_of_turn(1).await;
    let report = status.member.turn.as_ref().unwrap();
    assert_eq!((report.phase, report.why.as_str()), (TurnPhase::Done, ""));
    assert_eq!(status.member.target.as_ref().unwrap().release, Some(release));
    assert_eq!((status.member.release.as_str(), status.member.ident.as_str()), ("020202020202", "local/echo/2"));
    assert_ne!(status.member.pid, before);
    assert_eq!(rig.trace(), "install 1\ninit 1\npost-stop 1\ninstall 2\ninit 2\n");
    rig.turn(2, TurnKind::Back, None, quick());
    let status = rig.end_of_turn(2).await;
    assert_eq!(status.member.target.as_ref().unwrap().release, None);
    assert_eq!(status.member.ident, "local/echo/1");
    assert_eq!(rig.trace(), "install 1\ninit 1\npost-stop 1\ninstall 2\ninit 2\npost-stop 2\ninit 1\n");
}

#[tokio::test]
async fn a_release_that_fails_its_check_fails_its_turn_with_what_the_check_said_and_is_left_at_once() {
    let mut rig = Rig::new(PLAN, &[("health-check", "exit 0")]);
    let old = rig.start().up().await.member.target.clone();
    let release = rig.release(2, &[("health-check", "echo the schema is unknown; exit 2")]);
    rig.turn(1, TurnKind::Forward, Some(release), quick());
    let status = rig.end_of_turn(1).await;
    let report = status.member.turn.clone().unwrap();
    assert_eq!(report.phase, TurnPhase::Failed);
    assert_eq!(report.why, "not ok within 2s: exited with 2: “the schema is unknown”");
    assert_eq!(report.output, "the schema is unknown\n");
    assert_eq!(
        (status.member.ident.as_str(), &status.member.target),
        ("local/echo/2", &old),
        "it is left, and counts as old"
    );
    let begun = Instant::now();
    rig.turn(2, TurnKind::Restore, None, quick());
    let status = rig.end_of_turn(2).await;
    println!("back after {:?}", begun.elapsed());
    assert_eq!(status.member.turn.as_ref().unwrap().phase, TurnPhase::Done);
    assert_eq!((status.member.ident.as_str(), status.member.health), ("local/echo/1", Health::Ok));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_release_that_exits_or_hangs_is_left_at_once_whatever_its_hooks_do() {
    for hook in [("run", "echo cannot open the database; exit 1"), ("init", "sleep 1000")] {
        let mut rig = Rig::new(PLAN, &[]);
        rig.start().up().await;
        let release = rig.release(2, &[hook, ("post-stop", "sleep 1000")]);
        // Without a check, being up is all that there is to prove, for a while.
        let options = RolloutOptions { min_healthy_ms: 1_000, ..quick() };
        rig.turn(1, TurnKind::Forward, Some(release), options);
        let report = rig.end_of_turn(1).await.member.turn.clone().unwrap();
        assert_eq!(report.phase, TurnPhase::Failed, "{hook:?}");
        if hook.0 == "run" {
            assert_eq!(report.why, "the process exited with status 1: “cannot open the database”");
            assert_eq!(report.output, "cannot open the database");
        }
        let begun = Instant::now();
        rig.turn(2, TurnKind::Restore, None, quick());
        let status = rig.end_of_turn(2).await;
        println!("back from {} after {:?}", hook.0, begun.elapsed());
        assert_eq!(status.member.turn.as_ref().unwrap().phase, TurnPhase::Done, "{hook:?}");
        assert_eq!(status.member.ident, "local/echo/1");
    }
}

#[tokio::test]
async fn a_config_that_the_new_release_does_not_take_fails_the_turn_and_never_reaches_the_old_one() {
    let mut rig = Rig::new(PLAN, &[("reconfigure", "echo ran >> {{pkg.svc_data_path}}/trace")]);
    rig.start().up().await;
    let release = rig.release(2, &[]);
    rig.goal(|goal| {
        goal.target.config = Some("1-a".to_owned());
        goal.config = Some(ConfigView { revision: "1-a".to_owned(), toml: "word = 7".into() });
    });
    rig.turn(1, TurnKind::Forward, Some(release), quick());
    let report = rig.end_of_turn(1).await.member.turn.clone().unwrap();
    assert!(report.phase == TurnPhase::Failed && report.why.contains("group config 1-a:1:8"), "{report:?}");
    assert_eq!(rig.trace(), "");
}

#[tokio::test]
async fn a_supervisor_that_dies_in_a_turn_takes_the_process_up_as_it_is_and_ends_the_turn() {
    let mut rig = Rig::new(PLAN, &[("health-check", "exit 0")]);
    rig.spec.strategy = Strategy::Rolling;
    let old = rig.start().up().await.member.target.clone();
    rig.echo();
    let release = rig.release(2, &[]);
    rig.turn(1, TurnKind::Forward, Some(release), RolloutOptions::default());
    let is_verifying = |report: &TurnReport| report.phase == TurnPhase::Verifying;
    let verifying = |status: &ServiceStatus| status.member.turn.as_ref().is_some_and(is_verifying);
    let pid = rig.until("verifying", verifying).await.member.pid;
    rig.handle = None;
    let grant = Grant { member: ME, turn: 1, kind: TurnKind::Forward };
    let rollout = Rollout { id: 1, status: RolloutStatus::Running, in_turn: vec![grant], ..Rollout::default() };
    rig.view(|view| view.rollout = Some((Term(1), Arc::new(rollout))));
    // What a member is told that has no turn yet.
    rig.goal(|goal| {
        goal.target.release = None;
        goal.turn = None;
    });
    rig.start();
    assert_eq!(rig.handle.as_ref().unwrap().status().borrow().member.target, old, "it says so from its first word on");
    rig.up().await;
    rig.echo();
    rig.turn(1, TurnKind::Forward, Some(release), quick());
    let status = rig.end_of_turn(1).await;
    assert_eq!(status.member.turn.as_ref().unwrap().phase, TurnPhase::Done);
    assert_eq!((status.member.pid, status.launches), (pid, 0), "it was restarted");
    assert_eq!(status.member.target.as_ref().unwrap().release, Some(release));
}
