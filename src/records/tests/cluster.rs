//! Several nodes on virtual time, and a network that delays and loses what it likes.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{START, node};
use crate::base::limits::{DATAGRAM_PAYLOAD_BYTES, STREAM_FRAME_BYTES};
use crate::base::{Mono, Now, Wall};
use crate::records::{Records, RecordsAction, RecordsConfig, RecordsDatagram, RecordsRequest, RecordsResponse};

enum Event {
    Datagram { from: usize, to: usize, bytes: Vec<u8> },
    Request { from: usize, to: usize, request: u64, bytes: Vec<u8> },
    Response { to: usize, request: u64, result: Result<RecordsResponse, ()> },
}

/// What a node did, besides sending.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) synced: usize,
    pub(super) sync_failed: usize,
    pub(super) refused: usize,
    pub(super) datagram_bytes: usize,
    pub(super) stream_bytes: usize,
    pub(super) questions: usize,
}

pub(super) struct Cluster {
    pub(super) nodes: Vec<Records>,
    pub(super) seen: Vec<Seen>,
    pub(super) after: Duration,
    /// Share of datagrams that are lost; of the questions and answers on streams, a quarter of that.
    pub(super) loss: f64,
    /// Which side of a partition each node is on.
    pub(super) side: Vec<u8>,
    rng: StdRng,
    events: BTreeMap<(Duration, u64), Event>,
    next: u64,
}

impl Cluster {
    pub(super) fn new(count: usize, seed: u64) -> Self {
        let ids: Vec<_> = (0..count).map(|n| node(n as u128 + 1)).collect();
        let nodes = (0..count).map(|n| {
            let mut records = Records::new(ids[n], RecordsConfig::default(), seed.wrapping_add(n as u64));
            records.set_peers(super::at_start(), &ids);
            records
        });
        Self {
            nodes: nodes.collect(),
            seen: vec![Seen::default(); count],
            after: Duration::ZERO,
            loss: 0.0,
            side: vec![0; count],
            rng: StdRng::seed_from_u64(seed),
            events: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: Mono(1_000_000) + self.after, wall: START + self.after }
    }

    pub(super) fn put(&mut self, at: usize, key: &str, value: impl Into<bytes::Bytes>) {
        let now = self.now();
        self.nodes[at].put(now, key.parse().unwrap(), value.into(), 0).unwrap();
        self.carry_out(at);
    }

    /// The same, and another one waits for it.
    pub(super) fn put_for(&mut self, at: usize, key: &str, value: impl Into<bytes::Bytes>, reader: usize) {
        let reader = self.nodes[reader].me;
        self.nodes[at].say_to(reader, key.parse().unwrap());
        self.put(at, key, value);
    }

    pub(super) fn delete(&mut self, at: usize, key: &str) {
        let now = self.now();
        self.nodes[at].delete(now, &key.parse().unwrap()).unwrap();
        self.carry_out(at);
    }

    pub(super) fn sync(&mut self, at: usize, with: usize) {
        let (now, with) = (self.now(), node(with as u128 + 1));
        self.nodes[at].sync_with(now, with);
        self.carry_out(at);
    }

    /// How many nodes read `value` under `key`.
    pub(super) fn readers(&self, key: &str, value: &[u8]) -> usize {
        let key = key.parse().unwrap();
        self.nodes.iter().filter(|node| node.value(&key).is_some_and(|have| have == value)).count()
    }

    pub(super) fn is_converged(&self) -> bool {
        self.nodes.windows(2).all(|pair| pair[0].digest() == pair[1].digest())
    }

    /// Lets time pass until `done`, or for `limit`. Says whether it was done.
    pub(super) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.after + limit;
        loop {
            if done(self) {
                return true;
            }
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let ticks = self.nodes.iter().filter_map(Records::deadline).map(|at| at.since(Mono(1_000_000)));
            let tick = ticks.min().map(|at| at.max(self.after));
            let Some(next) = event.into_iter().chain(tick).min() else { return false };
            if next > end {
                self.after = end;
                return done(self);
            }
            self.after = next;
            if event == Some(next) {
                if let Some((_, event)) = self.events.pop_first() {
                    self.deliver(event);
                }
            } else {
                let now = self.now();
                for at in 0..self.nodes.len() {
                    if self.nodes[at].deadline().is_some_and(|due| due <= now.mono) {
                        self.nodes[at].tick(now);
                        self.carry_out(at);
                    }
                }
            }
        }
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Nothing happens on any node for that long, and all wall clocks go on.
    pub(super) fn skip(&mut self, time: Duration) {
        self.events.clear();
        self.after += time;
    }

    fn deliver(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Datagram { from, to, bytes } => {
                let msg: RecordsDatagram = postcard::from_bytes(&bytes).unwrap();
                self.nodes[to].handle_datagram(now, node(from as u128 + 1), msg);
                self.carry_out(to);
            }
            Event::Request { from, to, request, bytes } => {
                let msg: RecordsRequest = postcard::from_bytes(&bytes).unwrap();
                let response = self.nodes[to].handle_request(now, node(from as u128 + 1), msg);
                let bytes = postcard::to_stdvec(&response).unwrap();
                assert!(bytes.len() <= STREAM_FRAME_BYTES, "an answer of {} bytes", bytes.len());
                self.seen[to].stream_bytes += bytes.len();
                let result = if self.passes(to, from, self.loss / 4.0) { Ok(response) } else { Err(()) };
                self.later(Event::Response { to: from, request, result });
                self.carry_out(to);
            }
            Event::Response { to, request, result } => {
                self.nodes[to].handle_response(now, request, result);
                self.carry_out(to);
            }
        }
    }

    fn carry_out(&mut self, at: usize) {
        for action in self.nodes[at].drain() {
            match action {
                RecordsAction::Send { to, msg } => {
                    let bytes = postcard::to_stdvec(&msg).unwrap();
                    assert!(bytes.len() <= DATAGRAM_PAYLOAD_BYTES - 64, "a datagram of {} bytes", bytes.len());
                    self.seen[at].datagram_bytes += bytes.len();
                    let to = to.as_u128() as usize - 1;
                    assert_ne!(to, at);
                    if self.passes(at, to, self.loss) {
                        self.later(Event::Datagram { from: at, to, bytes });
                    }
                }
                RecordsAction::Request { request, to, msg } => {
                    let bytes = postcard::to_stdvec(&msg).unwrap();
                    assert!(bytes.len() <= STREAM_FRAME_BYTES, "a question of {} bytes", bytes.len());
                    self.seen[at].stream_bytes += bytes.len();
                    self.seen[at].questions += 1;
                    let to = to.as_u128() as usize - 1;
                    if self.passes(at, to, self.loss / 4.0) {
                        self.later(Event::Request { from: at, to, request, bytes });
                    } else {
                        self.later(Event::Response { to: at, request, result: Err(()) });
                    }
                }
                RecordsAction::Synced(_) => self.seen[at].synced += 1,
                RecordsAction::SyncFailed(_) => self.seen[at].sync_failed += 1,
                RecordsAction::Refused { .. } => self.seen[at].refused += 1,
                RecordsAction::Persist(_) | RecordsAction::Unpersist(_) | RecordsAction::Changed(_) => {}
            }
        }
    }

    fn passes(&mut self, from: usize, to: usize, loss: f64) -> bool {
        self.side[from] == self.side[to] && !self.rng.random_bool(loss)
    }

    fn later(&mut self, event: Event) {
        let latency = Duration::from_micros(self.rng.random_range(500..5_000));
        self.events.insert((self.after + latency, self.next), event);
        self.next += 1;
    }
}

/// A node of the cluster that comes back with what it had stored, after the wall clock went on by `away`.
pub(super) fn restart(cluster: &mut Cluster, at: usize, away: Duration) {
    let durable = cluster.nodes[at].iter().filter(|record| record.is_durable()).cloned().collect();
    let ids: Vec<_> = (0..cluster.nodes.len()).map(|n| node(n as u128 + 1)).collect();
    let mut records = Records::new(ids[at], RecordsConfig::default(), 77);
    records.restore(cluster.now(), durable, away);
    records.set_peers(cluster.now(), &ids);
    cluster.nodes[at] = records;
}

/// The wall clock at the start of the tests, for stamps that are made by hand.
pub(super) fn wall_before(now: Now, by: Duration) -> Wall {
    Wall(now.wall.0 - u64::try_from(by.as_millis()).unwrap())
}
