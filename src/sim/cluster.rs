//! The event queue, and the outputs of nodes carried out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::base::{GroupId, NodeId, Seat};
use crate::node::{Command, CommandError, Done, GroupRules, Input, Node, NodeEvent, Note, Output};
use crate::records::Record;
use crate::records::value::{NodeFacts, Strategy, Topology};
use crate::ring::{ProbeOutcome, Profile, StreamError};

use super::clock::{Clock, True, us};
use super::host::{Existence, Host, Process, SOCKET_BUFFER};
use super::invariants::{Holdings, Violation};
use super::network::{Link, Network};
use super::plant::Plant;
use super::rollouts::Rollouts;
use super::service::{FakeService, Script, ServiceEvent};
use super::trace::Trace;

/// How long an attempt to reach a silent address lasts.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How many events there may be at one instant: several for each node of the largest ring.
const AT_ONCE_MAX: u32 = 20_000;
/// How often it is looked whether something that is waited for has come.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How a cluster is set up.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// How many machines.
    pub hosts: usize,
    /// The source of all randomness.
    pub seed: u64,
    /// The ring's profile.
    pub profile: Profile,
    /// How the network behaves.
    pub link: Link,
    /// How far clocks drift at most, in millionths.
    pub max_drift_ppm: i64,
    /// Whether the machines run the fake service.
    pub services: bool,
    /// A fault that the invariants are to find.
    pub plant: Option<Plant>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            hosts: 3,
            seed: 1,
            profile: Profile::Lan,
            link: Link::default(),
            max_drift_ppm: 1_000,
            services: false,
            plant: None,
        }
    }
}

/// Something that will happen on a machine.
#[derive(Debug)]
pub(super) enum What {
    Timer { timer: u64 },
    Datagram { from: usize, bytes: Bytes },
    StreamArrives { from: usize, request: u64, bytes: Bytes },
    StreamAnswered { request: u64, result: Result<Bytes, StreamError> },
    Probed { probe: u64, outcome: ProbeOutcome },
    DiskDone,
    Resolved,
    Service(ServiceEvent),
    Resume,
}

#[derive(Debug)]
struct Event {
    host: usize,
    /// The process that it is meant for; none: for the machine.
    epoch: Option<u64>,
    what: What,
}

/// A cluster on virtual time.
#[derive(Debug)]
pub struct Cluster {
    pub(super) config: ClusterConfig,
    pub(super) at: True,
    pub(super) rng: StdRng,
    pub(super) hosts: Vec<Host>,
    pub(super) network: Network,
    pub(super) holdings: Holdings,
    pub(super) rollouts: Rollouts,
    pub(super) trace: Trace,
    pub(super) violation: Option<Violation>,
    /// The first rollout record, for a planted fault.
    pub(super) old_rollout: Option<Record>,
    /// Configs that a node acknowledged, by the write that makes them durable, until that is done.
    pending_acks: BTreeMap<(usize, u64, u64), String>,
    /// Configs that were acknowledged durably.
    pub(super) acknowledged: Vec<(usize, String)>,
    queue: BTreeMap<(True, u64), Event>,
    sequence: u64,
    streams: BTreeMap<(usize, u64), (usize, u64, u64)>,
    next_conn: u64,
    by_address: BTreeMap<SocketAddr, usize>,
    /// How many datagrams and bytes were sent.
    pub datagrams: u64,
    /// The sum of their sizes.
    pub datagram_bytes: u64,
    /// How many events before this one were at the same instant.
    at_once: u32,
    /// How many events were carried out.
    pub events: u64,
    wrongly_dead: u64,
    /// Whether the first machine is not always there to be asked for the others.
    come_and_go: bool,
    /// How many machines took the place of others.
    replaced: usize,
}

/// The group that the fake services form.
#[must_use]
pub(super) fn fake_group() -> GroupId {
    match "fake.default".parse() {
        Ok(group) => group,
        Err(_) => unreachable!("the text is a group"),
    }
}

impl Cluster {
    /// Machines that are all switched off, and whose services are left alone.
    #[must_use]
    pub fn of_nodes(config: ClusterConfig) -> Self {
        let rules = GroupRules { min_members: 1, council_size: 1, replace_voter_after: Duration::from_secs(60) };
        let script = Script {
            topology: Topology::Standalone,
            strategy: Strategy::None,
            rules,
            start_time: Duration::ZERO,
            suitability: 0,
        };
        Self::new(ClusterConfig { services: false, ..config }, |_, _| script)
    }

    /// Machines that are all switched off.
    #[must_use]
    pub fn new(config: ClusterConfig, script: impl Fn(usize, &mut StdRng) -> Script) -> Self {
        let mut rng = StdRng::seed_from_u64(config.seed);
        let hosts: Vec<Host> = (0..config.hosts)
            .map(|number| {
                let id = NodeId::from_u128(rng.random());
                let clock = Clock {
                    offset_us: rng.random_range(0..1_000_000_000),
                    drift_ppm: rng.random_range(-config.max_drift_ppm..=config.max_drift_ppm),
                    skew_ms: rng.random_range(-500..=500),
                };
                let script = script(number, &mut rng);
                Host::new(number, id, clock, FakeService::new(number, script))
            })
            .collect();
        let by_address = hosts.iter().enumerate().map(|(number, host)| (host.address, number)).collect();
        Self {
            network: Network { link: config.link, ..Network::default() },
            config,
            at: 0,
            rng,
            hosts,
            holdings: Holdings::default(),
            rollouts: Rollouts::default(),
            trace: Trace::default(),
            violation: None,
            old_rollout: None,
            pending_acks: BTreeMap::new(),
            acknowledged: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            streams: BTreeMap::new(),
            next_conn: 0,
            by_address,
            datagrams: 0,
            datagram_bytes: 0,
            at_once: 0,
            events: 0,
            wrongly_dead: 0,
            come_and_go: false,
            replaced: 0,
        }
    }

    /// True time since the run began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.at)
    }

    /// Starts the process on a machine. Machine 0 is everybody's peer.
    pub fn start(&mut self, host: usize) {
        let is_off = matches!(self.hosts[host].process, Process::Dead);
        if !is_off || self.hosts[host].existence != Existence::There {
            return;
        }
        self.trace.say(self.at, &format!("node {host} starts"));
        if self.config.plant == Some(Plant::Twice) {
            self.hosts[host].service.forget();
        }
        let seed = self.config.seed ^ (host as u64).wrapping_mul(0xd134_2543_de82_ef95);
        let node = self.hosts[host].boot(self.at, self.config.profile, host != 0, seed);
        self.hosts[host].process = Process::Running(Box::new(node));
        // What starting asked for comes out with the first input.
        self.input(host, Input::Timer);
        if self.config.services {
            // What the supervisor does first, too: a node that left in an earlier life says that it is back.
            let facts = NodeFacts { hostname: format!("node{host}"), ..NodeFacts::default() };
            self.tell(host, Command::Facts(facts));
        }
        if host != 0 {
            self.schedule(1_000, host, Some(self.hosts[host].epoch), What::Resolved);
        }
    }

    /// Kills the process on a machine: what was not synced is lost, but for a prefix of it.
    pub fn crash(&mut self, host: usize) {
        let queued = self.hosts[host].disk.queued();
        let survivors = self.rng.random_range(0..=queued);
        self.trace.say(self.at, &format!("node {host} is killed, {survivors} of {queued} writes survive"));
        self.kill(host, survivors);
    }

    fn kill(&mut self, host: usize, survivors: usize) {
        let entry = &mut self.hosts[host];
        entry.disk.crash(survivors);
        entry.process = Process::Dead;
        entry.timer_at = None;
        entry.timer += 1;
        let epoch = entry.epoch;
        entry.epoch += 1;
        entry.unseen.clear();
        entry.said = None;
        entry.service.orphan();
        self.rollouts.forget_node(host);
        self.pending_acks.retain(|(of, at_epoch, _), _| *of != host || *at_epoch != epoch);
        self.reset_streams(host);
    }

    /// A machine that nobody has heard of is switched on. Those that run are its peers.
    pub(super) fn bear(&mut self, host: usize) {
        self.come_and_go = true;
        if self.hosts[host].existence == Existence::Unborn {
            self.hosts[host].existence = Existence::There;
            self.start(host);
        }
    }

    /// A machine is lost for good, with all that is on it.
    pub(super) fn lose(&mut self, host: usize) {
        if self.node(host).is_some() {
            self.cut_power(host);
        }
        self.come_and_go = true;
        self.hosts[host].existence = Existence::Gone;
        self.trace.say(self.at, &format!("node {host} is lost for good"));
    }

    /// Another machine takes the place of one: a new node at a new address, with nothing on its disk.
    pub fn replace(&mut self, host: usize) {
        let entry = &self.hosts[host];
        let (clock, script) = (entry.clock, entry.service.script);
        let id = NodeId::from_u128(self.rng.random());
        let epoch = entry.epoch;
        let before = entry.address;
        self.replaced += 1;
        let address = Host::address_of(self.hosts.len() + self.replaced);
        self.hosts[host] = Host { epoch, address, ..Host::new(host, id, clock, FakeService::new(host, script)) };
        self.by_address.remove(&before);
        self.by_address.insert(address, host);
    }

    /// The machines that are there.
    pub(super) fn there(&self) -> impl Iterator<Item = usize> + Clone {
        let hosts = self.hosts.iter().enumerate();
        hosts.filter(|(_, host)| host.existence == Existence::There).map(|(number, _)| number)
    }

    /// The power of a machine fails: what was not synced is lost, but for a prefix of it, and its service ends, too.
    pub(super) fn cut_power(&mut self, host: usize) {
        self.crash(host);
        self.hosts[host].service.stop();
    }

    /// Ends the process on a machine in good order: all that it wrote is on disk, and its service is stopped.
    pub fn end(&mut self, host: usize) {
        let queued = self.hosts[host].disk.queued();
        self.trace.say(self.at, &format!("node {host} ends"));
        self.kill(host, queued);
        self.hosts[host].service.stop();
    }

    /// Stops the process on a machine for a time; it neither reads nor writes nor sees its timers.
    pub fn pause(&mut self, host: usize, length: Duration) {
        let entry = &mut self.hosts[host];
        match std::mem::replace(&mut entry.process, Process::Dead) {
            Process::Running(node) => {
                entry.process = Process::Paused { node, inbox: Vec::new() };
                let epoch = entry.epoch;
                self.trace.say(self.at, &format!("node {host} is paused for {} ms", length.as_millis()));
                self.schedule(us(length), host, Some(epoch), What::Resume);
            }
            other @ (Process::Dead | Process::Paused { .. }) => entry.process = other,
        }
    }

    /// Gives a command to a node, and notes it if the node refuses.
    pub(super) fn tell(&mut self, host: usize, command: Command) {
        if let Some(Err(error)) = self.command(host, command) {
            self.trace.say(self.at, &format!("node {host} refuses: {error}"));
        }
    }

    /// Gives a command to a node.
    ///
    /// # Errors
    /// The node refuses it.
    ///
    /// Returns none if the node does not run.
    pub fn command(&mut self, host: usize, command: Command) -> Option<Result<Done, CommandError>> {
        let now = self.hosts[host].clock.now(self.at);
        let Process::Running(node) = &mut self.hosts[host].process else { return None };
        let (result, outputs) = node.execute(now, command);
        self.carry_out(host, outputs);
        if let Ok(done) = &result
            && done.changed
            && let (Some(write), Some(revision)) = (done.write, &done.revision)
        {
            let epoch = self.hosts[host].epoch;
            if self.hosts[host].writes_under_way.contains(&write) {
                self.pending_acks.insert((host, epoch, write), revision.clone());
            }
        }
        Some(result)
    }

    /// Runs until true time `until`, or until an invariant is violated.
    pub fn run_until(&mut self, until: Duration) {
        let until = us(until);
        while self.violation.is_none() {
            match self.queue.first_key_value() {
                Some(((at, _), _)) if *at <= until => {}
                Some(_) | None => break,
            }
            self.step();
        }
        self.at = self.at.max(until);
    }

    /// Runs until `done` holds, asked every [`LOOK_EVERY`]: asking after each event would take most of the time.
    /// Returns whether it came to hold before `until`.
    pub fn run_while_not(&mut self, until: Duration, done: impl Fn(&Self) -> bool) -> bool {
        while self.violation.is_none() && !done(self) {
            if self.elapsed() >= until {
                return false;
            }
            self.run_until(until.min(self.elapsed() + LOOK_EVERY));
        }
        self.violation.is_none()
    }

    /// The node on a machine, if its process lives.
    #[must_use]
    pub fn node(&self, host: usize) -> Option<&Node> {
        self.hosts[host].node()
    }

    /// How often nodes had to tell others that they are not dead.
    #[must_use]
    pub fn renewals(&self) -> u64 {
        self.hosts.iter().map(|host| host.renewals).sum()
    }

    /// Whether every node runs and sees every other alive, and no other. One that is paused sees what it saw before.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let runs = |host: usize| matches!(self.hosts[host].process, Process::Running(_));
        let there = self.there().count();
        self.there().all(runs) && self.there().all(|host| self.sees_alive(host) == there)
    }

    /// Cuts the ring in two: the machines below `at` from the others.
    pub fn cut_at(&mut self, at: usize) {
        let others = at..self.hosts.len();
        let links = (0..at).flat_map(|one| others.clone().map(move |other| (one, other)));
        self.network.cut.extend(links.flat_map(|(one, other)| [(one, other), (other, one)]));
    }

    /// Everybody reaches everybody again.
    pub fn uncut(&mut self) {
        self.network.cut.clear();
    }

    /// How often a node took one for dead that was not.
    #[must_use]
    pub fn wrongly_dead(&self) -> u64 {
        self.wrongly_dead
    }

    /// Whether every node knows the service of every other.
    pub(super) fn is_acquainted(&self) -> bool {
        let knows = |host: usize| self.node(host).map_or(0, |node| node.census().members(&fake_group()).count());
        let there = self.there().count();
        self.there().all(|host| knows(host) == there)
    }

    /// How many members a machine's node sees alive, itself included.
    #[must_use]
    pub fn sees_alive(&self, host: usize) -> usize {
        let alive =
            |node: &Node| node.census().nodes().filter(|seen| seen.liveness == crate::census::Liveness::Alive).count();
        self.hosts[host].node().map_or(0, alive)
    }

    pub(super) fn schedule(&mut self, after: True, host: usize, epoch: Option<u64>, what: What) {
        self.sequence += 1;
        self.queue.insert((self.at + after, self.sequence), Event { host, epoch, what });
    }

    fn step(&mut self) {
        let Some(((at, _), event)) = self.queue.pop_first() else { return };
        let at_once = if self.at == at { self.at_once + 1 } else { 0 };
        self.at = at;
        self.at_once = at_once;
        self.events += 1;
        let host = event.host;
        if at_once >= AT_ONCE_MAX {
            self.violate(|_| Err(Violation::Restless { node: host, at, events: at_once }));
            return;
        }
        if event.epoch.is_some_and(|epoch| epoch != self.hosts[host].epoch) {
            return;
        }
        match event.what {
            What::Timer { timer } => {
                if timer == self.hosts[host].timer {
                    self.hosts[host].timer_at = None;
                    self.trace.fold(at, host, 0, &[]);
                    self.input(host, Input::Timer);
                }
            }
            What::Datagram { from, bytes } => {
                self.trace.fold(at, host, 1, &bytes);
                let from = self.hosts[from].address;
                self.input(host, Input::Datagram { from, bytes });
            }
            What::StreamArrives { from, request, bytes } => self.stream_arrives(host, from, request, bytes),
            What::StreamAnswered { request, result } => {
                self.trace.fold(at, host, 2, result.as_deref().unwrap_or_default());
                self.input(host, Input::StreamResponse { request, result });
            }
            What::Probed { probe, outcome } => {
                self.trace.fold(at, host, 3, &probe.to_be_bytes());
                self.input(host, Input::Probed { probe, outcome });
            }
            What::DiskDone => self.disk_done(host),
            What::Resolved => {
                let peers = self.peers();
                self.input(host, Input::PeersResolved(peers));
            }
            What::Service(event) => self.service_event(host, event),
            What::Resume => self.resume(host),
        }
    }

    /// Whom a node is to look for that knows nobody: the first machine, and where machines come and go the others, too.
    fn peers(&self) -> Vec<SocketAddr> {
        let peers = if self.come_and_go { self.hosts.len() } else { 1 };
        self.there().take(peers).map(|host| self.hosts[host].address).collect()
    }

    fn input(&mut self, host: usize, input: Input) {
        let now = self.hosts[host].clock.now(self.at);
        let outputs = match &mut self.hosts[host].process {
            Process::Running(node) => node.handle(now, input),
            Process::Paused { inbox, .. } => {
                // A socket holds so much and no more; timers and the rest fire late.
                let is_datagram = matches!(input, Input::Datagram { .. });
                if !is_datagram || inbox.len() < SOCKET_BUFFER {
                    inbox.push(input);
                }
                return;
            }
            Process::Dead => return,
        };
        self.carry_out(host, outputs);
    }

    fn resume(&mut self, host: usize) {
        let entry = &mut self.hosts[host];
        match std::mem::replace(&mut entry.process, Process::Dead) {
            Process::Paused { node, inbox } => {
                entry.process = Process::Running(node);
                self.trace.say(self.at, &format!("node {host} resumes"));
                // The sockets first, then the timers: as the shell does it.
                let (timers, rest): (Vec<_>, Vec<_>) =
                    inbox.into_iter().partition(|input| matches!(input, Input::Timer));
                for input in rest.into_iter().chain(timers) {
                    self.input(host, input);
                }
                self.catch_up(host);
            }
            other @ (Process::Dead | Process::Running(_)) => entry.process = other,
        }
    }

    fn carry_out(&mut self, host: usize, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { to, bytes, after } => self.send(host, to, bytes, after),
                Output::OpenStream { request, to, bytes } => self.open_stream(host, request, to, bytes),
                Output::Reply { conn, bytes } => self.reply(host, conn, bytes),
                Output::Probe { probe, to } => self.probe(host, probe, to),
                Output::Persist { write, items } => self.persist(host, write, items),
                Output::ResolvePeers => {
                    let epoch = self.hosts[host].epoch;
                    self.schedule(2_000, host, Some(epoch), What::Resolved);
                }
                Output::Event(event) => self.node_event(host, event),
            }
        }
        self.arm(host);
    }

    fn arm(&mut self, host: usize) {
        let entry = &mut self.hosts[host];
        let Process::Running(node) = &entry.process else { return };
        let Some(deadline) = node.deadline() else { return };
        let when = entry.clock.when(deadline).max(self.at);
        if entry.timer_at != Some(when) {
            entry.timer += 1;
            entry.timer_at = Some(when);
            let (timer, epoch) = (entry.timer, entry.epoch);
            self.schedule(when - self.at, host, Some(epoch), What::Timer { timer });
        }
    }

    fn send(&mut self, host: usize, to: SocketAddr, bytes: Bytes, after: Option<u64>) {
        let Some(to) = self.by_address.get(&to).copied() else { return };
        if let Some(write) = after {
            let entry = &mut self.hosts[host];
            if entry.failed_writes.contains(&write) {
                return;
            }
            if entry.writes_under_way.contains(&write) {
                entry.held_back.push((write, to, bytes));
                return;
            }
        }
        self.transmit(host, to, bytes);
    }

    fn transmit(&mut self, from: usize, to: usize, bytes: Bytes) {
        let bytes = self.tampered(bytes);
        self.datagrams += 1;
        self.datagram_bytes += bytes.len() as u64;
        for delay in self.network.deliveries(&mut self.rng, from, to) {
            // A datagram reaches whatever process has the port when it arrives.
            self.schedule(delay, to, None, What::Datagram { from, bytes: bytes.clone() });
        }
    }

    fn open_stream(&mut self, host: usize, request: u64, to: SocketAddr, bytes: Bytes) {
        let epoch = self.hosts[host].epoch;
        let to = self.by_address.get(&to).copied();
        let round_trip = self.network.delay(&mut self.rng) + self.network.delay(&mut self.rng);
        match to.filter(|to| self.network.passes(host, *to) && self.network.passes(*to, host)) {
            None => {
                let result = Err(StreamError::Timeout);
                self.schedule(us(CONNECT_TIMEOUT), host, Some(epoch), What::StreamAnswered { request, result });
            }
            Some(to) if matches!(self.hosts[to].process, Process::Dead) => {
                let result = Err(StreamError::Refused);
                self.schedule(round_trip, host, Some(epoch), What::StreamAnswered { request, result });
            }
            Some(to) => {
                let to_epoch = self.hosts[to].epoch;
                self.schedule(round_trip, to, Some(to_epoch), What::StreamArrives { from: host, request, bytes });
                // The opener's own deadline: whichever comes second finds nobody waiting.
                let result = Err(StreamError::Timeout);
                self.schedule(us(CONNECT_TIMEOUT) * 5, host, Some(epoch), What::StreamAnswered { request, result });
            }
        }
    }

    fn stream_arrives(&mut self, host: usize, from: usize, request: u64, bytes: Bytes) {
        self.trace.fold(self.at, host, 4, &bytes);
        let conn = self.next_conn;
        self.next_conn += 1;
        self.streams.insert((host, conn), (from, self.hosts[from].epoch, request));
        let from = self.hosts[from].address;
        self.input(host, Input::StreamRequest { conn, from, bytes });
    }

    fn reply(&mut self, host: usize, conn: u64, bytes: Bytes) {
        let Some((to, epoch, request)) = self.streams.remove(&(host, conn)) else { return };
        if self.network.passes(host, to) {
            let delay = self.network.delay(&mut self.rng);
            self.schedule(delay, to, Some(epoch), What::StreamAnswered { request, result: Ok(bytes) });
        }
    }

    fn reset_streams(&mut self, host: usize) {
        let open: Vec<(usize, u64)> = self.streams.keys().filter(|(of, _)| *of == host).copied().collect();
        for key in open {
            if let Some((to, epoch, request)) = self.streams.remove(&key) {
                let result = Err(StreamError::Other);
                self.schedule(1_000, to, Some(epoch), What::StreamAnswered { request, result });
            }
        }
    }

    fn probe(&mut self, host: usize, probe: u64, to: SocketAddr) {
        let epoch = self.hosts[host].epoch;
        let to = self.by_address.get(&to).copied();
        let round_trip = self.network.delay(&mut self.rng) + self.network.delay(&mut self.rng);
        let (after, outcome) = match to.filter(|to| self.network.passes(host, *to) && self.network.passes(*to, host)) {
            None => (us(CONNECT_TIMEOUT), ProbeOutcome::NoAnswer),
            // The kernel accepts for a stopped process.
            Some(to) => match self.hosts[to].process {
                Process::Dead => (round_trip, ProbeOutcome::Refused),
                Process::Running(_) | Process::Paused { .. } => (round_trip, ProbeOutcome::Answered),
            },
        };
        self.schedule(after, host, Some(epoch), What::Probed { probe, outcome });
    }

    fn persist(&mut self, host: usize, write: u64, items: Vec<crate::records::Write>) {
        let entry = &mut self.hosts[host];
        entry.disk.enqueue(write, items);
        entry.writes_under_way.insert(write);
        let epoch = entry.epoch;
        // One disk: syncs come one after the other, a millisecond or some each.
        let queued = entry.disk.queued() as u64;
        let delay = queued * 500 + self.rng.random_range(500..3_000);
        self.schedule(delay, host, Some(epoch), What::DiskDone);
    }

    fn disk_done(&mut self, host: usize) {
        let entry = &mut self.hosts[host];
        let Some((write, ok)) = entry.disk.finish_oldest() else { return };
        self.trace.fold(self.at, host, 5, &write.to_be_bytes());
        entry.writes_under_way.remove(&write);
        if !ok {
            entry.failed_writes.insert(write);
        }
        let (due, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut entry.held_back).into_iter().partition(|(waits_for, ..)| *waits_for == write);
        entry.held_back = rest;
        let epoch = entry.epoch;
        if let Some(revision) = self.pending_acks.remove(&(host, epoch, write))
            && ok
        {
            self.acknowledged.push((host, revision));
        }
        // A stopped process sends nothing, and learns of its disk when it resumes; what it would have sent is late.
        let running = matches!(self.hosts[host].process, Process::Running(_));
        if ok {
            for (_, to, bytes) in due {
                if running {
                    self.transmit(host, to, bytes);
                }
            }
        }
        self.input(host, Input::Persisted { write, ok });
    }

    fn node_event(&mut self, host: usize, event: NodeEvent) {
        match event {
            NodeEvent::Ready { alone } => {
                self.trace.say(self.at, &format!("node {host} is ready{}", if alone { ", alone" } else { "" }));
                self.service(host, ServiceEvent::RingReady);
            }
            NodeEvent::Group(group) => self.group_changed(host, &group),
            NodeEvent::Held { group, seat, term, until, renewal } => {
                let until = self.hosts[host].clock.when(until);
                if !renewal {
                    self.trace.say(self.at, &format!("node {host} holds {seat} in term {term} until {until} us"));
                }
                self.violate(|cluster| cluster.holdings.held(cluster.at, host, (group, seat), term, until, renewal));
            }
            NodeEvent::Lost { group, seat, term, why } => {
                self.trace.say(self.at, &format!("node {host} lost {seat} of term {term}: {why:?}"));
                self.holdings.lost(self.at, host, &(group, seat), term);
            }
            NodeEvent::Note(Note::Renewed) => self.hosts[host].renewals += 1,
            NodeEvent::Note(Note::MemberDown { node, address, how }) => {
                let runs = |host: &&Host| host.id == node && !matches!(host.process, Process::Dead);
                self.wrongly_dead += u64::from(self.hosts.iter().any(|host| runs(&host)));
                self.trace.say(self.at, &format!("node {host}: {:?}", Note::MemberDown { node, address, how }));
            }
            NodeEvent::Note(note) => self.trace.say(self.at, &format!("node {host}: {note:?}")),
            NodeEvent::Members => {}
        }
    }

    pub(super) fn violate(&mut self, check: impl FnOnce(&mut Self) -> Result<(), Violation>) {
        if let Err(violation) = check(self)
            && self.violation.is_none()
        {
            self.trace.say(self.at, &violation.to_string());
            self.violation = Some(violation);
        }
    }

    /// Who holds the fake group's leader seat now, in truth.
    pub(super) fn leader(&self) -> Option<(usize, crate::base::Term)> {
        self.holdings.holder(self.at, &(fake_group(), Seat::Leader))
    }
}
