//! What went in and out, and what was dropped. Only ever counted up; read by whoever shows metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why something was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It is of a version of the wire that this node does not speak.
    Version,
    /// It is of a kind that this node does not know.
    Unknown,
    /// It is of another ring.
    Ring,
    /// It is in clear text, and must not be.
    Clear,
    /// It is sealed with a key that this node does not have.
    Key,
    /// It was changed on its way, or made by somebody without the key.
    Forged,
    /// It was received before.
    Replayed,
    /// It is over its size limit.
    TooLarge,
    /// It is too short, or broken off.
    Malformed,
    /// More streams at once than are served.
    Busy,
    /// The socket's send buffer was full, or the network refused it.
    Unsendable,
}

impl Dropped {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Version,
        Self::Unknown,
        Self::Ring,
        Self::Clear,
        Self::Key,
        Self::Forged,
        Self::Replayed,
        Self::TooLarge,
        Self::Malformed,
        Self::Busy,
        Self::Unsendable,
    ];

    /// The word that metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Unknown => "unknown",
            Self::Ring => "ring",
            Self::Clear => "clear",
            Self::Key => "key",
            Self::Forged => "forged",
            Self::Replayed => "replayed",
            Self::TooLarge => "too-large",
            Self::Malformed => "malformed",
            Self::Busy => "busy",
            Self::Unsendable => "unsendable",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Version => 0,
            Self::Unknown => 1,
            Self::Ring => 2,
            Self::Clear => 3,
            Self::Key => 4,
            Self::Forged => 5,
            Self::Replayed => 6,
            Self::TooLarge => 7,
            Self::Malformed => 8,
            Self::Busy => 9,
            Self::Unsendable => 10,
        }
    }
}

/// Counters of the sockets of one node.
#[derive(Debug, Default)]
pub struct Counters {
    packets_in: AtomicU64,
    packet_bytes_in: AtomicU64,
    packets_out: AtomicU64,
    packet_bytes_out: AtomicU64,
    streams_in: AtomicU64,
    stream_bytes_in: AtomicU64,
    streams_out: AtomicU64,
    stream_bytes_out: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Datagrams received.
    pub packets_in: u64,
    /// Their bytes, envelopes included.
    pub packet_bytes_in: u64,
    /// Datagrams sent.
    pub packets_out: u64,
    /// Their bytes, envelopes included.
    pub packet_bytes_out: u64,
    /// Requests received over streams.
    pub streams_in: u64,
    /// Payload bytes received over streams.
    pub stream_bytes_in: u64,
    /// Requests sent over streams.
    pub streams_out: u64,
    /// Payload bytes sent over streams.
    pub stream_bytes_out: u64,
    /// What was dropped, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
}

// Relaxed: each is a number of its own, and nothing is concluded from two of them together.
fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(u64::try_from(amount).unwrap_or(u64::MAX), Ordering::Relaxed);
}

impl Counters {
    pub(super) fn packet_in(&self, bytes: usize) {
        add(&self.packets_in, 1);
        add(&self.packet_bytes_in, bytes);
    }

    pub(super) fn packet_out(&self, bytes: usize) {
        add(&self.packets_out, 1);
        add(&self.packet_bytes_out, bytes);
    }

    pub(super) fn stream_in(&self) {
        add(&self.streams_in, 1);
    }

    pub(super) fn stream_out(&self) {
        add(&self.streams_out, 1);
    }

    pub(super) fn stream_bytes(&self, received: usize, sent: usize) {
        add(&self.stream_bytes_in, received);
        add(&self.stream_bytes_out, sent);
    }

    /// Counts something that was dropped.
    pub fn dropped(&self, why: Dropped) {
        add(&self.dropped[why.index()], 1);
    }

    /// How often something was dropped for this reason.
    #[must_use]
    pub fn dropped_for(&self, why: Dropped) -> u64 {
        self.dropped[why.index()].load(Ordering::Relaxed)
    }

    /// Reads all of them.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            packets_in: read(&self.packets_in),
            packet_bytes_in: read(&self.packet_bytes_in),
            packets_out: read(&self.packets_out),
            packet_bytes_out: read(&self.packet_bytes_out),
            streams_in: read(&self.streams_in),
            stream_bytes_in: read(&self.stream_bytes_in),
            streams_out: read(&self.streams_out),
            stream_bytes_out: read(&self.stream_bytes_out),
            dropped: Dropped::ALL.map(|why| read(&self.dropped[why.index()])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counters, Dropped};

    #[test]
    fn each_reason_is_counted_apart() {
        let counters = Counters::default();
        for (times, why) in Dropped::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| counters.dropped(why));
        }
        assert_eq!(counters.snapshot().dropped, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    }
}
