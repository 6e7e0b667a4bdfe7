//! Gets one blob, from whichever of the sources have some of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::counters::BlobCounters;
use super::error::BlobError;
use super::list::ChunkList;
use super::picker::Picker;
use super::service::Sources;
use super::source::{self, Ended};
use super::store::{BlobStore, Found};
use crate::base::BlobRef;
use crate::net::Dialer;

/// To how many sources there are connections at once.
const SOURCES_MAX: usize = 8;
/// How often it is asked which sources there are.
const SOURCES_EVERY: Duration = Duration::from_secs(1);
/// How long a source is left alone after it was of no use, and, doubled each time, at most.
const REST: Duration = Duration::from_millis(250);
const REST_MAX: Duration = Duration::from_secs(10);

/// What a fetch and its connections share.
#[derive(Debug)]
pub(super) struct Fetch {
    pub blob: BlobRef,
    pub store: Arc<BlobStore>,
    pub dialer: Dialer,
    pub counters: Arc<BlobCounters>,
    begun: Instant,
    /// None until the list of chunks is here. Never locked across a wait.
    picker: Mutex<Option<Picker>>,
    /// Held by whoever turns a list into a beginning.
    beginning: tokio::sync::Mutex<()>,
    changed: watch::Sender<()>,
    /// A share of it for each of the others that have nothing yet.
    company: Arc<()>,
    rng: Mutex<StdRng>,
}

/// A source as it behaved.
#[derive(Debug)]
struct Repute {
    /// Left alone until then. None: for ever.
    rest_until: Option<Instant>,
    failures: u32,
}

impl Fetch {
    pub(super) fn new(
        blob: BlobRef,
        store: Arc<BlobStore>,
        dialer: Dialer,
        counters: Arc<BlobCounters>,
        seed: u64,
    ) -> Self {
        Self {
            blob,
            store,
            dialer,
            counters,
            begun: Instant::now(),
            picker: Mutex::new(None),
            beginning: tokio::sync::Mutex::default(),
            changed: watch::Sender::new(()),
            company: Arc::default(),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    fn rng(&self) -> MutexGuard<'_, StdRng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time, as the picker is told it.
    pub(super) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Counts a source that has nothing yet but is fetching it, too, for as long as the value lives.
    pub(super) fn company(&self) -> Arc<()> {
        Arc::clone(&self.company)
    }

    /// Whether others are known that are fetching it, too.
    pub(super) fn has_company(&self) -> bool {
        Arc::strong_count(&self.company) > 1 || self.with_picker(|picker| picker.has_peers()) == Some(true)
    }

    /// Something may be asked now that could not before.
    pub(super) fn change(&self) {
        self.changed.send_replace(());
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Does something with the picker. None: there is none yet.
    pub(super) fn with_picker<T>(&self, act: impl FnOnce(&mut Picker) -> T) -> Option<T> {
        self.picker.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(act)
    }

    /// Whether the list of chunks is here.
    pub(super) fn has_begun(&self) -> bool {
        self.with_picker(|_| ()).is_some()
    }

    /// The list of chunks has come.
    pub(super) async fn begin(&self, list: ChunkList) -> Result<(), BlobError> {
        let _beginning = self.beginning.lock().await;
        if self.has_begun() {
            return Ok(());
        }
        let store = Arc::clone(&self.store);
        blocking(move || store.begin(list)).await?;
        self.pick();
        Ok(())
    }

    fn pick(&self) {
        let have = self.store.chunks(self.blob.id);
        let rng = StdRng::seed_from_u64(self.rng().random());
        *self.picker.lock().unwrap_or_else(PoisonError::into_inner) = have.map(|have| Picker::new(have, rng));
        self.change();
    }

    fn is_done(&self) -> bool {
        self.with_picker(|picker| picker.is_done()).unwrap_or_default()
    }

    /// Gets the blob, however long it takes. `progress` is told how many bytes are here.
    ///
    /// # Errors
    /// It cannot be stored. What came so far is kept, and the next one goes on from there.
    pub(super) async fn run(self: &Arc<Self>, sources: &Sources, progress: impl Fn(u64)) -> Result<(), BlobError> {
        let (store, blob) = (Arc::clone(&self.store), self.blob);
        match blocking(move || store.resume(blob)).await? {
            Found::Whole => return Ok(()),
            Found::Partial => self.pick(),
            Found::Nothing => {
                // The list of an empty blob is empty: it need not be fetched.
                if let Some(list) = ChunkList::read(&[], blob) {
                    self.begin(list).await?;
                }
            }
        }
        let mut crowd = Crowd {
            fetch: self,
            sources,
            known: Vec::new(),
            repute: BTreeMap::new(),
            busy: BTreeMap::new(),
            tasks: JoinSet::new(),
        };
        let mut changed = self.changes();
        let mut ask_again = Instant::now();
        loop {
            changed.mark_unchanged();
            progress(self.store.bytes_here(blob.id));
            if self.is_done() {
                break;
            }
            if Instant::now() >= ask_again {
                crowd.known = (crowd.sources)().await;
                ask_again = Instant::now() + SOURCES_EVERY;
            }
            crowd.fill();
            let wake = ask_again.min(crowd.next_rested());
            tokio::select! {
                _ = changed.changed() => {}
                Some(ended) = crowd.tasks.join_next_with_id() => crowd.take(ended)?,
                () = sleep_until(wake) => {}
            }
        }
        drop(crowd);
        let store = Arc::clone(&self.store);
        blocking(move || store.finish(blob.id)).await
    }
}

/// The connections of a fetch.
struct Crowd<'a> {
    fetch: &'a Arc<Fetch>,
    sources: &'a Sources,
    known: Vec<SocketAddr>,
    repute: BTreeMap<SocketAddr, Repute>,
    busy: BTreeMap<tokio::task::Id, SocketAddr>,
    tasks: JoinSet<Ended>,
}

impl Crowd<'_> {
    /// Connects to sources picked at random: so a ring of a thousand does not ask the same few.
    fn fill(&mut self) {
        while self.busy.len() < SOURCES_MAX {
            let now = Instant::now();
            let is_rested = |source: &SocketAddr| {
                self.repute.get(source).is_none_or(|repute| repute.rest_until.is_some_and(|until| until <= now))
            };
            let is_busy = |source: &SocketAddr| self.busy.values().any(|busy| busy == source);
            let free = self.known.iter().filter(|source| is_rested(source) && !is_busy(source));
            let source = free.choose(&mut *self.fetch.rng());
            let Some(source) = source.copied() else { return };
            let task = self.tasks.spawn(source::run(Arc::clone(self.fetch), source));
            self.busy.insert(task.id(), source);
        }
    }

    fn take(&mut self, ended: Result<(tokio::task::Id, Ended), tokio::task::JoinError>) -> Result<(), BlobError> {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, ended),
            Err(error) => (error.id(), Ended::Failed),
        };
        let Some(source) = self.busy.remove(&id) else { return Ok(()) };
        let repute = self.repute.entry(source).or_insert(Repute { rest_until: None, failures: 0 });
        let rest = match ended {
            Ended::Disk(error) => return Err(error),
            Ended::Lied(how) => {
                self.fetch.counters.wrong();
                warn!(blob = %self.fetch.blob.id.short(), %source, how, "a source of a blob is not asked again");
                None
            }
            Ended::Useless => {
                repute.failures = 0;
                Some(REST)
            }
            Ended::Unknown | Ended::Failed => {
                repute.failures = repute.failures.saturating_add(1);
                Some(REST.saturating_mul(1 << repute.failures.min(8)).min(REST_MAX))
            }
        };
        repute.rest_until = rest.map(|rest| Instant::now() + rest);
        Ok(())
    }

    /// When the next source has rested.
    fn next_rested(&self) -> Instant {
        let now = Instant::now();
        let rests = self.repute.values().filter_map(|repute| repute.rest_until).filter(|until| *until > now);
        rests.min().unwrap_or(now + SOURCES_EVERY)
    }
}

/// Does what blocks on a helper thread.
async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    spawn_blocking(act).await.map_err(|_| BlobError::CutOff)?
}
