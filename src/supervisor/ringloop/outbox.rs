//! Messages that may leave only once a write is on disk. A promise that is not durable was never made: a node that
//! told of it and crashed would make another one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use bytes::Bytes;

/// How many failed writes are remembered. A message that depends on one follows within a turn or two of the loop.
const FAILED: usize = 1024;

/// How many messages may wait in all. A disk that hangs holds back what members ask again and again; they lose nothing
/// by an answer that is lost.
const WAITING: usize = 4096;

/// A datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub to: SocketAddr,
    pub bytes: Bytes,
}

/// Writes under way, and what waits for them.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: BTreeMap<u64, Vec<Message>>,
    /// How many messages that is.
    held: usize,
    failed: BTreeSet<u64>,
}

impl Outbox {
    /// A write was begun.
    pub(super) fn begun(&mut self, write: u64) {
        self.waiting.entry(write).or_default();
    }

    /// Takes a message that may leave after `write`, and returns it if it may leave now.
    #[must_use]
    pub(super) fn put(&mut self, message: Message, write: u64) -> Option<Message> {
        match self.waiting.get_mut(&write) {
            Some(waiting) => {
                if self.held < WAITING {
                    self.held += 1;
                    waiting.push(message);
                }
                None
            }
            None if self.failed.contains(&write) => None,
            None => Some(message),
        }
    }

    /// A write is on disk: what waited for it may leave, in the order in which it came.
    #[must_use]
    pub(super) fn stored(&mut self, write: u64) -> Vec<Message> {
        let stored = self.waiting.remove(&write).unwrap_or_default();
        self.held -= stored.len();
        stored
    }

    /// A write failed: what waited for it never leaves.
    pub(super) fn failed(&mut self, write: u64) {
        self.held -= self.waiting.remove(&write).map_or(0, |dropped| dropped.len());
        self.failed.insert(write);
        if self.failed.len() > FAILED {
            self.failed.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FAILED, Message, Outbox, WAITING};

    fn message(n: u8) -> Message {
        Message { to: ([127, 0, 0, n], 1).into(), bytes: vec![n].into() }
    }

    #[test]
    fn a_message_waits_for_its_write_and_for_no_other() {
        let mut outbox = Outbox::default();
        outbox.begun(1);
        outbox.begun(2);
        assert_eq!(outbox.put(message(1), 1), None);
        assert_eq!(outbox.put(message(2), 2), None);
        assert_eq!(outbox.put(message(3), 1), None);
        assert_eq!(outbox.stored(2), [message(2)]);
        assert_eq!(outbox.stored(1), [message(1), message(3)]);
    }

    #[test]
    fn a_message_whose_write_is_done_leaves_at_once() {
        let mut outbox = Outbox::default();
        outbox.begun(1);
        assert_eq!(outbox.stored(1), []);
        assert_eq!(outbox.put(message(1), 1), Some(message(1)));
    }

    #[test]
    fn a_message_whose_write_failed_never_leaves_whether_it_came_before_or_after() {
        let mut outbox = Outbox::default();
        outbox.begun(1);
        assert_eq!(outbox.put(message(1), 1), None);
        outbox.failed(1);
        assert_eq!(outbox.stored(1), []);
        assert_eq!(outbox.put(message(2), 1), None);
    }

    #[test]
    fn so_many_messages_wait_and_one_beyond_is_lost() {
        let mut outbox = Outbox::default();
        (1..=2).for_each(|write| outbox.begun(write));
        assert_eq!(outbox.put(message(9), 1), None);
        assert_eq!((0..WAITING).filter_map(|_| outbox.put(message(1), 2)).count(), 0);
        assert_eq!(outbox.stored(2).len(), WAITING - 1);
        assert_eq!(outbox.put(message(3), 1), None);
        assert_eq!(outbox.stored(1), [message(9), message(3)]);
    }

    #[test]
    fn failed_writes_are_remembered_up_to_a_limit() {
        let mut outbox = Outbox::default();
        (0..=FAILED as u64).for_each(|write| outbox.failed(write));
        assert_eq!(outbox.failed.len(), FAILED);
        assert_eq!(outbox.failed.first(), Some(&1));
    }
}
