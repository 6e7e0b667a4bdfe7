//! The process, as its shim holds it: how it is launched, what its end means, and its dead-man's switch.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::ground::{shim_socket, state_dir};
use super::load::Loaded;
use super::machine::{EndedBy, ProcessEnd};
use crate::base::{GroupId, Mono, Wall, quote};
use crate::plan::Resource as PlanResource;
use crate::shim::log::{Query, Stream, tail};
use crate::shim::{
    Client, ClientError, Exit, ExitHow, LaunchSpec, Limit, LogSpec, Privileges, Resource, StopSpec, StoppedBy,
};

const LOG_BYTES: u64 = 10 * 1024 * 1024;
const LOG_FILES: u32 = 5;
/// How many lines are looked at for the last words of a process: a note of its shim may follow them.
const LAST_LINES: usize = 10;
/// How much of them is told.
const LAST_WORDS_CHARS: usize = 200;
const UMASK: u32 = 0o022;
/// How soon a shim that did not answer is told again. The lease that it has meanwhile only ever ends sooner.
const TELL_AGAIN: Duration = Duration::from_millis(50);
/// How long a process waits to be told that it leads until its shim knows when it must stop leading.
const ARM_TIMEOUT: Duration = Duration::from_secs(2);

/// What is to be launched.
pub(super) fn launch_spec(
    group: &GroupId,
    loaded: &Loaded,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    lease: Option<Mono>,
) -> LaunchSpec {
    let service = &loaded.plan.manifest.service;
    let limit = |value: u64| Limit { soft: Some(value), hard: Some(value) };
    LaunchSpec {
        service: group.clone(),
        argv,
        env,
        cwd: loaded.paths.root.clone(),
        credentials: loaded.account.switch.clone(),
        limits: service.rlimits.iter().map(|(name, value)| (resource(*name), limit(*value))).collect(),
        umask: UMASK,
        privileges: Privileges::MayGain,
        log: LogSpec { dir: loaded.paths.logs.clone(), max_bytes: LOG_BYTES, keep: LOG_FILES },
        stop: stop_spec(loaded),
        socket: shim_socket(&loaded.paths),
        state_dir: state_dir(&loaded.paths),
        lease,
    }
}

/// How the process is stopped.
pub(super) fn stop_spec(loaded: &Loaded) -> StopSpec {
    let service = &loaded.plan.manifest.service;
    StopSpec { signal: service.shutdown_signal.0.into(), timeout: service.shutdown_timeout }
}

fn resource(name: PlanResource) -> Resource {
    match name {
        PlanResource::Nofile => Resource::OpenFiles,
        PlanResource::Nproc => Resource::Processes,
        PlanResource::Core => Resource::Core,
        PlanResource::Memlock => Resource::LockedMemory,
        PlanResource::As => Resource::AddressSpace,
        PlanResource::Stack => Resource::Stack,
    }
}

/// The last that a process wrote, which mostly says why it failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LastWords(Vec<String>);

impl LastWords {
    /// The last line.
    fn line(&self) -> Option<String> {
        let line = self.0.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty())?;
        Some(line.chars().take(LAST_WORDS_CHARS).collect())
    }

    /// All of them.
    pub(super) fn text(&self) -> String {
        self.0.join("\n")
    }
}

/// The last words of a process. Blocks.
pub(super) fn last_words(logs: &Path, started: Wall) -> LastWords {
    // A log that cannot be read keeps nobody from telling the exit.
    let lines = tail(logs, Query { lines: LAST_LINES, since: Some(started) }).unwrap_or_default();
    LastWords(lines.into_iter().filter(|line| line.stream != Stream::Sup).map(|line| line.text).collect())
}

/// What an exit means.
pub(super) fn end_of(exit: &Exit, last_words: &LastWords) -> ProcessEnd {
    let how = match (exit.how, last_words.line()) {
        (ExitHow::Code(code), Some(words)) if code != 0 => format!("{}: {}", exit.how, quote(&words)),
        (ExitHow::Code(_), _) => exit.how.to_string(),
        (ExitHow::Signal(_) | ExitHow::Unseen, _) => format!("was {}", exit.how),
    };
    let by = match exit.stopped_by {
        StoppedBy::Itself => EndedBy::Itself,
        StoppedBy::Asked => EndedBy::Request,
        StoppedBy::Lease => EndedBy::Lease,
    };
    ProcessEnd { how, by }
}

/// When the shim is to stop the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As it was launched.
    AsLaunched,
    At(Mono),
    Never,
}

/// The dead-man's switch of a process: passes on to the shim when it is to stop the process. Only the newest order
/// counts, and one that could not be delivered is delivered again.
#[derive(Debug)]
pub(super) struct Switch {
    order: watch::Sender<Order>,
    told: watch::Receiver<Order>,
    _task: JoinSet<()>,
}

impl Switch {
    /// The switch of a process.
    pub(super) fn new(client: Client) -> Self {
        let (order, orders) = watch::channel(Order::AsLaunched);
        let (tell, told) = watch::channel(Order::AsLaunched);
        let mut task = JoinSet::new();
        task.spawn(deliver(client, orders, tell));
        Self { order, told, _task: task }
    }

    /// The shim stops the process at this instant.
    pub(super) fn arm(&self, until: Mono) {
        self.set(Order::At(until));
    }

    /// The process may run for ever.
    pub(super) fn release(&self) {
        self.set(Order::Never);
    }

    fn set(&self, order: Order) {
        self.order.send_if_modified(|now| std::mem::replace(now, order) != order);
    }

    /// Waits until the shim knows when to stop the process; says whether it does.
    pub(super) fn armed(&self) -> impl Future<Output = bool> + Send + use<> {
        let mut told = self.told.clone();
        async move {
            let armed = told.wait_for(|order| matches!(order, Order::At(_)));
            timeout(ARM_TIMEOUT, armed).await.is_ok_and(|told| told.is_ok())
        }
    }
}

async fn deliver(client: Client, mut orders: watch::Receiver<Order>, tell: watch::Sender<Order>) {
    while orders.changed().await.is_ok() {
        loop {
            let order = *orders.borrow_and_update();
            let until = match order {
                Order::AsLaunched => break,
                Order::At(until) => Some(until),
                Order::Never => None,
            };
            match client.lease(until).await {
                Ok(()) => {
                    tell.send_replace(order);
                    break;
                }
                Err(ClientError::Gone) => return,
                Err(_) => sleep(TELL_AGAIN).await,
            }
        }
    }
}
