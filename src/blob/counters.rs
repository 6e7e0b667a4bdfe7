//! What went in and out of blobs. Only ever counted up; read by whoever shows metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of the blobs of one node.
#[derive(Debug, Default)]
pub(super) struct BlobCounters {
    sent: AtomicU64,
    received: AtomicU64,
    wasted: AtomicU64,
    wrong: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlobTraffic {
    /// Bytes of chunks that were sent to others.
    pub sent_bytes: u64,
    /// Bytes of chunks that were received and kept.
    pub received_bytes: u64,
    /// Bytes of chunks that came a second time.
    pub wasted_bytes: u64,
    /// Chunks and lists that were not what they were sent as.
    pub wrong: u64,
}

// Relaxed: each is a number of its own, and nothing is concluded from two of them together.
fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(u64::try_from(amount).unwrap_or(u64::MAX), Ordering::Relaxed);
}

impl BlobCounters {
    pub(super) fn sent(&self, bytes: usize) {
        add(&self.sent, bytes);
    }

    pub(super) fn received(&self, bytes: usize) {
        add(&self.received, bytes);
    }

    pub(super) fn wasted(&self, bytes: usize) {
        add(&self.wasted, bytes);
    }

    pub(super) fn wrong(&self) {
        add(&self.wrong, 1);
    }

    /// Reads all of them.
    pub(super) fn snapshot(&self) -> BlobTraffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BlobTraffic {
            sent_bytes: read(&self.sent),
            received_bytes: read(&self.received),
            wasted_bytes: read(&self.wasted),
            wrong: read(&self.wrong),
        }
    }
}
