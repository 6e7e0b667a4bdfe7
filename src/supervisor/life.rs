//! A supervisor's life: start, run, end.
//!
//! Start: lock and load, bind everything that could be taken by somebody else, then join; services are taken up at
//! once (their processes may be running) and wait for the ring by themselves. End: give up seats, stop services,
//! leave, be there a moment longer for those who still ask, and close.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::backend::{Context, Supervisor};
use super::blobs::keep;
use super::error::RunError;
use super::feed::Feed;
use super::keys::{self, KeyKeeper};
use super::notify::Notify;
use super::releases::NodeReleases;
use super::ringloop::{Gauges, RingConfig, RingEvent, RingHandle, RingLoop};
use super::services::{Common, Services};
use super::settings::{ListenHttp, Settings};
use super::{advertise, clock, ring_name};
use crate::api::server::{self, Admission, Limits, Openness, bind_unix};
use crate::api::shape::{EventKind, StartRequest};
use crate::api::tls::ServerTls;
use crate::base::NodeId;
use crate::blob::{BlobStore, Blobs, BlobsConfig, Sources};
use crate::census::Liveness;
use crate::net::{Gate, Inbound, Opened, Stranger, Transport, holder};
use crate::node::{Command, NodeConfig, NodeEvent, Note, Restored};
use crate::records::value::NodeFacts;
use crate::release::{RELEASES_DIR, ReleaseStore, Trust};
use crate::ring::Identity;
use crate::store::{Loaded, Lost, Store};
use crate::template::SysContext;

/// Where blobs are, in the data directory.
const BLOBS: &str = "blobs";
/// Streams for blobs that wait to be taken up, which takes microseconds. More are closed, and tried again.
const BLOB_STREAMS: usize = 32;
/// How long a node that left goes on answering: others may still be passing its farewell on, and would take silence
/// for death. Two round trips of a wide network, and a repeated datagram.
const LINGER: Duration = Duration::from_millis(500);
/// How often the network loop is asked for a sign of life where systemd does not say.
const WATCH_EVERY: Duration = Duration::from_secs(10);
/// How long it may take to give one. Its turns take microseconds.
const WATCH_LIMIT: Duration = Duration::from_secs(5);

/// How the supervisor came to its end.
#[derive(Debug, Default)]
struct Ending {
    /// Another process has this node's id.
    usurped: AtomicBool,
}

/// What can be taken by somebody else.
struct Doors {
    local: UnixListener,
    http: Option<TcpListener>,
    tls: Option<Arc<ServerTls>>,
}

/// What the ring loop hands on, and what its sockets go by.
struct Wires {
    blobs: mpsc::Sender<Opened>,
    keys: mpsc::Sender<Inbound>,
    gate: Arc<Gate>,
}

pub(super) async fn run(settings: Settings, first: Option<StartRequest>) -> Result<ExitCode, RunError> {
    let signals = Signals::new()?;
    let started = clock::now();
    make_data_dir(&settings.data_dir)?;
    let (store, loaded) = Store::open(&settings.data_dir)?;
    ring_name::claim(&settings.data_dir, &settings.ring)?;
    let blob_store = Arc::new(BlobStore::open(&settings.data_dir.join(BLOBS))?);
    let trust = Trust::load(&settings.trusted_keys, settings.require_signature)?;
    let releases = Arc::new(ReleaseStore::open(&settings.data_dir.join(RELEASES_DIR), trust)?);
    let keeper = KeyKeeper::open(&settings, loaded.restored.node_id)?;
    let doors = open_doors(&settings).await?;
    let identity = Identity {
        id: loaded.restored.node_id,
        address: advertise::find(&settings),
        generation: loaded.restored.generation,
    };
    let (blob_sender, blob_streams) = mpsc::channel(BLOB_STREAMS);
    let (key_sender, key_requests) = mpsc::channel(keys::REQUESTS);
    let gate = Arc::clone(keeper.gate());
    let strangers = gate.listen();
    let wires = Wires { blobs: blob_sender, keys: key_sender, gate };
    let ring = start_ring(&settings, identity, store, &loaded, wires).inspect_err(|_| {
        // Opened in vain. That it is gone already is just as well.
        std::fs::remove_file(&settings.socket).ok();
    })?;
    let RingLoop { handle, events, counters, gauges, dialer, threads } = ring;
    let sources = sources(handle.clone());
    let (blobs, _blob_thread) =
        Blobs::start(BlobsConfig { store: blob_store, dialer: dialer.clone(), streams: blob_streams, sources })
            .map_err(|source| RunError::System { what: "start the thread that moves blobs", source })?;

    let feed = Feed::new();
    if let Some(lost) = &loaded.lost {
        tell_loss(&feed, lost);
    }
    let hostname = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let facts = facts(&settings, identity, &hostname);
    let services = Services::new(Common {
        me: identity.id,
        sys: Arc::new(sys(&facts, identity.id)),
        sup_bin: std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into()),
        settings: settings.clone(),
        ring: handle.clone(),
        feed: feed.clone(),
        releases: NodeReleases::new(Arc::clone(&releases), blobs.clone(), handle.clone(), settings.keep_releases),
        blobs: blobs.clone(),
    });
    let end = CancellationToken::new();
    let ending = Arc::new(Ending::default());
    tokio::spawn(tell(events, feed.clone(), Arc::clone(&gauges), Arc::clone(&ending), end.clone()));
    tokio::spawn(tell_strangers(strangers, feed.clone(), Arc::clone(keeper.gate())));
    tokio::spawn(keeper.clone().serve(key_requests));
    tokio::spawn(keep(blobs.clone(), Arc::clone(&releases), handle.clone()));
    let supervisor = Supervisor::new(Context {
        me: identity.id,
        settings: settings.clone(),
        hostname,
        started,
        ring: handle.clone(),
        services: services.clone(),
        feed,
        keys: keeper.clone(),
        dialer,
        blobs,
        releases,
        counters,
        gauges,
        lost: loaded.lost.as_ref().map(ToString::to_string),
        end: end.clone(),
    });

    // The loop has just been started: that it has ended already would be said by its next answer, too.
    handle.execute(Command::Facts(facts)).await.ok();
    let close = CancellationToken::new();
    let servers = open_for_business(doors, &settings, &supervisor, &close);
    info!(
        node = %identity.id, address = %identity.address, http = ?settings.listen_http,
        data = %settings.data_dir.display(), pid = std::process::id(), ring = %settings.ring,
        "supervisor started; the ring's traffic is {}",
        if keeper.gate().is_encrypted() { "encrypted" } else { "in clear text" }
    );
    let notify = Arc::new(Notify::new(|name| std::env::var_os(name)));
    services.load_all().await;
    let first = match &first {
        Some(request) => services.start(request).await.err(),
        None => None,
    };
    if first.is_some() {
        end.cancel();
    }
    notify.send("READY=1");
    tokio::spawn(watch(Arc::clone(&notify), handle.clone()));

    let signals = wait_for_end(signals, &end).await;
    notify.send("STOPPING=1");
    let usurped = ending.usurped.load(Ordering::Acquire);
    shut_down(signals, &handle, &services, usurped).await;
    close.cancel();
    servers.join_all().await;
    handle.stop().await;
    drop((supervisor, services, handle));
    threads.join();
    std::fs::remove_file(&settings.socket).ok();
    info!("supervisor ended");
    match (first, usurped) {
        (Some(problem), _) => Err(RunError::First(problem)),
        (None, true) => Err(RunError::Usurped { path: settings.data_dir }),
        (None, false) => Ok(ExitCode::SUCCESS),
    }
}

fn make_data_dir(path: &Path) -> Result<(), RunError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| RunError::DataDir { path: path.to_owned(), source })
}

async fn open_doors(settings: &Settings) -> Result<Doors, RunError> {
    let http = match settings.listen_http {
        ListenHttp::Off => None,
        ListenHttp::On(address) => Some(TcpListener::bind(address).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => RunError::HttpInUse { address, holder: holder(address, Transport::Tcp) },
            _ => RunError::Http { address, source },
        })?),
    };
    let tls = settings.tls.clone().map(ServerTls::load).transpose()?;
    // Last, since it is the one that would be left behind.
    let local = bind_unix(&settings.socket)?;
    Ok(Doors { local, http, tls })
}

fn start_ring(
    settings: &Settings,
    me: Identity,
    store: Store,
    loaded: &Loaded,
    wires: Wires,
) -> Result<RingLoop, RunError> {
    let stored = &loaded.restored;
    let now = clock::now().wall;
    let away = stored.last_seen.map_or(Duration::ZERO, |seen| Duration::from_millis(now.0.saturating_sub(seen.0)));
    let node = NodeConfig {
        me,
        profile: settings.profile,
        has_peers: !settings.peers.is_empty(),
        join_timeout: settings.join_timeout,
        max_clock_skew: settings.max_clock_skew,
        seed: getrandom::u64().map_err(|error| RunError::System { what: "draw a seed", source: error.into() })?,
    };
    let restored = Restored {
        away,
        records: stored.records.clone(),
        elections: stored.elections.clone(),
        remembered: stored.remembered.clone(),
    };
    let listen = settings.listen_gossip;
    let Wires { blobs, keys, gate } = wires;
    Ok(RingLoop::start(RingConfig { listen, node, restored, peers: settings.peers.clone(), store, blobs, keys, gate })?)
}

/// The members that may have a blob: those that live.
fn sources(ring: RingHandle) -> Sources {
    Arc::new(move || {
        let ring = ring.clone();
        Box::pin(async move {
            let alive = ring.look(|node| {
                let me = node.identity().id;
                let others = node.census().nodes().filter(|known| known.id != me);
                others.filter(|known| known.liveness == Liveness::Alive).map(|known| known.address).collect()
            });
            // A loop that has ended knows nobody, and this supervisor ends with it.
            alive.await.unwrap_or_default()
        })
    })
}

fn tell_loss(feed: &Feed, lost: &Lost) {
    let Lost { how, before, now } = lost;
    let before = before.map_or_else(String::new, |id| id.to_string());
    error!(%how, before, %now, "the stored state is lost: this node joins as a new one");
    feed.tell(EventKind::Log, None, None, lost.to_string());
}

fn facts(settings: &Settings, me: Identity, hostname: &str) -> NodeFacts {
    let (http_ip, http_port) = match settings.listen_http {
        ListenHttp::On(address) => (address.ip().to_string(), address.port()),
        ListenHttp::Off => (String::new(), 0),
    };
    NodeFacts {
        hostname: hostname.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ip: me.address.ip().to_string(),
        gossip_port: me.address.port(),
        http_ip,
        http_port,
        left: false,
    }
}

/// What templates see of a node.
pub(super) fn sys(facts: &NodeFacts, id: NodeId) -> SysContext {
    SysContext {
        version: facts.version.clone(),
        member_id: id.to_string(),
        ip: facts.ip.clone(),
        hostname: facts.hostname.clone(),
        gossip_ip: facts.ip.clone(),
        gossip_port: facts.gossip_port,
        http_gateway_ip: facts.http_ip.clone(),
        http_gateway_port: facts.http_port,
        ctl_gateway_ip: facts.http_ip.clone(),
        ctl_gateway_port: facts.http_port,
        permanent: false,
    }
}

fn open_for_business(
    doors: Doors,
    settings: &Settings,
    supervisor: &Supervisor,
    close: &CancellationToken,
) -> JoinSet<()> {
    let mut servers = JoinSet::new();
    let admission = Admission::new(settings.http_openness);
    tell_openness(settings);
    let limits = Limits::default();
    servers.spawn(server::serve_unix(doors.local, supervisor.clone(), limits, Arc::clone(&admission), close.clone()));
    if let Some(http) = doors.http {
        servers.spawn(server::serve_tcp(http, doors.tls, supervisor.clone(), limits, admission, close.clone()));
    }
    servers
}

/// Says once what others on the network may do, or see.
fn tell_openness(settings: &Settings) {
    let ListenHttp::On(address) = settings.listen_http else { return };
    let is_reached = !address.ip().is_loopback();
    match (settings.http_openness, &settings.tls) {
        (Openness::Open, _) if is_reached => {
            warn!(%address, "insecure-http: whoever reaches this address may operate this supervisor without a token");
        }
        (Openness::Open, _) => info!(%address, "insecure-http: every user of this machine may operate this supervisor"),
        (Openness::Guarded, None) if is_reached => warn!(
            %address,
            "HTTP is served to other machines in clear text: tokens can be read on the way; set tls-cert and tls-key"
        ),
        (Openness::Guarded, _) => {}
    }
}

/// Passes on what the ring loop says, until it ends.
async fn tell(
    mut events: mpsc::Receiver<RingEvent>,
    feed: Feed,
    gauges: Arc<Gauges>,
    ending: Arc<Ending>,
    end: CancellationToken,
) {
    while let Some(event) = events.recv().await {
        if let RingEvent::Node(NodeEvent::Note(Note::Usurped { .. })) = &event {
            ending.usurped.store(true, Ordering::Release);
            end.cancel();
        }
        feed.take(event);
        match gauges.take_events_lost() {
            0 => {}
            lost => feed.missed(lost),
        }
    }
}

/// Passes on whom the sockets refused, and who refused them.
async fn tell_strangers(mut strangers: mpsc::Receiver<Stranger>, feed: Feed, gate: Arc<Gate>) {
    while let Some(stranger) = strangers.recv().await {
        feed.take_stranger(&stranger, stranger.tale(gate.ring(), gate.versions()));
    }
}

/// Asks the network loop for signs of life, and passes them on to systemd.
async fn watch(notify: Arc<Notify>, ring: RingHandle) {
    let every = notify.watchdog().map_or(WATCH_EVERY, |period| period / 2);
    loop {
        match timeout(WATCH_LIMIT.min(every), ring.look(|_| ())).await {
            Ok(Ok(())) => notify.send("WATCHDOG=1"),
            Ok(Err(_)) => return,
            Err(_) => error!("the network loop does not answer: this node will be taken for dead"),
        }
        sleep(every).await;
    }
}

/// The signals that mean something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Self, RunError> {
        let handle = |kind| signal(kind).map_err(|source| RunError::System { what: "handle signals", source });
        Ok(Self {
            terminate: handle(SignalKind::terminate())?,
            interrupt: handle(SignalKind::interrupt())?,
            hang_up: handle(SignalKind::hangup())?,
        })
    }

    /// Waits for one that means the end.
    async fn end(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hang_up.recv() => info!("SIGHUP: there is nothing to be read again"),
            }
        }
    }
}

async fn wait_for_end(mut signals: Signals, end: &CancellationToken) -> Signals {
    tokio::select! {
        name = signals.end() => info!(signal = name, "ending"),
        () = end.cancelled() => info!("ending, as asked"),
    }
    signals
}

async fn shut_down(mut signals: Signals, ring: &RingHandle, services: &Services, usurped: bool) {
    // A seat is given back when its service's process is gone, and not before: two would take writes at once.
    let stopped = tokio::select! {
        () = services.stop_all() => true,
        name = signals.end() => {
            warn!(signal = name, "told again to end: not waiting for services; their processes run on under their shims");
            false
        }
    };
    // Processes that run on keep what was lent to them until their leases end, and the ring learns of this node's end
    // as of a crash. And a farewell of a process that was usurped would be taken for the other's.
    if usurped || !stopped {
        return;
    }
    ring.execute(Command::Leave).await.ok();
    let others = ring.look(|node| {
        let alive = |liveness| matches!(liveness, Liveness::Alive | Liveness::Suspect);
        node.census().nodes().filter(|known| alive(known.liveness)).count() > 1
    });
    if others.await.unwrap_or(false) {
        tokio::select! {
            () = sleep(LINGER) => {}
            _ = signals.end() => {}
        }
    }
}
