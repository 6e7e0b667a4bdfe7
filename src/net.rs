//! Sockets for the core: one UDP socket and one TCP listener, on one port number.
//!
//! | file | subject |
//! | --- | --- |
//! | `udp` | datagrams in and out |
//! | `tcp` | streams in and out, by what they are for; and probes, which only connect |
//! | `frames` | a stream that stays open |
//! | `bind` | taking the port, and saying who has it |
//! | `counters` | what went in and out, and what was dropped, by reason |
//!
//! and what is around what is said:
//!
//! | file | subject |
//! | --- | --- |
//! | `gate` | what all sockets go by: the ring, its keys, the versions that are spoken |
//! | `key` | keys, and which of them a node has |
//! | `version` | versions of the wire, and which one is spoken with whom |
//! | `envelope` | what is around a datagram |
//! | `seal` | sealing datagrams, and nonces |
//! | `replay` | telling a datagram that was recorded from a new one, and what one that is not told can do |
//! | `hello` | how a stream begins |
//! | `frame` | frames of a stream, in clear text or sealed |
//! | `stranger` | who was refused and who refuses, told once a minute |
//! | `recent` | a map that forgets |
//!
//! In go and out come payloads that are [`crate::node`]'s to read. Whatever else arrives (garbage, another version,
//! another ring, what is not sealed as it must be, an oversized frame, a stream that does not end) is counted and
//! dropped: nothing that comes from the network can stop a node, or make it allocate more than a frame for each of a
//! bounded number of streams. Probes say nothing, and are answered by the system: they need no key.
//!
//! What it does not do: it knows no member, keeps no pool of connections, retries nothing, and stores no key.

#[doc(hidden)]
pub mod bare;
mod bind;
mod counters;
mod envelope;
mod frame;
mod frames;
mod gate;
mod hello;
mod key;
mod recent;
mod replay;
mod seal;
mod stranger;
mod tcp;
#[cfg(test)]
pub(crate) mod testing;
mod udp;
mod version;

pub use bind::{BindError, Sockets, Transport, bind, holder};
pub use counters::{Counters, Dropped, Snapshot};
pub use envelope::{DATAGRAM_BYTES, EnvelopeError};
pub use frame::{FrameError, Heard, StreamSeal};
pub use frames::{Frames, Opened};
pub use gate::Gate;
pub use key::{ClearText, KEYS_MAX, KeyId, KeyIdError, KeySet, KeySetError, RING_KEY_ENV, RingKey, RingKeyError};
pub use stranger::{Side, Stranger, Tale, Trouble};
pub use tcp::{Dialer, Inbound, KeyStreamError, Receivers, STREAM_DEADLINE, STREAMS_MAX, STREAMS_PER_PEER_MAX, accept};
pub use udp::{Datagrams, Drained};
pub use version::{VERSION, VERSION_MIN, Versions};

#[cfg(test)]
mod tests;
