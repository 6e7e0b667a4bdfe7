//! The loop itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::alarm::Alarm;
use super::board::{Board, Readers};
use super::handle::{Ask, AskError};
use super::outbox::{Message, Outbox};
use super::peers::{self, Resolved};
use super::{Gauges, RingEvent};
use crate::base::{GroupId, Mono, Seat};
use crate::net::{self, Datagrams, Dialer, Inbound, Opened, Receivers, STREAMS_MAX, Sockets};
use crate::node::{Command, Done, Input, Node, NodeEvent, Output};
use crate::ring::{ProbeOutcome, Profile, StreamError};
use crate::store::worker::{Job, Report};
use crate::supervisor::clock;
use crate::supervisor::settings::Peer;

/// Datagrams that are taken in before timers are looked at. More than the kernel's buffer holds by default, so that a
/// node that was stalled hears everything that was said meanwhile, refutations above all, before it suspects anybody.
const DATAGRAMS_PER_TURN: usize = 512;
/// Everything else that is taken in before timers are looked at, of each kind.
const MAIL_PER_TURN: usize = 256;
/// The least time between two runs of the node's timers: were one of its deadlines ever to stay in the past, the loop
/// would still not spin.
const LEAST_SLEEP: Duration = Duration::from_micros(500);

/// What was begun by the loop and has ended, or a first subscription.
#[derive(Debug)]
pub(super) enum Mail {
    Answered { request: u64, result: Result<Bytes, StreamError> },
    Probed { probe: u64, outcome: ProbeOutcome },
    Stored(Report),
    Resolved(Resolved),
    Watch(GroupId),
}

/// The loop's ends of its channels.
pub(super) struct Wires {
    pub mail: mpsc::UnboundedReceiver<Mail>,
    pub mail_sender: mpsc::UnboundedSender<Mail>,
    pub asks: mpsc::Receiver<Ask>,
    pub jobs: mpsc::Sender<Job>,
    pub events: mpsc::Sender<RingEvent>,
    pub blobs: mpsc::Sender<Opened>,
    pub keys: mpsc::Sender<Inbound>,
    pub board: Arc<Board>,
    pub gauges: Arc<Gauges>,
}

/// An answer that waits for its write.
struct HeldAnswer {
    done: Done,
    reply: oneshot::Sender<Result<Done, AskError>>,
}

/// Whether the loop goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    Ended,
}

/// Whether names are being looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lookup {
    Idle,
    UnderWay,
}

pub(super) struct Driver {
    node: Node,
    profile: Profile,
    datagrams: Datagrams,
    dialer: Dialer,
    inbound: mpsc::Receiver<Inbound>,
    alarm: Alarm,
    outbox: Outbox,
    /// Answers that a write holds back.
    durable: BTreeMap<u64, Vec<HeldAnswer>>,
    /// The stream whose request the node is looking at. It answers at once or never.
    asked: Option<(u64, oneshot::Sender<Bytes>)>,
    next_conn: u64,
    /// Inputs that arose while outputs were done.
    pending: VecDeque<Input>,
    peers: Vec<Peer>,
    unresolved: BTreeSet<Peer>,
    lookup: Lookup,
    store_fails: bool,
    life: Life,
    wires: Wires,
}

impl Driver {
    pub(super) fn new(
        node: Node,
        profile: Profile,
        sockets: Sockets,
        alarm: Alarm,
        peers: Vec<Peer>,
        wires: Wires,
    ) -> Self {
        let (requests, inbound) = mpsc::channel(STREAMS_MAX);
        let receivers = Receivers { requests, blobs: wires.blobs.clone(), keys: wires.keys.clone() };
        tokio::spawn(net::accept(sockets.listener, receivers, sockets.gate, sockets.counters));
        Self {
            node,
            profile,
            datagrams: sockets.datagrams,
            dialer: sockets.dialer,
            inbound,
            alarm,
            outbox: Outbox::default(),
            durable: BTreeMap::new(),
            asked: None,
            next_conn: 0,
            pending: VecDeque::new(),
            peers,
            unresolved: BTreeSet::new(),
            lookup: Lookup::Idle,
            store_fails: false,
            life: Life::Running,
            wires,
        }
    }

    pub(super) async fn run(mut self) {
        // What the node wanted when it was made comes out with its first input.
        self.feed(Input::Timer);
        self.resolve();
        while self.life == Life::Running {
            self.take_datagrams();
            self.take_mail();
            self.run_timers();
            match self.sleep_until_something_happens().await {
                Ok(()) => {}
                // The poller or the timer is gone, which the kernel does to nobody: without them there is no loop.
                Err(_) => self.life = Life::Ended,
            }
        }
    }

    fn take_datagrams(&mut self) {
        let mut heard = Vec::new();
        // That more may be waiting is seen when the socket is asked again, after the timers.
        let _more = self.datagrams.drain(DATAGRAMS_PER_TURN, |from, bytes| heard.push((from, bytes)));
        for (from, bytes) in heard {
            self.feed(Input::Datagram { from, bytes });
        }
    }

    fn take_mail(&mut self) {
        for _ in 0..MAIL_PER_TURN {
            let Ok(mail) = self.wires.mail.try_recv() else { break };
            self.take_letter(mail);
        }
    }

    fn run_timers(&mut self) {
        let now = clock::now().mono;
        if let Some(deadline) = self.node.deadline()
            && deadline <= now
        {
            let late = now.since(deadline);
            self.wires.gauges.late(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
            self.feed(Input::Timer);
        }
    }

    async fn sleep_until_something_happens(&mut self) -> io::Result<()> {
        let soonest = clock::now().mono + LEAST_SLEEP;
        self.alarm.set(self.node.deadline().map(|deadline: Mono| deadline.max(soonest)))?;
        tokio::select! {
            ready = self.datagrams.readable() => ready?,
            rang = self.alarm.rings() => rang?,
            Some(mail) = self.wires.mail.recv() => self.take_letter(mail),
            Some(inbound) = self.inbound.recv() => self.take_inbound(inbound),
            ask = self.wires.asks.recv() => match ask {
                Some(ask) => self.take_ask(ask),
                None => self.life = Life::Ended,
            },
        }
        Ok(())
    }

    fn take_letter(&mut self, mail: Mail) {
        match mail {
            Mail::Answered { request, result } => self.feed(Input::StreamResponse { request, result }),
            Mail::Probed { probe, outcome } => self.feed(Input::Probed { probe, outcome }),
            Mail::Stored(report) => self.take_report(report),
            Mail::Resolved(resolved) => self.take_resolved(resolved),
            Mail::Watch(group) => {
                let (_, outputs) = self.node.execute(clock::now(), Command::Watch { group: group.clone() });
                self.perform(outputs);
                // Also if the node watched it before: then nothing has changed for it, and nobody was told.
                self.show(&group);
            }
        }
    }

    fn take_inbound(&mut self, inbound: Inbound) {
        let conn = self.next_conn;
        self.next_conn += 1;
        self.asked = Some((conn, inbound.reply));
        self.feed(Input::StreamRequest { conn, from: inbound.from, bytes: inbound.request });
        self.asked = None;
    }

    fn take_ask(&mut self, ask: Ask) {
        match ask {
            Ask::Execute { command, reply } => {
                let (result, outputs) = self.node.execute(clock::now(), *command);
                match result {
                    Ok(done) => match done.write {
                        Some(write) => self.durable.entry(write).or_default().push(HeldAnswer { done, reply }),
                        None => drop(reply.send(Ok(done))),
                    },
                    Err(error) => drop(reply.send(Err(error.into()))),
                }
                self.perform(outputs);
                self.feed_pending();
            }
            Ask::Look(look) => look(&self.node),
            Ask::Join(peers) => {
                for peer in peers {
                    if !self.peers.contains(&peer) {
                        self.peers.push(peer);
                    }
                }
                self.resolve();
            }
            Ask::Stop => self.life = Life::Ended,
        }
    }

    fn take_report(&mut self, report: Report) {
        match &report.result {
            Ok(()) if self.store_fails => {
                self.store_fails = false;
                self.wires.gauges.store_works(None);
            }
            Err(error) if !self.store_fails => {
                self.store_fails = true;
                let why = crate::supervisor::error::chain(error);
                self.wires.gauges.store_works(Some(why.clone()));
                self.tell(RingEvent::StoreFailed { why });
            }
            Ok(()) | Err(_) => {}
        }
        for write in report.writes {
            self.written(write, report.result.is_ok());
        }
    }

    fn written(&mut self, write: u64, ok: bool) {
        let waiting = self.durable.remove(&write).unwrap_or_default();
        if ok {
            for message in self.outbox.stored(write) {
                self.datagrams.send(message.to, &message.bytes);
            }
        } else {
            self.outbox.failed(write);
        }
        for HeldAnswer { done, reply } in waiting {
            drop(reply.send(if ok { Ok(done) } else { Err(AskError::NotDurable) }));
        }
        self.feed(Input::Persisted { write, ok });
    }

    fn take_resolved(&mut self, resolved: Resolved) {
        self.lookup = Lookup::Idle;
        let failed: BTreeSet<Peer> = resolved.failed.iter().map(|(peer, _)| peer.clone()).collect();
        for (peer, why) in resolved.failed {
            if !self.unresolved.contains(&peer) {
                self.tell(RingEvent::PeerUnresolved { peer, why });
            }
        }
        self.unresolved = failed;
        let me = self.node.identity().address;
        let others: Vec<SocketAddr> = resolved.addresses.into_iter().filter(|address| *address != me).collect();
        self.feed(Input::PeersResolved(others));
    }

    fn feed(&mut self, input: Input) {
        self.pending.push_back(input);
        self.feed_pending();
    }

    fn feed_pending(&mut self) {
        while let Some(input) = self.pending.pop_front() {
            let outputs = self.node.handle(clock::now(), input);
            self.perform(outputs);
        }
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        // Services may start when the board says so: only once it shows all that the ring knows.
        let ready = outputs.iter().any(|output| matches!(output, Output::Event(NodeEvent::Ready { .. })));
        for output in outputs {
            match output {
                Output::Send { to, bytes, after } => self.send(Message { to, bytes }, after),
                Output::OpenStream { request, to, bytes } => self.open_stream(request, to, bytes),
                Output::Reply { conn, bytes } => self.reply(conn, bytes),
                Output::Probe { probe, to } => self.probe(probe, to),
                Output::Persist { write, items } => self.persist(Job { write, items }),
                Output::ResolvePeers => self.resolve(),
                Output::Event(event) => self.take_event(event),
            }
        }
        if ready {
            self.wires.board.ready();
        }
    }

    fn send(&mut self, message: Message, after: Option<u64>) {
        let leaves = match after {
            Some(write) => self.outbox.put(message, write),
            None => Some(message),
        };
        if let Some(message) = leaves {
            self.datagrams.send(message.to, &message.bytes);
        }
    }

    fn open_stream(&self, request: u64, to: SocketAddr, bytes: Bytes) {
        let (dialer, mail) = (self.dialer.clone(), self.wires.mail_sender.clone());
        tokio::spawn(async move {
            let result = dialer.request(to, &bytes).await;
            mail.send(Mail::Answered { request, result }).ok();
        });
    }

    fn reply(&mut self, conn: u64, bytes: Bytes) {
        match self.asked.take() {
            // Who asked may have hung up meanwhile.
            Some((asked, reply)) if asked == conn => drop(reply.send(bytes)),
            other => self.asked = other,
        }
    }

    fn probe(&self, probe: u64, to: SocketAddr) {
        let (dialer, mail, limit) = (self.dialer.clone(), self.wires.mail_sender.clone(), self.profile.probe_timeout());
        tokio::spawn(async move {
            let outcome = dialer.probe(to, limit).await;
            mail.send(Mail::Probed { probe, outcome }).ok();
        });
    }

    fn persist(&mut self, job: Job) {
        let write = job.write;
        self.outbox.begun(write);
        match self.wires.jobs.try_send(job) {
            Ok(()) => {}
            // The disk hangs. What depends on this write must not happen, and the loop must not wait.
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                self.outbox.failed(write);
                for HeldAnswer { reply, .. } in self.durable.remove(&write).unwrap_or_default() {
                    drop(reply.send(Err(AskError::NotDurable)));
                }
                self.pending.push_back(Input::Persisted { write, ok: false });
            }
        }
    }

    fn resolve(&mut self) {
        if self.lookup == Lookup::UnderWay || self.peers.is_empty() {
            return;
        }
        self.lookup = Lookup::UnderWay;
        let (peers, mail) = (self.peers.clone(), self.wires.mail_sender.clone());
        tokio::spawn(async move {
            let resolved = peers::resolve(peers).await;
            mail.send(Mail::Resolved(resolved)).ok();
        });
    }

    fn take_event(&mut self, event: NodeEvent) {
        match &event {
            NodeEvent::Group(group) => self.show(group),
            NodeEvent::Held { group, seat: Seat::Leader, term, until, .. } => {
                self.wires.board.held(group, *term, *until);
            }
            NodeEvent::Lost { group, seat: Seat::Leader, term, .. } => self.wires.board.lost(group, *term),
            NodeEvent::Ready { .. }
            | NodeEvent::Held { .. }
            | NodeEvent::Lost { .. }
            | NodeEvent::Members
            | NodeEvent::Note(_) => {}
        }
        // A renewal comes every half second, and says nothing new to people.
        if !matches!(event, NodeEvent::Held { renewal: true, .. }) {
            self.tell(RingEvent::Node(event));
        }
    }

    fn show(&mut self, group: &GroupId) {
        match self.wires.board.show(group, self.node.census().group(group)) {
            Readers::Some => {}
            Readers::None => {
                let (_, outputs) = self.node.execute(clock::now(), Command::Unwatch { group: group.clone() });
                self.perform(outputs);
            }
        }
    }

    fn tell(&self, event: RingEvent) {
        match self.wires.events.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                self.wires.gauges.events_lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
