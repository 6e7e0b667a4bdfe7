//! How the supervisor holds a service: what the task is given, and what it is asked.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::spec::ServiceSpec;
use super::standing::Standing;
use super::status::ServiceStatus;
use super::task::Driver;
use crate::base::{GroupId, Hash, Mono, NodeId, Now, Term};
use crate::blob::Blobs;
use crate::census::GroupView;
use crate::plan::ServicePaths;
use crate::template::SysContext;

/// Commands that wait for the task. They come from people, one at a time per request of the API; a sender waits when
/// this many are pending.
const PENDING_COMMANDS: usize = 16;

/// Reads both clocks. `mono` is `CLOCK_BOOTTIME`, which the shim reads, too.
pub type Clock = fn() -> Now;

/// Gives a view of a group that follows its changes.
pub type Subscribe = Arc<dyn Fn(&GroupId) -> watch::Receiver<Arc<GroupView>> + Send + Sync>;

/// The directory of a release, once it is there; or why it cannot be had.
pub type Fetching = Pin<Box<dyn Future<Output = Result<PathBuf, String>> + Send>>;

/// Where releases come from.
pub trait Releases: Send + Sync {
    /// The directory of the plan that a person started the service from last, as it was then; none: that is not known,
    /// and the directory itself has to do. Blocks.
    fn started_from(&self) -> Option<PathBuf>;

    /// The directory of a release's plan, if the release is on this node. Blocks.
    fn local(&self, release: Hash) -> Option<PathBuf>;

    /// The same, of a release that may have to be fetched from another member first. Dropping the future leaves what
    /// was fetched so far where the next call finds it.
    fn fetch(&self, release: Hash) -> Fetching;
}

/// Whether the ring's state is known well enough to start anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RingState {
    /// The node has not yet joined and synced.
    #[default]
    Joining,
    /// It has; or it has given up on it, and goes by what it knew.
    Ready,
}

/// The lease of the group's leader seat, as held by this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeaseState {
    /// The lease; none while this node does not lead.
    pub held: Option<HeldLease>,
}

/// A lease that this node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLease {
    /// The term of the holding.
    pub term: Term,
    /// When the holder must have let go, unless renewed.
    pub until: Mono,
}

/// Everything that a service needs of the supervisor.
#[derive(Clone)]
pub struct Deps {
    /// This node.
    pub me: NodeId,
    /// What templates are told of this node.
    pub sys: Arc<SysContext>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The binary that runs shims, told to hooks as `SUP_BIN`.
    pub sup_bin: PathBuf,
    /// The clocks.
    pub clock: Clock,
    /// The ring's readiness.
    pub ring: watch::Receiver<RingState>,
    /// The service's own group.
    pub group: watch::Receiver<Arc<GroupView>>,
    /// The groups that it binds to.
    pub subscribe: Subscribe,
    /// The lease of its group's leader seat.
    pub lease: watch::Receiver<LeaseState>,
    /// The releases.
    pub releases: Arc<dyn Releases>,
    /// Where the content of large uploaded files comes from; none where there are none.
    pub blobs: Option<Blobs>,
}

/// What a service may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Run: ends `Down` and `Failed`. The plan is read anew.
    Start,
    /// Stop, and stay stopped. Done when the state is `Down`.
    Stop,
    /// Stop if need be, read the plan anew, run. Done when `launches` of the status has grown.
    Restart,
    /// Stop, undo the installation, and end the task. Done when the status says `unloaded`.
    Unload,
}

/// The service's task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service is not loaded any more")]
pub struct ServiceGone;

/// A service's task. Dropping it ends the task and leaves the process to its shim.
#[derive(Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Arc<ServiceStatus>>,
    task: JoinHandle<()>,
}

/// Starts the task of a service. It adopts the process of an earlier task if that still runs, and goes by the target
/// that task had accepted: reading that file is all that this blocks for.
///
/// Must be called within a tokio runtime.
#[must_use]
pub fn spawn(spec: ServiceSpec, deps: Deps) -> Handle {
    let spec = Arc::new(spec);
    let (commands, incoming) = mpsc::channel(PENDING_COMMANDS);
    let standing = Standing::recall(&ServicePaths::new(&deps.data_dir, &spec.service));
    let mut first = ServiceStatus::loaded(&spec, (deps.clock)());
    first.member.target.clone_from(&standing.target);
    first.member.turn.clone_from(&standing.turn);
    let (publish, status) = watch::channel(Arc::new(first));
    let task = tokio::spawn(Driver::new(spec, standing, deps, incoming, publish).run());
    Handle { commands, status, task }
}

impl Handle {
    /// Asks something of the service. It is done when the status says so.
    ///
    /// # Errors
    /// When the task has ended.
    pub async fn send(&self, command: Command) -> Result<(), ServiceGone> {
        self.commands.send(command).await.map_err(|_| ServiceGone)
    }

    /// The status, now and as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Arc<ServiceStatus>> {
        self.status.clone()
    }

    /// Waits until the status is as wanted, and returns it.
    ///
    /// # Errors
    /// When the task ends before.
    pub async fn wait_for(&self, wanted: impl Fn(&ServiceStatus) -> bool) -> Result<Arc<ServiceStatus>, ServiceGone> {
        let mut status = self.status.clone();
        let found = status.wait_for(|status| wanted(status)).await.map_err(|_| ServiceGone)?;
        Ok(Arc::clone(&found))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}
