//! The state machine.

use std::time::Duration;

use bytes::Bytes;

use super::key::Key;
use super::message::{PutError, RecordsAction, RecordsDatagram, RecordsRequest, RecordsResponse};
use super::record::Record;
use crate::base::{Mono, NodeId, Now};

/// How [`Records`] behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordsConfig {
    /// A stamp from further ahead of this node's clock is refused. Must exceed the clocks' differences in the ring.
    pub max_clock_skew: Duration,
    /// How often one random member is asked whether it knows the same: news that was lost arrives this late.
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

/// All that this node knows, and how it comes to know more.
#[derive(Debug)]
pub struct Records;

impl Records {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(_me: NodeId, _config: RecordsConfig, _seed: u64) -> Self {
        todo!()
    }

    /// What the store had, before anything else happens. `away` is how long the node did not run.
    pub fn restore(&mut self, _now: Now, _records: Vec<Record>, _away: Duration) {
        todo!()
    }

    /// Says `value` under `key`; `term` is 0 unless the key is fenced. An unchanged value costs nothing.
    ///
    /// # Errors
    /// The key is not this node's to write, or a limit is reached; nothing was changed.
    pub fn put(&mut self, _now: Now, _key: Key, _value: Bytes, _term: u64) -> Result<(), PutError> {
        todo!()
    }

    /// Deletes what is said under `key`, everywhere.
    ///
    /// # Errors
    /// The key is not this node's to write; nothing was changed.
    pub fn delete(&mut self, _now: Now, _key: &Key) -> Result<(), PutError> {
        todo!()
    }

    /// The record, tombstones included.
    #[must_use]
    pub fn get(&self, _key: &Key) -> Option<&Record> {
        todo!()
    }

    /// What is said under `key`; none if nothing is, or it was deleted.
    #[must_use]
    pub fn value(&self, _key: &Key) -> Option<&Bytes> {
        todo!()
    }

    /// The records whose keys start with `prefix`, by key, tombstones included.
    pub fn with_prefix<'a>(&'a self, _prefix: &'a str) -> impl Iterator<Item = &'a Record> {
        std::iter::empty()
    }

    /// All records, by key, tombstones included.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        std::iter::empty()
    }

    /// A hash over all records: equal on nodes that know the same.
    #[must_use]
    pub fn digest(&self) -> u64 {
        todo!()
    }

    /// Records that a previous run of this node left in the ring, and that this run neither confirmed nor deleted.
    pub fn unclaimed(&self) -> impl Iterator<Item = &Record> {
        std::iter::empty()
    }

    /// Whom to spread to and repair with.
    pub fn set_peers(&mut self, _now: Now, _alive: &[NodeId]) {
        todo!()
    }

    /// A datagram came.
    pub fn handle_datagram(&mut self, _now: Now, _from: NodeId, _msg: RecordsDatagram) {
        todo!()
    }

    /// A question came; the answer goes back on the same stream.
    pub fn handle_request(&mut self, _now: Now, _from: NodeId, _msg: RecordsRequest) -> RecordsResponse {
        todo!()
    }

    /// The answer to one of our questions came, or there is none.
    pub fn handle_response<E>(&mut self, _now: Now, _request: u64, _result: Result<RecordsResponse, E>) {
        todo!()
    }

    /// A full repair with that member now; ends in `Synced` or `SyncFailed`.
    pub fn sync_with(&mut self, _now: Now, _node: NodeId) {
        todo!()
    }

    /// Drops what a departed or long-gone node owned.
    pub fn forget_node(&mut self, _now: Now, _node: NodeId) {
        todo!()
    }

    /// A deadline passed.
    pub fn tick(&mut self, _now: Now) {
        todo!()
    }

    /// When `tick` is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        todo!()
    }

    /// What is to be done, in order.
    #[must_use]
    pub fn drain(&mut self) -> Vec<RecordsAction> {
        todo!()
    }
}
