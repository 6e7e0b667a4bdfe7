//! What goes into a node, and what comes out.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::base::{GroupId, Mono, Seat, Term};
use crate::election::LostWhy;
use crate::records::Write;
use crate::ring::{ProbeOutcome, StreamError};

use super::note::Note;

/// Something that happened outside.
#[derive(Debug, Clone)]
pub enum Input {
    /// A datagram arrived (its payload, without the envelope).
    Datagram {
        /// Who sent it, as the socket saw it.
        from: SocketAddr,
        /// The payload.
        bytes: Bytes,
    },
    /// Somebody opened a stream and sent its one request. Answered by [`Output::Reply`], or not at all.
    StreamRequest {
        /// Which connection, chosen by the shell.
        conn: u64,
        /// Who sent it, as the socket saw it.
        from: SocketAddr,
        /// The request.
        bytes: Bytes,
    },
    /// The answer to an [`Output::OpenStream`].
    StreamResponse {
        /// Which one.
        request: u64,
        /// The answer, or why there is none.
        result: Result<Bytes, StreamError>,
    },
    /// The outcome of an [`Output::Probe`].
    Probed {
        /// Which one.
        probe: u64,
        /// What became of it.
        outcome: ProbeOutcome,
    },
    /// [`super::Node::deadline`] has come. The shell drains its sockets first, so that after a stall refutations are
    /// heard before suspicions fire.
    Timer,
    /// An [`Output::Persist`] is on disk, or could not be written.
    Persisted {
        /// Which one.
        write: u64,
        /// Whether it is on disk.
        ok: bool,
    },
    /// The answer to [`Output::ResolvePeers`]: the addresses of those that resolved.
    PeersResolved(Vec<SocketAddr>),
}

/// Something that the shell has to do. Outputs are done in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram.
    Send {
        /// To whom.
        to: SocketAddr,
        /// The payload, at most [`crate::base::limits::DATAGRAM_PAYLOAD_BYTES`].
        bytes: Bytes,
        /// Not before this write is on disk; never, if it fails.
        after: Option<u64>,
    },
    /// Open a stream, send this one request, and hand in the answer as [`Input::StreamResponse`].
    OpenStream {
        /// To be given back with the answer.
        request: u64,
        /// To whom.
        to: SocketAddr,
        /// The request.
        bytes: Bytes,
    },
    /// Answer a stream's request, and close it.
    Reply {
        /// The connection of the request.
        conn: u64,
        /// The answer.
        bytes: Bytes,
    },
    /// Connect by TCP and close at once; hand in what became of it as [`Input::Probed`].
    Probe {
        /// To be given back with the outcome.
        probe: u64,
        /// To whom.
        to: SocketAddr,
    },
    /// Write these, in order and in one transaction, and hand in [`Input::Persisted`].
    Persist {
        /// To be given back.
        write: u64,
        /// What to write.
        items: Vec<Write>,
    },
    /// Look the peers' names up again, and hand in [`Input::PeersResolved`].
    ResolvePeers,
    /// Something that the shell may care about.
    Event(NodeEvent),
}

/// What a node tells its shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// Joined and synced, or gave up waiting for it: services may start.
    Ready {
        /// Whether nobody was found.
        alone: bool,
    },
    /// The list of members changed: see [`crate::census::Census::nodes`].
    Members,
    /// The view of a watched group changed: see [`crate::census::Census::group`].
    Group(GroupId),
    /// This node holds a seat until `until`, unless it is told otherwise. Also each renewal.
    Held {
        /// Of which group.
        group: GroupId,
        /// Which seat.
        seat: Seat,
        /// In which term.
        term: Term,
        /// When the lease ends on this node's monotonic clock.
        until: Mono,
        /// Whether it held the seat in this term already.
        renewal: bool,
    },
    /// This node does not hold a seat any more.
    Lost {
        /// Of which group.
        group: GroupId,
        /// Which seat.
        seat: Seat,
        /// The term that ended.
        term: Term,
        /// How.
        why: LostWhy,
    },
    /// For the log and the list of events.
    Note(Note),
}
