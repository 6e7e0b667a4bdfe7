//! All records, and the hashes over them that tell two nodes quickly where they differ.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;

use super::key::{Class, Key};
use super::record::{Record, first_u64};
use crate::base::NodeId;

/// Leaves of the hash tree. With the most records that a ring may have, one leaf has about 50 of them, so that a
/// repair of one record compares a few kilobytes.
pub(super) const LEAVES: u16 = 4096;
/// Leaves of one branch.
pub(super) const LEAVES_PER_BRANCH: u16 = 64;
/// Branches of the hash tree.
pub(super) const BRANCHES: usize = (LEAVES / LEAVES_PER_BRANCH) as usize;

/// A map of records, with a hash tree of two levels: a leaf's hash is the wrapping sum of the hashes of its records,
/// a branch's that of its leaves', the root's that of all. Sums, so that each change costs three additions.
#[derive(Debug)]
pub(super) struct Table {
    slots: BTreeMap<Key, Slot>,
    /// Only those that are not empty. Their keys are exactly those of `slots`.
    leaves: BTreeMap<u16, Leaf>,
    branches: [u64; BRANCHES],
    root: u64,
    /// How many records each node owns; no zeros.
    owned: BTreeMap<NodeId, usize>,
    /// The tombstones of `slots`, by the time of their stamp.
    tombstones: BTreeSet<(u64, Key)>,
}

#[derive(Debug)]
struct Slot {
    record: Record,
    hash: u64,
    leaf: u16,
}

#[derive(Debug, Default)]
struct Leaf {
    hash: u64,
    keys: BTreeSet<Key>,
}

/// Whether what can be read under a key differs from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Visible {
    Changed,
    Same,
}

/// The leaf that a key belongs to.
pub(super) fn leaf_of(key: &Key) -> u16 {
    let spread = first_u64(&blake3::hash(key.as_str().as_bytes()));
    // The remainder is below `LEAVES`, a u16.
    u16::try_from(spread % u64::from(LEAVES)).unwrap_or(0)
}

fn branch_of(leaf: u16) -> usize {
    usize::from(leaf / LEAVES_PER_BRANCH) % BRANCHES
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            slots: BTreeMap::new(),
            leaves: BTreeMap::new(),
            branches: [0; BRANCHES],
            root: 0,
            owned: BTreeMap::new(),
            tombstones: BTreeSet::new(),
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Record> {
        self.slots.get(key).map(|slot| &slot.record)
    }

    /// Part of the record's hash: tells two contents with one stamp apart.
    pub(super) fn tag(&self, key: &Key) -> u16 {
        self.slots.get(key).map_or(0, |slot| u16::try_from(slot.hash & 0xffff).unwrap_or(0))
    }

    pub(super) fn value(&self, key: &Key) -> Option<&Bytes> {
        self.get(key).and_then(|record| record.value.as_ref())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.slots.values().map(|slot| &slot.record)
    }

    pub(super) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Record> {
        self.slots
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(key, _)| key.as_str().starts_with(prefix))
            .map(|(_, slot)| &slot.record)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many records, tombstones included, `node` owns.
    pub(super) fn owned_by(&self, node: NodeId) -> usize {
        self.owned.get(&node).copied().unwrap_or(0)
    }

    /// The nodes that own any record.
    pub(super) fn owners(&self) -> impl Iterator<Item = NodeId> {
        self.owned.keys().copied()
    }

    pub(super) fn root(&self) -> u64 {
        self.root
    }

    pub(super) fn branches(&self) -> &[u64; BRANCHES] {
        &self.branches
    }

    /// The hash of a leaf; 0 if it is empty.
    pub(super) fn leaf_hash(&self, leaf: u16) -> u64 {
        self.leaves.get(&leaf).map_or(0, |leaf| leaf.hash)
    }

    pub(super) fn keys_in(&self, leaf: u16) -> impl Iterator<Item = &Key> {
        self.leaves.get(&leaf).into_iter().flat_map(|leaf| &leaf.keys)
    }

    /// Puts a record in the place of the one of its key, whichever is later.
    pub(super) fn insert(&mut self, mut record: Record) -> Visible {
        let before = self.remove(&record.key);
        let visible = match &before {
            // A reader of a fenced key goes by the term, too: two holders may have written the same.
            Some(before) if before.value == record.value && before.stamp.term == record.stamp.term => Visible::Same,
            None if record.is_tombstone() => Visible::Same,
            Some(_) | None => Visible::Changed,
        };
        if let Some(before) = before {
            // One allocation of the text for all versions.
            record.key = before.key;
        }
        let key = record.key.clone();
        let (hash, leaf) = (record.hash(), leaf_of(&key));
        self.add(leaf, hash);
        self.leaves.entry(leaf).or_default().keys.insert(key.clone());
        if let Class::Owned(node) = key.class() {
            *self.owned.entry(node).or_default() += 1;
        }
        if record.is_tombstone() {
            self.tombstones.insert((record.stamp.time, key.clone()));
        }
        self.slots.insert(key, Slot { record, hash, leaf });
        visible
    }

    /// Takes a record out, without a trace.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Record> {
        let slot = self.slots.remove(key)?;
        self.add(slot.leaf, slot.hash.wrapping_neg());
        if let Some(leaf) = self.leaves.get_mut(&slot.leaf) {
            leaf.keys.remove(key);
            if leaf.keys.is_empty() {
                self.leaves.remove(&slot.leaf);
            }
        }
        if let Class::Owned(node) = key.class()
            && let Some(count) = self.owned.get_mut(&node)
        {
            *count -= 1;
            if *count == 0 {
                self.owned.remove(&node);
            }
        }
        if slot.record.is_tombstone() {
            self.tombstones.remove(&(slot.record.stamp.time, key.clone()));
        }
        Some(slot.record)
    }

    /// The key of a tombstone from before `time`, if there is one.
    pub(super) fn tombstone_before(&self, time: u64) -> Option<Key> {
        self.tombstones.first().filter(|(at, _)| *at < time).map(|(_, key)| key.clone())
    }

    fn add(&mut self, leaf: u16, hash: u64) {
        let sum = &mut self.leaves.entry(leaf).or_default().hash;
        *sum = sum.wrapping_add(hash);
        let branch = &mut self.branches[branch_of(leaf)];
        *branch = branch.wrapping_add(hash);
        self.root = self.root.wrapping_add(hash);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{BRANCHES, Table, Visible};
    use crate::base::NodeId;
    use crate::records::{Key, Record, Stamp};

    fn record(key: &str, time: u64, value: Option<&str>) -> Record {
        let stamp = Stamp { term: 0, time, node: NodeId::from_u128(1) };
        Record { key: key.parse().unwrap(), stamp, value: value.map(|v| Bytes::copy_from_slice(v.as_bytes())) }
    }

    fn add(table: &mut Table, record: Record) {
        assert_eq!(table.insert(record), Visible::Changed);
    }

    #[test]
    fn a_table_that_is_emptied_has_no_trace_of_what_was_in_it() {
        let mut table = Table::new();
        let owned = format!("{}x", Key::owned_prefix(NodeId::from_u128(7)));
        for key in ["shared/a", "shared/b", &owned] {
            assert_eq!(table.insert(record(key, 1, Some("v"))), Visible::Changed);
            assert_eq!(table.insert(record(key, 2, None)), Visible::Changed);
        }
        assert_ne!(table.root(), 0);
        for key in ["shared/a", "shared/b", &owned] {
            assert!(table.remove(&key.parse().unwrap()).is_some());
        }
        assert_eq!((table.root(), table.branches()), (0, &[0; BRANCHES]));
        assert!(table.leaves.is_empty() && table.owned.is_empty() && table.tombstones.is_empty());
    }

    #[test]
    fn the_hashes_tell_only_what_is_there_not_how_it_came() {
        let (mut one, mut other) = (Table::new(), Table::new());
        let keys: Vec<String> = (0..200).map(|n| format!("shared/{n}")).collect();
        for key in &keys {
            add(&mut one, record(key, 1, Some("old")));
            add(&mut one, record(key, 2, Some("new")));
        }
        for key in keys.iter().rev() {
            add(&mut other, record(key, 2, Some("new")));
        }
        assert_eq!((one.root(), one.branches()), (other.root(), other.branches()));
        add(&mut other, record("shared/7", 2, Some("else")));
        assert_ne!(one.root(), other.root());
        assert_eq!((0..BRANCHES).filter(|&b| one.branches()[b] != other.branches()[b]).count(), 1);
    }

    #[test]
    fn a_prefix_finds_what_starts_with_it_and_nothing_else() {
        let mut table = Table::new();
        for key in ["shared/a/1", "shared/a/2", "shared/ab/1", "shared/b/1"] {
            add(&mut table, record(key, 1, Some("v")));
        }
        let found: Vec<_> = table.with_prefix("shared/a/").map(|r| r.key.to_string()).collect();
        assert_eq!(found, ["shared/a/1", "shared/a/2"]);
    }

    #[test]
    fn only_what_reads_differently_is_a_change() {
        let mut table = Table::new();
        assert_eq!(table.insert(record("shared/a", 1, None)), Visible::Same);
        assert_eq!(table.insert(record("shared/a", 2, Some("v"))), Visible::Changed);
        assert_eq!(table.insert(record("shared/a", 3, Some("v"))), Visible::Same);
        assert_eq!(table.insert(record("shared/a", 4, None)), Visible::Changed);
        assert_eq!(table.insert(record("shared/a", 5, None)), Visible::Same);
    }

    #[test]
    fn the_same_in_another_term_is_a_change() {
        let mut table = Table::new();
        let in_term = |term| {
            let have = record("fenced/a", 1, Some("v"));
            Record { stamp: Stamp { term, ..have.stamp }, ..have }
        };
        add(&mut table, in_term(4));
        add(&mut table, in_term(5));
        assert_eq!(table.insert(in_term(5)), Visible::Same);
    }
}
