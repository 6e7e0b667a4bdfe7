//! The state machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::fetch::Fetch;
use super::key::{Class, Key};
use super::message::{PutError, RecordsAction, RecordsDatagram, RecordsRequest, RecordsResponse};
use super::record::Record;
use super::repair::{Purpose, Session};
use super::stamp::{Clock, Stamp, from_wall};
use super::standing::Standing;
use super::table::{Table, Visible};
use crate::base::limits::RECORD_VALUE_BYTES;
use crate::base::{Mono, NodeId, Now};

/// How [`Records`] behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordsConfig {
    /// A stamp from further ahead of this node's clock is refused. Must exceed the clocks' differences in the ring.
    pub max_clock_skew: Duration,
    /// How often one random member is asked whether it knows the same: news that was lost arrives this late. Every
    /// node asks as often, so that a ring of any size costs each node two small datagrams in this time.
    pub repair_interval: Duration,
    /// For how long a deletion is remembered. A node that was away for longer does not tell others what it knew.
    pub tombstone_ttl: Duration,
    /// Most records, tombstones included, that one node may own.
    pub owner_records: usize,
    /// Most records, tombstones included, in all.
    pub ring_records: usize,
}

impl Default for RecordsConfig {
    fn default() -> Self {
        Self {
            max_clock_skew: Duration::from_secs(5 * 60),
            repair_interval: Duration::from_secs(5),
            tombstone_ttl: Duration::from_secs(24 * 60 * 60),
            owner_records: 1024,
            ring_records: 200_000,
        }
    }
}

/// How long after one old copy of an own record was overruled the next ones are. Two processes that claim to be one node
/// would otherwise overrule each other as fast as the network goes, until the ring has told one to stop.
const RECLAIM_INTERVAL: Duration = Duration::from_secs(1);

/// In a ring of so many others or fewer, a new member is asked soon whether it knows the same.
const GREETING_RING: usize = 32;

/// All that this node knows, and how it comes to know more.
#[derive(Debug)]
pub struct Records {
    pub(super) me: NodeId,
    pub(super) config: RecordsConfig,
    pub(super) rng: StdRng,
    pub(super) clock: Clock,
    pub(super) table: Table,
    /// Whom to spread to and repair with: by id, without this node.
    pub(super) peers: Vec<NodeId>,
    pub(super) standing: Standing,
    /// Own keys that this run put or deleted. What a previous run wrote under them and others still tell is overruled.
    written: BTreeSet<Key>,
    /// Own keys of which others have a later version than this run wrote, with its time.
    reclaims: BTreeMap<Key, u64>,
    reclaim_at: Mono,
    pub(super) forgotten: BTreeMap<NodeId, super::refusal::Forgotten>,
    /// Nodes that are gone for good: nothing that they own is taken, whoever tells it.
    pub(super) departed: BTreeSet<NodeId>,
    pub(super) reported: BTreeMap<(NodeId, u8), Mono>,
    /// How many records of others were refused.
    pub(super) refused: u64,
    /// What to spread, with who told it; none for what this node wrote.
    pub(super) news: BTreeMap<Key, Option<NodeId>>,
    /// Who waits for news of a key, and is told at first hand.
    pub(super) awaited: BTreeSet<(NodeId, Key)>,
    /// Keys whose reading changed since the last drain.
    changed: BTreeSet<Key>,
    /// Durable keys whose record changed, or went, since the last drain.
    unstored: BTreeSet<Key>,
    /// Tombstones with an earlier time are over.
    tombstone_cutoff: u64,
    next_request: u64,
    pub(super) sessions: BTreeMap<u64, Session>,
    pub(super) fetches: BTreeMap<u64, Fetch>,
    /// Whom to ask next, rather than a random member.
    pub(super) next_peer: Option<NodeId>,
    /// When the next member is asked; none before the first tick.
    pub(super) repair_at: Option<Mono>,
    pub(super) actions: Vec<RecordsAction>,
}

/// What became of a record that another node told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Taken {
    /// It was later than what was known.
    New,
    /// As much, or more, was known.
    Known,
    /// It is not acceptable.
    Refused,
}

impl Records {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(me: NodeId, config: RecordsConfig, seed: u64) -> Self {
        Self {
            me,
            config,
            rng: StdRng::seed_from_u64(seed),
            clock: Clock::default(),
            table: Table::new(),
            peers: Vec::new(),
            standing: Standing::Newcomer { until: None, doubtful: BTreeSet::new() },
            written: BTreeSet::new(),
            reclaims: BTreeMap::new(),
            reclaim_at: Mono::default(),
            forgotten: BTreeMap::new(),
            departed: BTreeSet::new(),
            reported: BTreeMap::new(),
            refused: 0,
            news: BTreeMap::new(),
            awaited: BTreeSet::new(),
            changed: BTreeSet::new(),
            unstored: BTreeSet::new(),
            tombstone_cutoff: 0,
            next_request: 0,
            sessions: BTreeMap::new(),
            fetches: BTreeMap::new(),
            next_peer: None,
            repair_at: None,
            actions: Vec::new(),
        }
    }

    /// What the store had, before anything else happens. `away` is how long the node did not run.
    ///
    /// If that is longer than a tombstone lasts, some of it may have been deleted meanwhile, with no trace left: what a
    /// member that was there does not know is dropped as soon as it is asked. If nobody was there either, all is kept.
    pub fn restore(&mut self, now: Now, records: Vec<Record>, away: Duration) {
        self.expire_tombstones(now);
        let mut doubtful = BTreeSet::new();
        let was_empty = records.is_empty();
        for record in records {
            if !record.is_durable() || self.refuse_content(&record).is_some() {
                self.unstored.insert(record.key);
                continue;
            }
            if record.stamp.ahead_of(now.wall) <= self.config.max_clock_skew {
                self.clock.see(record.stamp.time);
            }
            if self.is_older_than_deletions(&record.key, &record.stamp) {
                doubtful.insert(record.key.clone());
            }
            if self.table.insert(record.clone()) == Visible::Changed {
                self.changed.insert(record.key);
            }
        }
        if !was_empty && away <= self.config.tombstone_ttl {
            self.standing = Standing::Current;
        } else {
            self.standing = Standing::Newcomer { until: None, doubtful };
        }
        self.expire_tombstones(now);
    }

    /// Says `value` under `key`; `term` is 0 unless the key is fenced. An unchanged value costs nothing.
    ///
    /// # Errors
    /// The key is not this node's to write, or a limit is reached; nothing was changed.
    pub fn put(&mut self, now: Now, key: Key, value: Bytes, term: u64) -> Result<(), PutError> {
        if value.len() > RECORD_VALUE_BYTES {
            return Err(PutError::ValueTooLarge { key, len: value.len() });
        }
        self.check_writer(&key, term)?;
        match self.table.get(&key) {
            Some(have) if have.value.as_ref() == Some(&value) && have.stamp.term == term => {
                self.claim(&key);
                return Ok(());
            }
            Some(_) => {}
            None => self.check_room(&key)?,
        }
        self.write(now, key, Some(value), term);
        Ok(())
    }

    /// Has what was just put under `key` said to this member at first hand, to whomever else chance has it said: in a
    /// large ring some hear of it from a repair only.
    pub fn say_to(&mut self, to: NodeId, key: Key) {
        self.awaited.insert((to, key));
    }

    /// Deletes what is said under `key`, everywhere. A fenced key is deleted under the term that it was written under.
    ///
    /// # Errors
    /// The key is not this node's to write; nothing was changed.
    pub fn delete(&mut self, now: Now, key: &Key) -> Result<(), PutError> {
        let term = self.table.get(key).map_or(0, |have| have.stamp.term);
        self.check_writer(key, term)?;
        match self.table.value(key) {
            Some(_) => self.write(now, key.clone(), None, term),
            None => self.claim(key),
        }
        Ok(())
    }

    /// The record, tombstones included.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Record> {
        self.table.get(key)
    }

    /// What is said under `key`; none if nothing is, or it was deleted.
    #[must_use]
    pub fn value(&self, key: &Key) -> Option<&Bytes> {
        self.table.value(key)
    }

    /// The records whose keys start with `prefix`, by key, tombstones included.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Record> {
        self.table.with_prefix(prefix)
    }

    /// All records, by key, tombstones included.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.table.iter()
    }

    /// How many records there are, tombstones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// How many records of others were refused, each time that they were told.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How much is kept, for tests and benchmarks to compare: what grows with the ring, and what is under way.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, usize); 6] {
        [
            ("records", self.table.len()),
            ("forgotten", self.forgotten.len()),
            ("reported", self.reported.len()),
            ("news", self.news.len()),
            ("sessions", self.sessions.len()),
            ("fetches", self.fetches.len()),
        ]
    }

    /// A hash over all records: equal on nodes that know the same.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.table.root()
    }

    /// Keys that a previous run of this node left in the ring, and that this run neither put nor deleted: once all
    /// services are loaded, they speak of services that are no more.
    #[must_use]
    pub fn unclaimed(&self) -> Vec<Key> {
        let prefix = Key::owned_prefix(self.me);
        let left = self.table.with_prefix(&prefix).filter(|record| !record.is_tombstone());
        left.map(|record| record.key.clone()).filter(|key| !self.written.contains(key)).collect()
    }

    /// Has all that is to survive a restart stored once more: some of it could not be.
    pub fn store_again(&mut self) {
        self.unstored.extend(self.table.iter().filter(|record| record.is_durable()).map(|record| record.key.clone()));
    }

    /// Whom to spread to and repair with.
    pub fn set_peers(&mut self, now: Now, alive: &[NodeId]) {
        let mut peers: Vec<NodeId> = alive.iter().copied().filter(|&peer| peer != self.me).collect();
        peers.sort_unstable();
        peers.dedup();
        let added: Vec<NodeId> = peers.iter().copied().filter(|peer| self.peers.binary_search(peer).is_err()).collect();
        if !added.is_empty() && peers.len() <= GREETING_RING {
            // After a partition, say: each may know what the other missed. In a large ring this would be a flood.
            self.next_peer = Some(added[self.rng.random_range(0..added.len())]);
            let soon = now.mono + (self.config.repair_interval / 10).mul_f64(self.rng.random());
            self.repair_at = self.repair_at.map(|at| at.min(soon));
        }
        self.peers = peers;
    }

    /// A datagram came.
    pub fn handle_datagram(&mut self, now: Now, from: NodeId, msg: RecordsDatagram) {
        match msg {
            RecordsDatagram::New(records) => {
                for record in records {
                    self.hear(now, from, record);
                }
            }
            RecordsDatagram::Offer(offers) => self.consider_offers(now, from, offers),
            RecordsDatagram::Root(root) => {
                if root != self.table.root() && self.peers.binary_search(&from).is_ok() {
                    self.start_repair(now, from, Purpose::Routine);
                }
            }
        }
    }

    /// A question came; the answer goes back on the same stream.
    pub fn handle_request(&mut self, now: Now, from: NodeId, msg: RecordsRequest) -> RecordsResponse {
        match msg {
            RecordsRequest::Fetch(keys) => self.answer_fetch(&keys),
            RecordsRequest::Branches { hashes } => self.answer_branches(&hashes),
            RecordsRequest::Compare { leaves, entries, current } => self.answer_compare(now, &leaves, entries, current),
            RecordsRequest::Push(records) => self.answer_push(now, from, records),
        }
    }

    /// The answer to one of our questions came, or there is none; why there is none does not matter here.
    pub fn handle_response<E>(&mut self, now: Now, request: u64, result: Result<RecordsResponse, E>) {
        let response = result.ok();
        if let Some(session) = self.sessions.remove(&request) {
            self.continue_repair(now, session, response);
        } else if let Some(fetch) = self.fetches.remove(&request) {
            self.finish_fetch(now, fetch, response);
        }
        // Neither: it was given up already.
    }

    /// A full repair with that member now; ends in `Synced` or `SyncFailed`.
    pub fn sync_with(&mut self, now: Now, node: NodeId) {
        self.start_repair(now, node, Purpose::Sync);
    }

    /// The nodes that own any record.
    pub fn owners(&self) -> impl Iterator<Item = NodeId> {
        self.table.owners()
    }

    /// A node is a member again that may have been forgotten: what it owns is taken again, since it may have run on all
    /// the while, and has said nothing new.
    pub fn welcome(&mut self, node: NodeId) {
        self.forgotten.remove(&node);
    }

    /// Drops what a departed or long-gone node owned. What others tell of it from before now is not taken again; what it
    /// says itself when it returns is.
    pub fn forget_node(&mut self, now: Now, node: NodeId) {
        if node == self.me {
            return;
        }
        let prefix = Key::owned_prefix(node);
        let records: Vec<(Key, u64)> =
            self.table.with_prefix(&prefix).map(|record| (record.key.clone(), record.stamp.time)).collect();
        let Some(newest) = records.iter().map(|(_, time)| *time).max() else { return };
        for (key, _) in records {
            self.drop_record(&key);
        }
        self.remember_forgotten(now, node, newest);
    }

    /// A deadline passed.
    pub fn tick(&mut self, now: Now) {
        self.reclaim(now);
        self.expire_requests(now);
        match self.repair_at {
            // At a random moment of the first interval, so that nodes that start together do not stay in step.
            None => {
                self.expire_tombstones(now);
                self.settle_standing(now);
                self.repair_at = Some(now.mono + self.config.repair_interval.mul_f64(self.rng.random()));
            }
            Some(at) if at <= now.mono => {
                self.expire_tombstones(now);
                self.expire_memory(now);
                self.settle_standing(now);
                self.ask_a_peer();
                self.repair_at =
                    Some(now.mono + self.config.repair_interval.mul_f64(self.rng.random_range(0.75..1.25)));
            }
            Some(_) => {}
        }
    }

    /// When `tick` is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let reclaim = (!self.reclaims.is_empty()).then_some(self.reclaim_at);
        let requests = self.sessions.values().map(|s| s.until).chain(self.fetches.values().map(|f| f.until));
        requests.chain(reclaim).chain([self.repair_at.unwrap_or_default()]).min()
    }

    /// What is to be done, in order: store, tell, send.
    #[must_use]
    pub fn drain(&mut self) -> Vec<RecordsAction> {
        let mut actions = Vec::new();
        let (mut stored, mut dropped) = (Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.unstored) {
            match self.table.get(&key) {
                Some(record) => stored.push(record.clone()),
                None => dropped.push(key),
            }
        }
        if !stored.is_empty() {
            actions.push(RecordsAction::Persist(stored));
        }
        if !dropped.is_empty() {
            actions.push(RecordsAction::Unpersist(dropped));
        }
        if !self.changed.is_empty() {
            actions.push(RecordsAction::Changed(std::mem::take(&mut self.changed).into_iter().collect()));
        }
        self.spread_news();
        actions.append(&mut self.actions);
        actions
    }

    /// Takes a record that `from` told, and passes it on if it was new.
    pub(super) fn hear(&mut self, now: Now, from: NodeId, record: Record) {
        let key = record.key.clone();
        match self.accept(now, record) {
            Taken::New => {
                self.news.insert(key, Some(from));
            }
            Taken::Known | Taken::Refused => {}
        }
    }

    /// Merges a record of another node.
    pub(super) fn accept(&mut self, now: Now, record: Record) -> Taken {
        if let Some(why) = self.refuse(now, &record.key, &record.stamp).or_else(|| self.refuse_content(&record)) {
            self.report(now, &record, why);
            return Taken::Refused;
        }
        if !self.is_later(&record) {
            return Taken::Known;
        }
        if self.written.contains(&record.key) {
            self.overrule(now, &record.key, record.stamp.time);
            return Taken::Known;
        }
        // Of an own key a stamp from the far future may come back, which must not push the clock there.
        if record.stamp.ahead_of(now.wall) <= self.config.max_clock_skew {
            self.clock.see(record.stamp.time);
        }
        self.place(record);
        Taken::New
    }

    /// Whether the record would change anything here.
    fn is_later(&self, record: &Record) -> bool {
        if self.is_forgotten(&record.key, &record.stamp) {
            return false;
        }
        match self.table.get(&record.key) {
            Some(have) => record.beats(have),
            // What it deletes was never known here, or is forgotten already; so its time is over.
            None => !(record.is_tombstone() && record.stamp.time < self.tombstone_cutoff),
        }
    }

    /// Puts the record in its place, and notes what follows from that.
    fn place(&mut self, record: Record) {
        let key = record.key.clone();
        if record.is_durable() {
            self.unstored.insert(key.clone());
        }
        self.standing.vouch_for(&key);
        if self.table.insert(record) == Visible::Changed {
            self.changed.insert(key);
        }
    }

    /// Takes the record out without a trace, and notes what follows from that.
    pub(super) fn drop_record(&mut self, key: &Key) {
        let Some(record) = self.table.remove(key) else { return };
        if record.is_durable() {
            self.unstored.insert(key.clone());
        }
        if !record.is_tombstone() {
            self.changed.insert(key.clone());
        }
        self.written.remove(key);
    }

    /// Writes a version that is later than any that was seen, of this key or any other.
    fn write(&mut self, now: Now, key: Key, value: Option<Bytes>, term: u64) {
        let seen = self.table.get(&key).map_or(0, |have| have.stamp.time);
        self.write_after(now, key, value, term, seen);
    }

    fn write_after(&mut self, now: Now, key: Key, value: Option<Bytes>, term: u64, seen: u64) {
        // The clock follows only tolerable stamps; the record itself must be beaten even if it has none.
        let time = self.clock.draw(now.wall).max(seen.saturating_add(1));
        self.claim(&key);
        self.news.insert(key.clone(), None);
        self.place(Record { key, stamp: Stamp { term, time, node: self.me }, value });
    }

    /// From now on, what this run says under an own key stands.
    fn claim(&mut self, key: &Key) {
        if key.class() == Class::Owned(self.me) {
            self.written.insert(key.clone());
        }
    }

    /// Others have a version of an own key that a previous run wrote, or another process with this node's id.
    pub(super) fn overrule(&mut self, now: Now, key: &Key, time: u64) {
        let beat = self.reclaims.entry(key.clone()).or_default();
        *beat = time.max(*beat);
        self.reclaim(now);
    }

    pub(super) fn has_written(&self, key: &Key) -> bool {
        self.written.contains(key)
    }

    fn reclaim(&mut self, now: Now) {
        if self.reclaims.is_empty() || now.mono < self.reclaim_at {
            return;
        }
        self.reclaim_at = now.mono + RECLAIM_INTERVAL;
        for (key, time) in std::mem::take(&mut self.reclaims) {
            // None: it was deleted, and even the tombstone is gone; so it is deleted once more.
            let value = self.table.value(&key).cloned();
            self.write_after(now, key, value, 0, time);
        }
    }

    fn check_writer(&self, key: &Key, term: u64) -> Result<(), PutError> {
        match key.class() {
            Class::Owned(owner) if owner != self.me => Err(PutError::NotOwner(key.clone())),
            Class::Owned(_) | Class::Shared if term != 0 => Err(PutError::TermOnUnfenced(key.clone())),
            Class::Owned(_) | Class::Shared => Ok(()),
            Class::Fenced => match self.table.get(key) {
                Some(have) if have.stamp.term > term => {
                    Err(PutError::Fenced { key: key.clone(), newest: have.stamp.term })
                }
                Some(_) | None => Ok(()),
            },
        }
    }

    fn check_room(&self, key: &Key) -> Result<(), PutError> {
        let full = |limit| Err(PutError::Full { key: key.clone(), limit });
        if self.table.len() >= self.config.ring_records {
            return full(self.config.ring_records);
        }
        match key.class() {
            Class::Owned(owner) if self.table.owned_by(owner) >= self.config.owner_records => {
                full(self.config.owner_records)
            }
            Class::Owned(_) | Class::Shared | Class::Fenced => Ok(()),
        }
    }

    /// Whether this may have been deleted so long ago that nobody remembers it.
    pub(super) fn is_older_than_deletions(&self, key: &Key, stamp: &Stamp) -> bool {
        key.class() == Class::Shared && stamp.time < self.tombstone_cutoff
    }

    fn expire_tombstones(&mut self, now: Now) {
        let ttl = u64::try_from(self.config.tombstone_ttl.as_millis()).unwrap_or(u64::MAX);
        self.tombstone_cutoff = from_wall(crate::base::Wall(now.wall.0.saturating_sub(ttl)));
        while let Some(key) = self.table.tombstone_before(self.tombstone_cutoff) {
            self.drop_record(&key);
        }
    }

    /// Names a new question.
    pub(super) fn ask(&mut self, to: NodeId, msg: RecordsRequest) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        self.actions.push(RecordsAction::Request { request, to, msg });
        request
    }
}
