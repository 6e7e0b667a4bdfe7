//! Many rings on virtual time, with a network that delays, loses and cuts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::packet::Packet;
use super::{
    Awareness, Identity, MemberState, ProbeOutcome, Profile, Remembered, Ring, RingAction, RingConfig, RingDatagram,
    RingEvent, RingRequest, RingResponse, StreamError,
};
use crate::base::{Mono, NodeId, Now, Wall};

/// What the node's packet adds to a ring datagram, at most.
const ENVELOPE_BYTES: usize = 64;
const STREAM_TIMEOUT: Duration = Duration::from_secs(2);

/// How a node's process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    Running,
    /// Gone; its machine refuses connects.
    Killed,
    /// Gone with its machine.
    PoweredOff,
    /// Stopped; its machine accepts connects.
    Frozen,
}

/// What stands still with a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standstill {
    /// Its machine, too: what is sent to it is lost.
    Machine,
    /// Nothing else: its kernel keeps what is sent to it.
    Process,
}

pub(super) struct Node {
    pub(super) ring: Ring,
    pub(super) process: Process,
    pub(super) bytes_sent: usize,
    pub(super) remembered: Vec<Remembered>,
    /// What came while it stood still.
    waiting: Vec<Delivery>,
    side: u8,
    deadline: Option<Mono>,
}

enum Delivery {
    Datagram { from: SocketAddr, to: SocketAddr, msg: RingDatagram },
    Request { from: usize, to: SocketAddr, request: u64, msg: RingRequest },
    Response { to: usize, request: u64, result: Result<RingResponse, StreamError> },
    Probed { to: usize, probe: u64, outcome: ProbeOutcome },
}

pub(super) struct Net {
    pub(super) nodes: Vec<Node>,
    pub(super) events: Vec<(Mono, usize, RingEvent)>,
    pub(super) loss: f64,
    pub(super) udp: bool,
    /// Whether packets bring what they say of members.
    pub(super) gossip: bool,
    /// Whether nodes heed their own health.
    pub(super) awareness: Awareness,
    /// What becomes of datagrams to a process that stands still.
    pub(super) standstill: Standstill,
    pub(super) now: Mono,
    peers: Vec<SocketAddr>,
    seq: u64,
    queue: BTreeMap<(Mono, u64), Delivery>,
    /// Who holds the socket of an address: the latest process that was started there.
    sockets: BTreeMap<SocketAddr, usize>,
    due: BTreeSet<(Mono, usize)>,
    rng: StdRng,
}

pub(super) fn id(index: usize) -> NodeId {
    // Scattered over the circle, as random ids are.
    NodeId::from_u128((index as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

pub(super) fn address(index: usize) -> SocketAddr {
    let [_, _, high, low] = u32::try_from(index).unwrap().to_be_bytes();
    ([10, 0, high, low], 7070).into()
}

pub(super) fn identity(index: usize, generation: u64) -> Identity {
    Identity { id: id(index), address: address(index), generation }
}

/// Takes out of a packet of foca what it says of members.
fn without_updates(msg: RingDatagram) -> RingDatagram {
    match msg {
        RingDatagram::Foca(bytes) => {
            let header = Packet::header_of(&bytes).expect("foca writes what it can read");
            RingDatagram::Foca(Packet { header, updates: Vec::new() }.encode().expect("a header fits"))
        }
        other => other,
    }
}

impl Net {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            nodes: Vec::new(),
            events: Vec::new(),
            loss: 0.0,
            udp: true,
            gossip: true,
            awareness: Awareness::On,
            standstill: Standstill::Machine,
            now: Mono(0),
            peers: vec![address(0)],
            seq: 0,
            queue: BTreeMap::new(),
            sockets: BTreeMap::new(),
            due: BTreeSet::new(),
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// `count` nodes that start now and know the first one.
    pub(super) fn start(profile: Profile, seed: u64, count: usize) -> Self {
        let mut net = Self::new(seed);
        for index in 0..count {
            net.add(profile, identity(index, 1_900_000_000_000), Vec::new(), index != 0);
        }
        net
    }

    /// `count` nodes that know one another.
    pub(super) fn joined(seed: u64, count: usize) -> Self {
        Self::joined_as(Profile::Lan, seed, count)
    }

    /// `count` nodes of that profile that know one another.
    pub(super) fn joined_as(profile: Profile, seed: u64, count: usize) -> Self {
        Self::start(profile, seed, count).formed(count)
    }

    /// `count` nodes that know one another, and may not heed their own health.
    pub(super) fn joined_with(awareness: Awareness, seed: u64, count: usize) -> Self {
        let mut net = Self { awareness, ..Self::new(seed) };
        for index in 0..count {
            net.add(Profile::Lan, identity(index, 1_900_000_000_000), Vec::new(), index != 0);
        }
        net.formed(count)
    }

    fn formed(mut self, count: usize) -> Self {
        let net = &mut self;
        assert!(net.run_until(Duration::from_secs(60), |net| net.all_see(count)), "the ring did not form");
        self
    }

    pub(super) fn add(&mut self, profile: Profile, me: Identity, remembered: Vec<Remembered>, has_peers: bool) {
        let seed = self.rng.random();
        self.sockets.insert(me.address, self.nodes.len());
        let ring =
            Ring::new(RingConfig { me, profile, seed, remembered, has_peers, awareness: self.awareness }, self.clock());
        let deadline = None;
        self.nodes.push(Node {
            ring,
            process: Process::Running,
            bytes_sent: 0,
            remembered: Vec::new(),
            waiting: Vec::new(),
            side: 0,
            deadline,
        });
        self.settle(self.nodes.len() - 1);
    }

    pub(super) fn clock(&self) -> Now {
        Now { mono: self.now, wall: Wall(self.now.0 / 1000) }
    }

    /// Cuts the network between the nodes below `first_of_others` and the rest; zero heals it.
    pub(super) fn cut(&mut self, first_of_others: usize) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.side = u8::from(index < first_of_others);
        }
    }

    /// Lets the caller do something with a node.
    pub(super) fn with(&mut self, index: usize, act: impl FnOnce(&mut Ring, Now)) {
        let now = self.clock();
        act(&mut self.nodes[index].ring, now);
        self.settle(index);
    }

    pub(super) fn set_process(&mut self, index: usize, process: Process) {
        self.nodes[index].process = process;
        self.settle(index);
    }

    /// Lets a process that stood still run on. What it asked over streams is too late by then.
    pub(super) fn wake(&mut self, index: usize) {
        self.nodes[index].process = Process::Running;
        for delivery in std::mem::take(&mut self.nodes[index].waiting) {
            match delivery {
                Delivery::Datagram { .. } => self.deliver(delivery),
                Delivery::Response { .. } | Delivery::Probed { .. } => self.enqueue(Duration::from_millis(1), delivery),
                Delivery::Request { .. } => {}
            }
        }
        self.settle(index);
    }

    /// Runs until that much time has passed.
    pub(super) fn run(&mut self, length: Duration) {
        let end = self.now + length;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done`, at most for `limit`. Returns whether it was done.
    pub(super) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            if self.now >= end {
                return false;
            }
            // Looking at all nodes after each event would take most of the time.
            self.run(Duration::from_millis(20));
        }
        true
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.process == Process::Running)
    }

    pub(super) fn all_see(&self, count: usize) -> bool {
        self.running().all(|node| node.ring.alive().count() == count)
    }

    /// Whether all that run have that member in that state.
    pub(super) fn all_know(&self, index: usize, state: MemberState) -> bool {
        self.running()
            .filter(|node| node.ring.me().id != id(index))
            .all(|node| node.ring.member(id(index)).is_some_and(|member| member.state == state))
    }

    pub(super) fn count(&self, wanted: impl Fn(&RingEvent) -> bool) -> usize {
        self.events.iter().filter(|(_, _, event)| wanted(event)).count()
    }

    fn index(&self, to: SocketAddr) -> Option<usize> {
        self.sockets.get(&to).copied()
    }

    fn step(&mut self, end: Mono) -> bool {
        let timer = self.due.first().copied();
        let delivery = self.queue.first_key_value().map(|(key, _)| *key);
        let (timer_at, delivery_at) = (timer.map(|(at, _)| at), delivery.map(|(at, _)| at));
        let Some(at) = timer_at.into_iter().chain(delivery_at).min().filter(|at| *at <= end) else { return false };
        self.now = self.now.max(at);
        if delivery_at == Some(at) {
            if let Some((_, delivery)) = self.queue.pop_first() {
                self.deliver(delivery);
            }
        } else if let Some((_, index)) = timer {
            self.with(index, Ring::tick);
        }
        true
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Datagram { from, to, msg } => {
                let index = self.index(to).filter(|index| self.nodes[*index].process == Process::Running);
                let frozen = self.index(to).filter(|index| self.nodes[*index].process == Process::Frozen);
                if let Some(index) = index {
                    self.with(index, |ring, now| ring.handle_datagram(now, from, msg));
                } else if let Some(index) = frozen.filter(|_| self.standstill == Standstill::Process) {
                    self.nodes[index].waiting.push(Delivery::Datagram { from, to, msg });
                }
            }
            Delivery::Request { from, to, request, msg } => {
                let index = self.index(to).filter(|index| self.nodes[*index].side == self.nodes[from].side);
                let result = match index.map(|index| (index, self.nodes[index].process)) {
                    Some((index, Process::Running)) => {
                        let mut response = None;
                        let source = self.nodes[from].ring.me().address;
                        self.with(index, |ring, now| response = Some(ring.handle_request(now, source, msg)));
                        response.ok_or(StreamError::Other)
                    }
                    Some((_, Process::Killed)) => Err(StreamError::Refused),
                    Some((_, Process::PoweredOff | Process::Frozen)) | None => Err(StreamError::Timeout),
                };
                let after = if result == Err(StreamError::Timeout) { STREAM_TIMEOUT } else { self.latency() };
                self.enqueue(after, Delivery::Response { to: from, request, result });
            }
            Delivery::Response { to, request, .. } if self.nodes[to].process == Process::Frozen => {
                let result = Err(StreamError::Timeout);
                self.nodes[to].waiting.push(Delivery::Response { to, request, result });
            }
            Delivery::Probed { to, probe, outcome } if self.nodes[to].process == Process::Frozen => {
                // The kernel connects for a process that stands still.
                let outcome = if self.standstill == Standstill::Process { outcome } else { ProbeOutcome::NoAnswer };
                self.nodes[to].waiting.push(Delivery::Probed { to, probe, outcome });
            }
            Delivery::Response { to, request, result } => {
                self.with(to, |ring, now| ring.handle_response(now, request, result));
            }
            Delivery::Probed { to, probe, outcome } => {
                self.with(to, |ring, now| ring.handle_probe(now, probe, outcome));
            }
        }
    }

    fn settle(&mut self, index: usize) {
        let running = self.nodes[index].process == Process::Running;
        for action in self.nodes[index].ring.drain() {
            if running {
                self.act(index, action);
            }
        }
        let node = &mut self.nodes[index];
        if let Some(old) = node.deadline.take() {
            self.due.remove(&(old, index));
        }
        node.deadline = node.ring.deadline().filter(|_| running);
        if let Some(deadline) = node.deadline {
            self.due.insert((deadline, index));
        }
    }

    fn act(&mut self, index: usize, action: RingAction) {
        let from = self.nodes[index].ring.me().address;
        match action {
            RingAction::Send { to, msg } => {
                let bytes = postcard::to_stdvec(&msg).unwrap().len() + ENVELOPE_BYTES;
                assert!(bytes <= crate::base::limits::DATAGRAM_PAYLOAD_BYTES, "{bytes} bytes: {msg:?}");
                self.nodes[index].bytes_sent += bytes;
                let side = self.index(to).map(|to| self.nodes[to].side);
                let lost = !self.udp || self.rng.random_bool(self.loss);
                if side == Some(self.nodes[index].side) && !lost {
                    let msg = if self.gossip { msg } else { without_updates(msg) };
                    let latency = self.latency();
                    self.enqueue(latency, Delivery::Datagram { from, to, msg });
                }
            }
            RingAction::Request { request, to, msg } => {
                let latency = self.latency() * 2;
                self.enqueue(latency, Delivery::Request { from: index, to, request, msg });
            }
            RingAction::Probe { probe, to } => {
                let reached = self.index(to).filter(|to| self.nodes[*to].side == self.nodes[index].side);
                let outcome = match reached.map(|to| self.nodes[to].process) {
                    Some(Process::Running | Process::Frozen) => ProbeOutcome::Answered,
                    Some(Process::Killed) => ProbeOutcome::Refused,
                    Some(Process::PoweredOff) | None => ProbeOutcome::NoAnswer,
                };
                let after = match outcome {
                    ProbeOutcome::NoAnswer => Profile::Lan.probe_timeout(),
                    ProbeOutcome::Answered | ProbeOutcome::Refused => self.latency() * 2,
                };
                self.enqueue(after, Delivery::Probed { to: index, probe, outcome });
            }
            RingAction::ResolvePeers => {
                let peers = self.peers.clone();
                self.with(index, |ring, now| ring.join(now, &peers));
            }
            RingAction::Remember(members) => self.nodes[index].remembered = members,
            RingAction::Generation(_) => {}
            RingAction::Event(event) => self.events.push((self.now, index, event)),
        }
    }

    fn latency(&mut self) -> Duration {
        Duration::from_micros(self.rng.random_range(100..1_000))
    }

    fn enqueue(&mut self, after: Duration, delivery: Delivery) {
        self.seq += 1;
        self.queue.insert((self.now + after, self.seq), delivery);
    }
}
