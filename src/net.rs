//! Sockets for the core: one UDP socket and one TCP listener, on one port number.
//!
//! | file | subject |
//! | --- | --- |
//! | `envelope` | what is around a datagram's payload and a stream's frame: version, key, length |
//! | `udp` | datagrams in and out |
//! | `tcp` | streams in and out, by what they are for; and probes, which only connect |
//! | `frames` | a stream that stays open |
//! | `bind` | taking the port, and saying who has it |
//! | `counters` | what went in and out, and what was dropped, by reason |
//!
//! In go and out come payloads that are [`crate::node`]'s to read. Whatever else arrives (garbage, another version, an
//! oversized frame, a stream that does not end) is counted and dropped: nothing that comes from the network can stop
//! a node, or make it allocate more than a frame for each of a bounded number of streams.
//!
//! What it does not do: it knows no member, keeps no pool of connections, retries nothing. Traffic is in clear text: the key id
//! of every envelope is 0.

mod bind;
mod counters;
mod envelope;
mod frames;
mod tcp;
mod udp;

pub use bind::{BindError, Sockets, Transport, bind, holder};
pub use counters::{Counters, Dropped, Snapshot};
pub use envelope::{DATAGRAM_BYTES, EnvelopeError, FrameError, Heard, VERSION, open_datagram, seal_datagram};
pub use frames::{Frames, Opened};
pub use tcp::{Dialer, Inbound, Receivers, STREAM_DEADLINE, STREAMS_MAX, STREAMS_PER_PEER_MAX, accept};
pub use udp::{Datagrams, Drained};

#[cfg(test)]
mod tests;
