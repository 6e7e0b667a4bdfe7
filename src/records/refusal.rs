//! What is not taken from others, and why.

use std::time::Duration;

use super::engine::Records;
use super::key::{Class, Key};
use super::message::{RecordsAction, RefusedWhy};
use super::record::Record;
use super::stamp::Stamp;
use crate::base::limits::RECORD_VALUE_BYTES;
use crate::base::{Mono, NodeId, Now};

/// How often a refusal is reported for one writer and reason.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);
/// For how many (writer, reason) that is remembered. Beyond, nothing is reported until some are a minute old.
const REPORTS: usize = 1024;
/// How many forgotten nodes are remembered; beyond, the one forgotten longest ago is not.
const FORGOTTEN: usize = 4096;

/// A node whose records were dropped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forgotten {
    /// The latest time of what was dropped: up to it, nothing of the node is taken again.
    newest: u64,
    /// When that is not remembered any longer: by then the other nodes have forgotten it, too.
    until: Mono,
}

impl Records {
    /// Why nothing with this key and stamp is taken.
    pub(super) fn refuse(&self, now: Now, key: &Key, stamp: &Stamp) -> Option<RefusedWhy> {
        match key.class() {
            Class::Owned(owner) if owner != stamp.node => return Some(RefusedWhy::NotOwner),
            Class::Owned(_) | Class::Shared if stamp.term != 0 => return Some(RefusedWhy::TermOnUnfenced),
            // What this node wrote in a previous run, before its clock was set back: it must be known to be overruled.
            Class::Owned(owner) if owner == self.me => return None,
            Class::Owned(_) | Class::Shared | Class::Fenced => {}
        }
        let ahead = stamp.ahead_of(now.wall);
        (ahead > self.config.max_clock_skew).then_some(RefusedWhy::AheadOfClock(ahead))
    }

    /// Why this record is not taken, whatever its stamp.
    pub(super) fn refuse_content(&self, record: &Record) -> Option<RefusedWhy> {
        let len = record.value.as_ref().map_or(0, bytes::Bytes::len);
        if len > RECORD_VALUE_BYTES {
            return Some(RefusedWhy::ValueTooLarge(len));
        }
        if self.table.get(&record.key).is_some() {
            return None;
        }
        if self.table.len() >= self.config.ring_records {
            return Some(RefusedWhy::RingFull);
        }
        match record.key.class() {
            Class::Owned(owner) if self.table.owned_by(owner) >= self.config.owner_records => {
                Some(RefusedWhy::OwnerFull)
            }
            Class::Owned(_) | Class::Shared | Class::Fenced => None,
        }
    }

    pub(super) fn report(&mut self, now: Now, record: &Record, why: RefusedWhy) {
        let from = record.stamp.node;
        let kind = match why {
            RefusedWhy::AheadOfClock(_) => 0,
            RefusedWhy::NotOwner => 1,
            RefusedWhy::TermOnUnfenced => 2,
            RefusedWhy::ValueTooLarge(_) => 3,
            RefusedWhy::OwnerFull => 4,
            RefusedWhy::RingFull => 5,
        };
        self.refused += 1;
        let quiet = self.reported.get(&(from, kind)).is_some_and(|until| now.mono < *until);
        if quiet || (self.reported.len() >= REPORTS && !self.reported.contains_key(&(from, kind))) {
            return;
        }
        self.reported.insert((from, kind), now.mono + REPORT_INTERVAL);
        self.actions.push(RecordsAction::Refused { key: record.key.clone(), from, why });
    }

    /// Whether this is from before its owner was forgotten.
    pub(super) fn is_forgotten(&self, key: &Key, stamp: &Stamp) -> bool {
        match key.class() {
            Class::Owned(owner) => {
                self.departed.contains(&owner) || self.forgotten.get(&owner).is_some_and(|f| stamp.time <= f.newest)
            }
            Class::Shared | Class::Fenced => false,
        }
    }

    /// A node is gone for good: what it owned is dropped, and not taken again before it is taken back.
    pub fn depart(&mut self, now: Now, node: NodeId) {
        if node != self.me && self.departed.insert(node) {
            self.forget_node(now, node);
        }
    }

    /// A node that was gone for good is taken back. What it owns is taken again: it may have run on all the while, and has
    /// said nothing new.
    pub fn undepart(&mut self, node: NodeId) {
        if self.departed.remove(&node) {
            self.forgotten.remove(&node);
        }
    }

    pub(super) fn remember_forgotten(&mut self, now: Now, node: NodeId, newest: u64) {
        self.forgotten.insert(node, Forgotten { newest, until: now.mono + self.config.tombstone_ttl });
        if self.forgotten.len() > FORGOTTEN {
            let oldest = self.forgotten.iter().min_by_key(|(_, f)| f.until).map(|(node, _)| *node);
            if let Some(oldest) = oldest {
                self.forgotten.remove(&oldest);
            }
        }
    }

    pub(super) fn expire_memory(&mut self, now: Now) {
        self.forgotten.retain(|_, f| now.mono < f.until);
        self.reported.retain(|_, until| now.mono < *until);
    }
}
