//! The blobs that this node wants, and is getting.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error as _;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, warn};

use super::counters::{BlobCounters, BlobTraffic};
use super::error::BlobError;
use super::fetch::Fetch;
use super::list::BLOB_BYTES_MAX;
use super::serve::Server;
use super::store::{BlobStore, Pin};
use crate::base::{BlobRef, Hash};
use crate::net::{Dialer, Opened};

/// How many blobs are fetched at once. The others have their turn.
const FETCHES_MAX: usize = 4;
/// Helper threads for what takes long: reading what there is of a blob, and making a whole one durable.
const HELPERS: usize = 2;
/// How long it takes until a blob that could not be stored is tried again; doubled each time, at most.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Asked whenever sources are needed: the addresses of the members that may have something.
pub type Sources = Arc<dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = Vec<SocketAddr>> + Send>> + Send + Sync>;

/// How far it is with a wanted blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobStatus {
    /// Which blob.
    pub blob: BlobRef,
    /// How many bytes of it are here.
    pub done: u64,
    /// What goes on.
    pub state: BlobState,
}

/// What goes on with a wanted blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobState {
    /// It is being fetched, or has its turn soon.
    Fetching,
    /// It cannot be stored at this time, for this reason. It is tried again.
    Stuck {
        /// Why.
        why: String,
    },
    /// All of it is here.
    Whole,
}

/// A blob is not wanted, or not any more: nobody fetches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("blob {} is not wanted on this node", .0.short())]
pub struct NotWanted(pub Hash);

/// What is wanted, and how far it is.
#[derive(Debug, Default)]
pub(super) struct Wants(Mutex<BTreeMap<Hash, Want>>);

#[derive(Debug)]
struct Want {
    status: watch::Sender<BlobStatus>,
    /// What fetches it. Dropping it ends that.
    _task: Option<AbortOnDropHandle<()>>,
    _pin: Pin,
}

impl Wants {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Hash, Want>> {
        // Each change under the lock is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn contains(&self, id: Hash) -> bool {
        self.lock().contains_key(&id)
    }

    fn show(&self, id: Hash, change: impl FnOnce(&mut BlobStatus)) {
        if let Some(want) = self.lock().get(&id) {
            want.status.send_modify(change);
        }
    }
}

/// The blobs of this node: what it has, and what it wants. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Blobs(Arc<Inner>);

struct Inner {
    store: Arc<BlobStore>,
    wants: Arc<Wants>,
    counters: Arc<BlobCounters>,
    dialer: Dialer,
    sources: Sources,
    runtime: Handle,
    fetches: Arc<Semaphore>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blobs").field("store", &self.store).field("wants", &self.wants).finish_non_exhaustive()
    }
}

/// What it takes to share blobs with others.
pub struct BlobsConfig {
    /// Where they are kept.
    pub store: Arc<BlobStore>,
    /// Connects to others.
    pub dialer: Dialer,
    /// The streams that others open.
    pub streams: mpsc::Receiver<Opened>,
    /// Whom to ask.
    pub sources: Sources,
}

/// The thread that moves blobs. When it is dropped, the thread ends soon; nobody waits for it.
#[derive(Debug)]
pub struct BlobThread {
    end: DropGuard,
    thread: JoinHandle<()>,
}

impl BlobThread {
    /// Ends the thread, and waits for it.
    pub fn stop(self) {
        drop(self.end);
        if self.thread.join().is_err() {
            error!("the thread that moves blobs panicked");
        }
    }
}

impl Blobs {
    /// Starts the thread that moves blobs. It reads and writes the disk between what it sends and receives, and no
    /// other thread waits for it: neither the ring's nor the services'.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn start(config: BlobsConfig) -> io::Result<(Self, BlobThread)> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(HELPERS)
            .thread_keep_alive(Duration::from_secs(1))
            .build()?;
        let (wants, counters) = (Arc::new(Wants::default()), Arc::new(BlobCounters::default()));
        let server = Arc::new(Server::new(Arc::clone(&config.store), Arc::clone(&wants), Arc::clone(&counters)));
        let blobs = Self(Arc::new(Inner {
            store: config.store,
            wants,
            counters,
            dialer: config.dialer,
            sources: config.sources,
            runtime: runtime.handle().clone(),
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
        }));
        let end = CancellationToken::new();
        let ended = end.clone();
        let thread = thread::Builder::new().name("blobs".to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = server.run(config.streams) => {}
                    () = ended.cancelled() => {}
                }
            });
            // A helper that hangs on a dead disk is not waited for.
            runtime.shutdown_background();
        })?;
        Ok((blobs, BlobThread { end: end.drop_guard(), thread }))
    }

    /// The blobs that are here.
    #[must_use]
    pub fn store(&self) -> &Arc<BlobStore> {
        &self.0.store
    }

    /// What went in and out.
    #[must_use]
    pub fn traffic(&self) -> BlobTraffic {
        self.0.counters.snapshot()
    }

    /// Wants a blob, from now on until [`Self::unwant`]: it is fetched from whichever members have it, for as long as
    /// it takes, and kept. Wanting what is wanted already changes nothing. `limit` is the most bytes that it may have.
    ///
    /// # Errors
    /// It is over the limit; then it is not wanted, and nothing was stored or allocated.
    pub fn want(&self, blob: BlobRef, limit: u64) -> Result<(), BlobError> {
        let limit = limit.min(BLOB_BYTES_MAX);
        if blob.bytes > limit {
            return Err(BlobError::TooLarge { limit });
        }
        let inner = &self.0;
        let mut wants = inner.wants.lock();
        if let Entry::Vacant(place) = wants.entry(blob.id) {
            let whole = inner.store.has(blob.id);
            let status = match whole {
                true => BlobStatus { blob, done: blob.bytes, state: BlobState::Whole },
                false => BlobStatus { blob, done: 0, state: BlobState::Fetching },
            };
            let task = (!whole).then(|| AbortOnDropHandle::new(inner.runtime.spawn(get(Arc::clone(inner), blob))));
            place.insert(Want { status: watch::Sender::new(status), _task: task, _pin: inner.store.pin(blob.id) });
        }
        Ok(())
    }

    /// Waits until all of a wanted blob is here, however long that takes. Cancel safe.
    ///
    /// # Errors
    /// It is not wanted, or ceased to be.
    pub async fn wait_for(&self, id: Hash) -> Result<(), NotWanted> {
        let mut status = self.watch(id).ok_or(NotWanted(id))?;
        let whole = status.wait_for(|status| status.state == BlobState::Whole).await;
        whole.map(drop).map_err(|_| NotWanted(id))
    }

    /// Does not want a blob any more. What was fetched of it is removed if it is not whole; a whole one stays until
    /// [`BlobStore::sweep`].
    pub fn unwant(&self, id: Hash) {
        let want = self.0.wants.lock().remove(&id);
        if want.is_some() && !self.0.store.has(id) {
            drop(want);
            let store = Arc::clone(&self.0.store);
            self.0.runtime.spawn_blocking(move || {
                if let Err(error) = store.remove_partial(id) {
                    warn!(blob = %id.short(), %error, "what was fetched of a blob cannot be removed");
                }
            });
        }
    }

    /// How far it is with a blob. None: it is not wanted.
    #[must_use]
    pub fn status(&self, id: Hash) -> Option<BlobStatus> {
        self.watch(id).map(|status| status.borrow().clone())
    }

    /// Follows how far it is with a blob. None: it is not wanted.
    #[must_use]
    pub fn watch(&self, id: Hash) -> Option<watch::Receiver<BlobStatus>> {
        self.0.wants.lock().get(&id).map(|want| want.status.subscribe())
    }
}

/// Gets a wanted blob.
async fn get(inner: Arc<Inner>, blob: BlobRef) {
    let mut pause = RETRY;
    loop {
        // Never closed.
        let Ok(turn) = inner.fetches.acquire().await else { return };
        // Random keys: so that nodes do not all ask for the same at the same time.
        let seed = RandomState::new().hash_one(blob.id);
        let fetch = Fetch::new(blob, Arc::clone(&inner.store), inner.dialer.clone(), Arc::clone(&inner.counters), seed);
        let progress = |done| {
            inner.wants.show(blob.id, |status| {
                status.done = done;
                status.state = BlobState::Fetching;
            });
        };
        match Arc::new(fetch).run(&inner.sources, progress).await {
            Ok(()) => {
                inner.wants.show(blob.id, |status| {
                    status.done = blob.bytes;
                    status.state = BlobState::Whole;
                });
                return;
            }
            Err(error) => {
                let why = chain(&error);
                warn!(blob = %blob.id.short(), why, "a blob cannot be stored; it is tried again");
                inner.wants.show(blob.id, |status| status.state = BlobState::Stuck { why });
            }
        }
        drop(turn);
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// An error and what caused it.
fn chain(error: &BlobError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
