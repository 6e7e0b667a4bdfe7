//! The ring loop: a thread of its own that drives the [`Node`], and does what it asks for.
//!
//! | file | subject |
//! | --- | --- |
//! | `driver` | the loop: what came in is handed to the node, what the node wants is done |
//! | `outbox` | messages that may leave only once a write is on disk |
//! | `board` | what everybody may read at any time: views of groups, leases, readiness |
//! | `alarm` | a timer on the clock that leases run on |
//! | `peers` | names to addresses |
//! | `handle` | how the rest of the supervisor asks the loop |
//!
//! In come datagrams, streams, finished writes, look-ups and probes, and what [`RingHandle`] asks. Out go the board,
//! which only ever shows the latest state, and [`RingEvent`]s, which a reader that is too slow loses.
//!
//! No disk is written here, no name looked up, no log line printed, no template rendered and no hook run: a loop that
//! waits for any of these would be taken for dead by the others.

mod alarm;
mod board;
mod driver;
mod handle;
mod outbox;
mod peers;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc;

use super::settings::Peer;
use crate::net::{self, BindError, Counters, Dialer, Gate, Inbound, Opened};
use crate::node::{Node, NodeConfig, NodeEvent, Restored};
use crate::store::{Store, worker};

pub(super) use board::Board;
pub(super) use handle::{AskError, RingHandle};

use driver::{Driver, Mail};

/// Events that wait for their reader. One turn of the loop makes a few; a join storm of a thousand nodes as many as
/// there are nodes. A reader that is further behind is told that it missed some.
const EVENTS: usize = 1024;
/// Requests of the rest of the supervisor that wait for the loop: senders wait beyond that.
const ASKS: usize = 64;

/// What the loop tells.
#[derive(Debug)]
pub(super) enum RingEvent {
    /// The node says so.
    Node(NodeEvent),
    /// A peer's name does not resolve. Said once, until it does.
    PeerUnresolved {
        /// The peer.
        peer: Peer,
        /// Why not.
        why: String,
    },
    /// The store cannot be written, for this reason. Said once, until it can.
    StoreFailed {
        /// Why not.
        why: String,
    },
}

/// Everything that the loop needs.
pub(super) struct RingConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The node's settings.
    pub node: NodeConfig,
    /// What it has from before.
    pub restored: Restored,
    /// Whom to join.
    pub peers: Vec<Peer>,
    /// What is written, by a thread of its own.
    pub store: Store,
    /// Where streams for blobs go: they are not the loop's business.
    pub blobs: mpsc::Sender<Opened>,
    /// Where requests about the keys of the ring go: neither are they.
    pub keys: mpsc::Sender<Inbound>,
    /// What the sockets go by.
    pub gate: Arc<Gate>,
}

/// Numbers about the loop.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    /// The longest that a timer was late since this was last read, in microseconds.
    lag_us: AtomicU64,
    /// Events that no reader took in time.
    events_lost: AtomicU64,
    /// Why the store cannot be written just now.
    store_trouble: Mutex<Option<String>>,
}

impl Gauges {
    fn store_works(&self, trouble: Option<String>) {
        *self.store_trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Why the store cannot be written just now; none if it can.
    pub(super) fn store_trouble(&self) -> Option<String> {
        self.store_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn late(&self, us: u64) {
        self.lag_us.fetch_max(us, Ordering::Relaxed);
    }

    /// The longest that a timer was late since this was last called, in microseconds.
    pub(super) fn take_lag_us(&self) -> u64 {
        self.lag_us.swap(0, Ordering::Relaxed)
    }

    /// Events that were lost since this was last called.
    pub(super) fn take_events_lost(&self) -> u64 {
        self.events_lost.swap(0, Ordering::Relaxed)
    }
}

/// A running loop.
pub(super) struct RingLoop {
    /// How to ask it.
    pub handle: RingHandle,
    /// What it tells.
    pub events: mpsc::Receiver<RingEvent>,
    /// What went through its sockets.
    pub counters: Arc<Counters>,
    /// How it fares.
    pub gauges: Arc<Gauges>,
    /// Opens streams from the loop's address.
    pub dialer: Dialer,
    /// What runs it.
    pub threads: Threads,
}

/// The loop's thread, and that of the store behind it.
pub(super) struct Threads {
    driver: JoinHandle<()>,
    store: JoinHandle<Store>,
}

impl Threads {
    /// Waits until the loop has stopped and everything it asked for is written. Blocks.
    pub(super) fn join(self) {
        let clean = self.driver.join().is_ok() & self.store.join().is_ok();
        if !clean {
            tracing::error!("a thread of the ring loop panicked");
        }
    }
}

/// The loop could not be started. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum RingStartError {
    /// The port cannot be taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system refuses a thread, a timer or the like.
    #[error("cannot start the network loop")]
    System(#[source] io::Error),
}

impl RingLoop {
    /// Binds the sockets and starts the loop.
    pub(super) fn start(config: RingConfig) -> Result<Self, RingStartError> {
        let (event_sender, events) = mpsc::channel(EVENTS);
        let (ask_sender, asks) = mpsc::channel(ASKS);
        // Not bounded by its type, but by what it carries: each message is the end of a stream, a probe, a write or a
        // look-up that the loop itself began, or the first subscription of a group.
        let (mail_sender, mail) = mpsc::unbounded_channel();
        let (job_sender, jobs) = mpsc::channel(worker::QUEUE);
        let board = Arc::new(Board::default());
        let gauges = Arc::new(Gauges::default());
        let handle = RingHandle::new(ask_sender, mail_sender.clone(), Arc::clone(&board));

        let reports = mail_sender.clone();
        let store = worker::spawn(config.store, jobs, move |report| {
            // Nobody listens any more only when the loop has stopped, which waits for nothing then.
            reports.send(Mail::Stored(report)).ok();
        })
        .map_err(RingStartError::System)?;

        let (bound, outcome) = blocking::sync_channel(1);
        let (driver_board, driver_gauges) = (Arc::clone(&board), Arc::clone(&gauges));
        let driver = thread::Builder::new()
            .name("ring".to_owned())
            .spawn(move || {
                let runtime = match runtime() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        bound.send(Err(RingStartError::System(error))).ok();
                        return;
                    }
                };
                runtime.block_on(async move {
                    let sockets = match net::bind(config.listen, &config.gate) {
                        Ok(sockets) => sockets,
                        Err(error) => {
                            bound.send(Err(error.into())).ok();
                            return;
                        }
                    };
                    let alarm = match alarm::Alarm::new() {
                        Ok(alarm) => alarm,
                        Err(error) => {
                            bound.send(Err(RingStartError::System(error))).ok();
                            return;
                        }
                    };
                    let shared = (Arc::clone(&sockets.counters), sockets.dialer.clone());
                    let profile = config.node.profile;
                    let node = Node::new(config.node, config.restored, super::clock::now());
                    if bound.send(Ok(shared)).is_err() {
                        return;
                    }
                    let wires = driver::Wires {
                        mail,
                        mail_sender,
                        asks,
                        jobs: job_sender,
                        events: event_sender,
                        blobs: config.blobs,
                        keys: config.keys,
                        board: driver_board,
                        gauges: driver_gauges,
                    };
                    Driver::new(node, profile, sockets, alarm, config.peers, wires).run().await;
                });
            })
            .map_err(RingStartError::System)?;

        let stopped = || RingStartError::System(io::Error::other("the thread ended before it began"));
        let (counters, dialer) = outcome.recv().map_err(|_| stopped())??;
        Ok(Self { handle, events, counters, gauges, dialer, threads: Threads { driver, store } })
    }
}

/// Everything that runs here is tiny; names are looked up by one more thread, which goes when it has nothing to do.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_keep_alive(std::time::Duration::from_secs(1))
        .build()
}
