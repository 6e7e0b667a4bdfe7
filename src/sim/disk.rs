//! A disk: what was synced survives a crash; of what was not, a prefix may.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::base::{GroupId, Wall};
use crate::node::Restored;
use crate::records::{Key, Record, Write};
use crate::ring::Remembered;

/// A disk with its synced content and its queue of writes.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) generation: u64,
    remembered: Vec<Remembered>,
    records: BTreeMap<Key, Record>,
    elections: BTreeMap<GroupId, Bytes>,
    last_seen: Option<Wall>,
    /// Asked for and not yet synced, oldest first.
    queue: VecDeque<(u64, Vec<Write>)>,
    /// Whether writes fail just now (a full disk).
    pub(super) failing: bool,
}

impl Disk {
    pub(super) fn enqueue(&mut self, write: u64, items: Vec<Write>) {
        self.queue.push_back((write, items));
    }

    /// The oldest write has come to its end. Returns its number and whether it is on disk.
    pub(super) fn finish_oldest(&mut self) -> Option<(u64, bool)> {
        let (write, items) = self.queue.pop_front()?;
        if self.failing {
            return Some((write, false));
        }
        self.apply(items);
        Some((write, true))
    }

    /// The machine's process is killed: the first `survivors` of the queue reached the disk, the rest did not.
    pub(super) fn crash(&mut self, survivors: usize) {
        for (position, (_, items)) in std::mem::take(&mut self.queue).into_iter().enumerate() {
            if position < survivors && !self.failing {
                self.apply(items);
            }
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// What a node that starts now finds, and the generation that it gets.
    pub(super) fn restore(&mut self, now: Wall) -> (Restored, u64) {
        self.generation = (self.generation + 1).max(now.0);
        let away = self.last_seen.map_or(0, |seen| now.0.saturating_sub(seen.0));
        let restored = Restored {
            away: Duration::from_millis(away),
            records: self.records.values().cloned().collect(),
            elections: self.elections.clone(),
            remembered: self.remembered.clone(),
        };
        (restored, self.generation)
    }

    fn apply(&mut self, items: Vec<Write>) {
        for item in items {
            match item {
                Write::Generation(generation) => self.generation = self.generation.max(generation),
                Write::Remembered(members) => self.remembered = members,
                Write::Records(records) => {
                    for record in records {
                        self.records.insert(record.key.clone(), record);
                    }
                }
                Write::DropRecords(keys) => {
                    for key in keys {
                        self.records.remove(&key);
                    }
                }
                Write::Election { group, state } => {
                    self.elections.insert(group, state);
                }
                Write::LastSeen(wall) => self.last_seen = Some(wall),
            }
        }
    }
}
