//! The driver of one service: performs what the machine decides, and feeds it what happened.
//!
//! Everything that takes time runs beside it, in tasks that end with it: hooks, checks, rendering, the shim. They report
//! through one channel. At most one of each kind is under way, so [`PENDING_EVENTS`] is never reached; were it, the
//! sender would wait.
//!
//! - `observe`: from views, lease and config to what the machine is told and what templates see.
//! - `stand`: what the member goes by, and how its turns end, to the disk.
//! - `act`: from actions to tasks.
//! - `files`: uploaded files, to the disk.
//! - `report`: from all of it to the status.

mod act;
mod files;
mod observe;
mod report;
mod stand;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::handle::{Command, Deps};
use super::health::Verdict;
use super::hook::HookRun;
use super::lease::Lease;
use super::load::{Loaded, Unusable};
use super::log::HookLog;
use super::machine::{Applied, Earlier, Event, HookEnd, Machine, Told};
use super::process::{LastWords, Switch, end_of};
use super::render::Rendered;
use super::spec::ServiceSpec;
use super::standing::{Keeper, Standing};
use super::status::{HookReport, ServiceStatus};
use super::watch::FileWatch;
use super::{ground, hook, render};
use crate::base::{FileName, Hash, Mono, Name, Now};
use crate::census::{ConfigView, GroupView};
use crate::plan::{HookName, ServicePaths};
use crate::records::value::MemberStatus;
use crate::shim::{Client, Exit};

/// Reports of tasks that wait to be taken. There are about a dozen kinds of tasks and one of each at a time.
const PENDING_EVENTS: usize = 64;
/// How long a service that does not run waits for its turn to be given again, which it was in when its supervisor
/// ended: for longer than it takes to seat another updater.
const TURN_AWAITED: Duration = Duration::from_secs(5);
/// How long the task sleeps when nothing is due. Anything that happens wakes it.
const IDLE: Duration = Duration::from_secs(3600);

/// What a task beside the driver reports.
#[derive(Debug)]
enum Report {
    Loaded {
        loaded: Result<Arc<Loaded>, Unusable>,
        user: Result<String, String>,
    },
    /// There may be a shim, and it cannot be spoken to; it is tried again.
    NotYetFound(String),
    Found {
        client: Option<Client>,
        applied: Option<Applied>,
    },
    User(Result<String, String>),
    /// Where the member stands is on the disk, or is not.
    Kept {
        standing: Standing,
        kept: Result<(), String>,
    },
    Fetched {
        release: Hash,
        outcome: Result<PathBuf, String>,
    },
    Rendered {
        id: u64,
        rendered: Result<Rendered, String>,
    },
    HookEnded {
        hook: HookName,
        run: HookRun,
    },
    Checked {
        id: u64,
        verdict: Verdict,
        took: Duration,
    },
    Suitability(HookRun),
    /// These uploaded files are other than before.
    FilesChanged(Vec<FileName>),
    /// All uploaded files are as they were in force under this name.
    FilesPlaced(Option<String>),
    /// Why they are not in place yet.
    FilesMissing(String),
    FileHook(HookRun),
    Launched(Result<Client, String>),
    Exited {
        pid: u32,
        exit: Exit,
        last_words: LastWords,
    },
}

/// Which run is the newest. What older ones report is of no interest.
#[derive(Debug, Default)]
struct Newest {
    render: u64,
    check: u64,
}

/// The driver.
pub(super) struct Driver {
    spec: Arc<ServiceSpec>,
    deps: Deps,
    commands: mpsc::Receiver<Command>,
    publish: watch::Sender<Arc<ServiceStatus>>,
    machine: Machine,
    paths: ServicePaths,
    /// The program that shims run.
    shim: PathBuf,
    user_toml: PathBuf,
    user_watch: Option<FileWatch>,
    loaded: Option<Arc<Loaded>>,
    /// Where the member stands, as far as that is on the disk; what was asked to be written last; and who writes it.
    standing: Standing,
    written: Standing,
    keeper: Keeper,
    fetching: Option<AbortHandle>,
    /// The group's config that belongs to what the member goes by; none before it is known, which is not the same as
    /// there being none.
    in_force: Option<Option<ConfigView>>,
    /// Whether this task ever learned what the member is to be.
    told_goal: bool,
    config: Config,
    binds: BTreeMap<Name, watch::Receiver<Arc<GroupView>>>,
    bind_changed: Arc<Notify>,
    lease: Lease,
    /// Something that the machine or templates are told of may have changed.
    stale: bool,
    /// What templates see, or why there is nothing to see.
    context: Result<Arc<Value>, String>,
    context_hash: [u8; 32],
    /// The group config's revision that `context` was made of.
    context_revision: Option<String>,
    /// The role that `context` shows.
    told: Told,
    rendered: Option<Arc<Rendered>>,
    /// The group config's revision that was rendered last, and the one that the process goes by.
    rendered_revision: Option<String>,
    revision: Option<String>,
    client: Option<Client>,
    /// What the last process wrote at its end.
    last_words: String,
    switch: Option<Switch>,
    newest: Newest,
    cancels: BTreeMap<HookName, CancellationToken>,
    hook_reports: BTreeMap<String, HookReport>,
    log: HookLog,
    files: files::Files,
    /// Why a shim that may be there cannot be spoken to.
    unreachable: Option<String>,
    member: MemberStatus,
    /// Until when a turn that an earlier task was in is waited for.
    turn_awaited_until: Mono,
    /// Held by whoever writes files of the service.
    writing: Arc<Mutex<()>>,
    reports: mpsc::Receiver<Report>,
    report: mpsc::Sender<Report>,
    tasks: JoinSet<()>,
}

impl Driver {
    pub(super) fn new(
        spec: Arc<ServiceSpec>,
        standing: Standing,
        deps: Deps,
        commands: mpsc::Receiver<Command>,
        publish: watch::Sender<Arc<ServiceStatus>>,
    ) -> Self {
        let paths = ServicePaths::new(&deps.data_dir, &spec.service);
        let user_toml = match &spec.config_from {
            Some(dir) => dir.join("user.toml"),
            None => paths.user_toml.clone(),
        };
        let earlier = Earlier {
            target: standing.target.clone(),
            goes_by: standing.goes_by().cloned(),
            turn: standing.turn.clone(),
            release: match render::recall(&paths) {
                Some(applied) => applied.release,
                None => standing.goes_by().and_then(|target| target.release),
            },
        };
        let turn_awaited_until = (deps.clock)().mono + TURN_AWAITED;
        let machine = Machine::new(spec.topology, spec.desired, earlier, (deps.clock)());
        let (report, reports) = mpsc::channel(PENDING_EVENTS);
        let (log, writing) = HookLog::new(ground::hook_logs(&paths), deps.clock);
        let mut tasks = JoinSet::new();
        tasks.spawn(writing);
        let reply = report.clone();
        let (keeper, keeping) = Keeper::new(paths.clone(), move |standing, kept| {
            let reply = reply.clone();
            // Nobody is left to be told when the driver has ended.
            async move { reply.send(Report::Kept { standing, kept }).await.unwrap_or_default() }
        });
        tasks.spawn(keeping);
        let bind_changed = Arc::new(Notify::new());
        let mut binds = BTreeMap::new();
        for bind in &spec.binds {
            let view = (deps.subscribe)(&bind.group);
            tasks.spawn(tell_of_changes(view.clone(), Arc::clone(&bind_changed)));
            binds.insert(bind.name.clone(), view);
        }
        let member = publish.borrow().member.clone();
        Self {
            spec,
            commands,
            publish,
            machine,
            paths,
            shim: shim_program(&deps.sup_bin),
            user_toml,
            user_watch: None,
            loaded: None,
            written: standing.clone(),
            standing,
            keeper,
            fetching: None,
            in_force: None,
            told_goal: false,
            config: Config::default(),
            binds,
            bind_changed,
            lease: Lease::default(),
            stale: true,
            context: Err("the plan is not read yet".to_owned()),
            context_hash: [0; 32],
            context_revision: None,
            told: Told::Follows,
            rendered: None,
            rendered_revision: None,
            revision: None,
            client: None,
            last_words: String::new(),
            switch: None,
            newest: Newest::default(),
            cancels: BTreeMap::new(),
            hook_reports: BTreeMap::new(),
            log,
            files: files::Files::default(),
            unreachable: None,
            member,
            turn_awaited_until,
            writing: Arc::default(),
            reports,
            report,
            tasks,
            deps,
        }
    }

    /// Runs until the service is unloaded.
    pub(super) async fn run(mut self) {
        loop {
            if std::mem::take(&mut self.stale) {
                self.observe();
            }
            self.machine.tick(self.now());
            self.perform();
            self.publish();
            if self.machine.is_unloaded() {
                return;
            }
            self.wait().await;
        }
    }

    fn now(&self) -> Now {
        (self.deps.clock)()
    }

    /// Waits until something happens, and takes note of it.
    async fn wait(&mut self) {
        let now = self.now().mono;
        let awaited = Some(self.turn_awaited_until).filter(|until| now < *until && self.standing.in_turn().is_some());
        let due = self.machine.deadline().into_iter().chain(self.lease.deadline(now)).chain(awaited).min();
        let pause = if self.stale { Duration::ZERO } else { due.map_or(IDLE, |due| due.since(now)) };
        tokio::select! {
            Some(report) = self.reports.recv() => self.take(report),
            command = self.commands.recv() => match command {
                Some(command) => self.tell(Event::Command(command)),
                // The handle is being dropped, which ends this task.
                None => std::future::pending().await,
            },
            Ok(()) = self.deps.lease.changed() => self.stale = true,
            Ok(()) = self.deps.group.changed() => self.stale = true,
            Ok(()) = self.deps.ring.changed() => self.stale = true,
            () = self.bind_changed.notified() => self.stale = true,
            () = user_changed(self.user_watch.as_ref()) => self.read_user(),
            // The lease may be about to end, or the wait for a turn to be over, too.
            () = sleep(pause) => self.stale = self.stale || self.lease.until().is_some() || awaited.is_some(),
            Some(_) = self.tasks.join_next() => {}
        }
    }

    fn tell(&mut self, event: Event) {
        let now = self.now();
        self.machine.handle(event, now);
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Loaded { loaded, user } => self.plan_loaded(loaded, user),
            Report::NotYetFound(why) => self.unreachable = Some(why),
            Report::Found { client, applied } => self.found(client, applied),
            Report::User(user) => self.user_read(user),
            Report::Kept { standing, kept } => self.kept(standing, kept),
            Report::Fetched { release, outcome: Ok(_) } => self.tell(Event::Fetched(release)),
            Report::Fetched { release, outcome: Err(why) } => self.tell(Event::NotFetched(release, why)),
            Report::Rendered { id, rendered } if id == self.newest.render => match rendered {
                Ok(rendered) => {
                    let applied = rendered.applied.clone();
                    self.rendered_revision.clone_from(&applied.revision);
                    self.rendered = Some(Arc::new(rendered));
                    self.tell(Event::Rendered(applied));
                }
                Err(why) => self.tell(Event::RenderFailed(why)),
            },
            Report::HookEnded { hook, run } => {
                self.cancels.remove(&hook);
                self.keep_report(hook, &run);
                let end = match run.outcome {
                    hook::Outcome::Exited(0) => HookEnd::Done,
                    _ => HookEnd::Failed(run.summary()),
                };
                self.tell(Event::HookEnded { hook, end });
            }
            Report::Checked { id, verdict, took } if id == self.newest.check => {
                self.keep_verdict(&verdict, took);
                self.tell(Event::Checked(verdict.health, verdict.said));
            }
            // Of a rendering or a check that a newer one has replaced.
            Report::Rendered { .. } | Report::Checked { .. } => {}
            Report::Suitability(run) => {
                self.keep_report(HookName::Suitability, &run);
                let said = match run.outcome {
                    hook::Outcome::Exited(0) => run.output.last_stdout_line().and_then(|line| line.trim().parse().ok()),
                    _ => None,
                };
                self.tell(Event::Suitability(said.unwrap_or(0)));
            }
            Report::FilesChanged(changed) => self.files_changed(changed),
            Report::FilesPlaced(revision) => self.files_placed(revision),
            Report::FilesMissing(why) => self.files_missing(why),
            Report::FileHook(run) => self.keep_report(HookName::FileUpdated, &run),
            Report::Launched(Ok(client)) => {
                let pid = client.pid();
                self.hold(client);
                self.tell(Event::Launched { pid });
                self.stale = true;
            }
            Report::Launched(Err(why)) => self.tell(Event::LaunchFailed(why)),
            Report::Exited { pid, exit, last_words } => {
                if self.client.as_ref().is_some_and(|client| client.pid() == pid) {
                    self.client = None;
                    self.switch = None;
                    let removed = ground::remove_pid(&self.paths);
                    self.complain("cannot remove the file with the process id", removed);
                    self.newest.check += 1;
                    self.last_words = last_words.text();
                    self.tell(Event::Exited(end_of(&exit, &last_words)));
                }
            }
        }
    }

    fn perform(&mut self) {
        loop {
            let actions = self.machine.drain();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.act(action);
            }
        }
    }

    /// Runs something beside the driver, which ends with it.
    fn beside(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
}

/// This very program is run by what the kernel has of it: its file may be another version by now, or be gone.
fn shim_program(sup_bin: &Path) -> PathBuf {
    let is_this = std::env::current_exe().is_ok_and(|this| this == sup_bin);
    if is_this { PathBuf::from("/proc/self/exe") } else { sup_bin.to_owned() }
}

async fn tell_of_changes(mut view: watch::Receiver<Arc<GroupView>>, changed: Arc<Notify>) {
    while view.changed().await.is_ok() {
        changed.notify_one();
    }
}

async fn user_changed(watch: Option<&FileWatch>) {
    if let Some(watch) = watch
        && watch.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
