//! Three nodes in memory, from which comes one that has a past: members that it knows, a council that it votes in,
//! promises that it gave.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use sup::base::limits::{DATAGRAM_PAYLOAD_BYTES, STREAM_FRAME_BYTES};
use sup::base::{GroupId, Mono, NodeId, Now, Wall};
use sup::node::{Command, GroupRules, Input, Node, NodeConfig, NodeEvent, Output, Restored, decode_datagram};
use sup::records::value::{MemberStatus, NodeFacts, ServiceState, Strategy, Topology};
use sup::records::{Record, Write};
use sup::ring::{Identity, ProbeOutcome, Profile, Remembered};

/// How many nodes there are.
pub const NODES: usize = 3;
/// When the past begins, in seconds of the monotonic clock.
const BEGIN: u64 = 1_000;
/// How long the past is: time enough to join, and to elect a leader.
const PAST: Duration = Duration::from_secs(20);
/// Most outputs of one input.
const OUTPUTS_MAX: usize = 2_000;

/// The instant so long after the beginning.
#[must_use]
pub fn at(since: Duration) -> Now {
    let micros = u64::try_from(since.as_micros()).expect("a short time");
    Now { mono: Mono(BEGIN * 1_000_000 + micros), wall: Wall(1_790_000_000_000 + micros / 1000) }
}

/// The id of a node.
#[must_use]
pub fn id(node: usize) -> NodeId {
    NodeId::from_u128(0x5eed_0000_0000_0000_0000_0000_0000_0001 + node as u128)
}

/// The address of a node.
#[must_use]
pub fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(node % 200).expect("below 200") + 1], 9638))
}

/// The group that all of them are members of.
#[must_use]
pub fn group() -> GroupId {
    "redis.default".parse().expect("a group")
}

fn config(node: usize, generation: u64) -> NodeConfig {
    NodeConfig {
        me: Identity { id: id(node), address: address(node), generation },
        profile: Profile::Local,
        has_peers: true,
        join_timeout: Duration::from_secs(10),
        max_clock_skew: Duration::from_secs(300),
        seed: 1 + node as u64,
    }
}

fn membership() -> Command {
    let status = MemberStatus {
        topology: Topology::Leader,
        strategy: Strategy::Rolling,
        state: ServiceState::Up,
        eligible: true,
        suitability: Some(7),
        ..MemberStatus::default()
    };
    let rules = GroupRules { min_members: NODES, council_size: NODES, replace_voter_after: Duration::from_secs(60) };
    Command::Publish { group: group(), status: Box::new(status), rules }
}

/// What was said, and stored, while three nodes became a ring.
#[derive(Debug, Default)]
pub struct Past {
    /// What the first node has on its disk.
    pub restored: Restored,
    /// Datagrams that it was sent, and by whom.
    pub datagrams: Vec<(usize, Bytes)>,
    /// Requests that it was asked, and by whom.
    pub requests: Vec<(usize, Bytes)>,
    /// Answers that it got.
    pub answers: Vec<Bytes>,
    /// Whether it, or another one, came to lead.
    pub led: bool,
}

/// The past of the first node. The same in every run.
pub fn past() -> &'static Past {
    static LIVED: OnceLock<Past> = OnceLock::new();
    LIVED.get_or_init(live)
}

fn live() -> Past {
    let mut past = Past::default();
    let mut records: BTreeMap<String, Record> = BTreeMap::new();
    let restored = Restored::default;
    let mut nodes: Vec<Node> =
        (0..NODES).map(|node| Node::new(config(node, 1), restored(), at(Duration::ZERO))).collect();
    let mut now = Duration::ZERO;
    // What was begun and is to be delivered: to whom, and what.
    let mut inputs: VecDeque<(usize, Input)> = VecDeque::new();
    for (number, node) in nodes.iter_mut().enumerate() {
        inputs.push_back((number, Input::Timer));
        inputs.push_back((
            number,
            Input::PeersResolved((0..NODES).filter(|other| *other != number).map(address).collect()),
        ));
        let facts = NodeFacts { hostname: format!("host{number}"), gossip_port: 9638, ..NodeFacts::default() };
        for command in [Command::Facts(facts), membership()] {
            let (_, outputs) = node.execute(at(now), command);
            deliver(number, outputs, &mut inputs, &mut past, &mut records);
        }
    }
    while now < PAST {
        while let Some((to, input)) = inputs.pop_front() {
            let asked = match &input {
                Input::StreamRequest { from, conn, .. } => Some((*from, *conn)),
                _ => None,
            };
            let mut outputs = nodes[to].handle(at(now), input);
            // The answer goes back to who asked, under the number that it knows.
            if let Some((from, conn)) = asked {
                for output in outputs.extract_if(.., |output| matches!(output, Output::Reply { .. })) {
                    let Output::Reply { bytes, .. } = output else { continue };
                    let asker = number(from).expect("who asked is one of them");
                    if asker == 0 {
                        past.answers.push(bytes.clone());
                    }
                    inputs.push_back((asker, Input::StreamResponse { request: conn, result: Ok(bytes) }));
                }
            }
            deliver(to, outputs, &mut inputs, &mut past, &mut records);
        }
        let due = nodes.iter().filter_map(Node::deadline).min().expect("a node always has something to do");
        now = due.since(at(Duration::ZERO).mono).max(now + Duration::from_millis(1));
        for (number, node) in nodes.iter().enumerate() {
            if node.deadline().is_some_and(|deadline| deadline <= at(now).mono) {
                inputs.push_back((number, Input::Timer));
            }
        }
    }
    past.restored.records = records.into_values().collect();
    past.restored.remembered = (1..NODES).map(|node| Remembered { id: id(node), address: address(node) }).collect();
    past
}

fn number(address: SocketAddr) -> Option<usize> {
    (0..NODES).find(|node| self::address(*node) == address)
}

fn deliver(
    from: usize,
    outputs: Vec<Output>,
    inputs: &mut VecDeque<(usize, Input)>,
    past: &mut Past,
    records: &mut BTreeMap<String, Record>,
) {
    for output in outputs {
        match output {
            Output::Send { to, bytes, .. } => {
                let Some(to) = number(to) else { continue };
                if to == 0 {
                    past.datagrams.push((from, bytes.clone()));
                }
                inputs.push_back((to, Input::Datagram { from: address(from), bytes }));
            }
            Output::OpenStream { request, to, bytes } => {
                let Some(to) = number(to) else { continue };
                if to == 0 {
                    past.requests.push((from, bytes.clone()));
                }
                inputs.push_back((to, Input::StreamRequest { conn: request, from: address(from), bytes }));
            }
            Output::Probe { probe, .. } => {
                inputs.push_back((from, Input::Probed { probe, outcome: ProbeOutcome::Answered }));
            }
            Output::Persist { write, items } => {
                // First, so that what waits for it is sent when it is stored.
                inputs.push_front((from, Input::Persisted { write, ok: true }));
                if from == 0 {
                    store(items, past, records);
                }
            }
            Output::Event(NodeEvent::Held { .. }) => past.led = true,
            Output::Reply { .. } | Output::ResolvePeers | Output::Event(_) => {}
        }
    }
}

fn store(items: Vec<Write>, past: &mut Past, records: &mut BTreeMap<String, Record>) {
    for item in items {
        match item {
            Write::Records(stored) => records.extend(stored.into_iter().map(|record| (record.key.to_string(), record))),
            Write::DropRecords(keys) => keys.iter().for_each(|key| drop(records.remove(key.as_str()))),
            Write::Election { group, state } => drop(past.restored.elections.insert(group, state)),
            Write::Generation(_) | Write::Remembered(_) | Write::LastSeen(_) => {}
        }
    }
}

/// The first node, started again after its past; and what it waits for.
#[derive(Debug)]
pub struct Subject {
    node: Node,
    now: Duration,
    streams: VecDeque<u64>,
    probes: VecDeque<u64>,
    writes: VecDeque<u64>,
}

impl Default for Subject {
    fn default() -> Self {
        Self::new()
    }
}

impl Subject {
    /// It has just started, and is a member of its group.
    #[must_use]
    pub fn new() -> Self {
        let node = Node::new(config(0, 2), past().restored.clone(), at(PAST));
        let none = VecDeque::new;
        let mut subject = Self { node, now: PAST, streams: none(), probes: none(), writes: none() };
        subject.feed(Input::Timer);
        let (_, outputs) = subject.node.execute(at(subject.now), membership());
        subject.take(outputs);
        subject
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// A datagram from one of the others, or from somebody whom nobody knows.
    pub fn datagram(&mut self, from: usize, bytes: &[u8]) {
        self.feed(Input::Datagram { from: address(from), bytes: Bytes::copy_from_slice(bytes) });
    }

    /// A request from one of the others.
    pub fn request(&mut self, from: usize, bytes: &[u8]) {
        self.feed(Input::StreamRequest { conn: 1, from: address(from), bytes: Bytes::copy_from_slice(bytes) });
    }

    /// The answer to what it asked first of what is open.
    pub fn answer(&mut self, result: Result<&[u8], sup::ring::StreamError>) {
        if let Some(request) = self.streams.pop_front() {
            self.feed(Input::StreamResponse { request, result: result.map(Bytes::copy_from_slice) });
        }
    }

    /// What came of the first probe that is open.
    pub fn probed(&mut self, outcome: ProbeOutcome) {
        if let Some(probe) = self.probes.pop_front() {
            self.feed(Input::Probed { probe, outcome });
        }
    }

    /// What came of the first write that is open.
    pub fn persisted(&mut self, ok: bool) {
        if let Some(write) = self.writes.pop_front() {
            self.feed(Input::Persisted { write, ok });
        }
    }

    /// Names were looked up.
    pub fn resolved(&mut self, node: usize) {
        self.feed(Input::PeersResolved(vec![address(node)]));
    }

    /// Time passes, and nothing is done: the process was stopped.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Time passes until something is due, and it is done. It must not be due again at once, for ever.
    pub fn timer(&mut self) {
        let Some(deadline) = self.node.deadline() else { return };
        let due = deadline.since(at(Duration::ZERO).mono);
        // What is due in a year is as good as never.
        if due > PAST + Duration::from_secs(100_000) {
            return;
        }
        self.now = self.now.max(due);
        for _ in 0..100 {
            self.feed(Input::Timer);
            if self.node.deadline().is_none_or(|deadline| deadline > at(self.now).mono) {
                return;
            }
        }
        panic!("a timer that is always due: {:?} at {:?}", self.node.deadline(), at(self.now).mono);
    }

    fn feed(&mut self, input: Input) {
        let outputs = self.node.handle(at(self.now), input);
        self.take(outputs);
    }

    fn take(&mut self, outputs: Vec<Output>) {
        assert!(outputs.len() <= OUTPUTS_MAX, "{} outputs of one input", outputs.len());
        for output in outputs {
            match output {
                Output::Send { bytes, .. } => {
                    assert!(bytes.len() <= DATAGRAM_PAYLOAD_BYTES);
                    decode_datagram(&bytes).expect("what a node says can be read");
                }
                Output::OpenStream { request, bytes, .. } => {
                    assert!(bytes.len() <= STREAM_FRAME_BYTES);
                    self.streams.push_back(request);
                }
                Output::Reply { bytes, .. } => assert!(bytes.len() <= STREAM_FRAME_BYTES),
                Output::Probe { probe, .. } => self.probes.push_back(probe),
                Output::Persist { write, .. } => self.writes.push_back(write),
                Output::ResolvePeers | Output::Event(_) => {}
            }
        }
    }
}
