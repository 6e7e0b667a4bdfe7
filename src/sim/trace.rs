//! What happened: a running hash of all of it, and the last events for a person.

use std::collections::VecDeque;

use super::clock::True;

/// How many events are kept to be printed with a failure.
const KEPT: usize = 120;

/// The trace of a run.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: u64,
    last: VecDeque<String>,
}

impl Trace {
    /// Folds bytes into the hash (FNV-1a: it has to tell runs apart, not to resist anybody).
    pub(super) fn fold(&mut self, at: True, host: usize, kind: u8, bytes: &[u8]) {
        let mut hash = if self.hash == 0 { 0xcbf2_9ce4_8422_2325 } else { self.hash };
        let head = at.to_be_bytes().into_iter().chain(host.to_be_bytes()).chain([kind]);
        for byte in head.chain(bytes.iter().copied()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.hash = hash;
    }

    /// Keeps a line for a person.
    pub(super) fn say(&mut self, at: True, line: &str) {
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(format!("{:>10.3} ms  {line}", millis(at)));
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people: a run lasts minutes, not the centuries where this rounds")]
fn millis(at: True) -> f64 {
    at as f64 / 1000.0
}
