//! What an election asks its node to do.

use bytes::Bytes;

use crate::base::{Mono, NodeId, Seat, Term};
use crate::records::value::{CouncilFacts, SeatHolder};

use super::message::ElectionMessage;

/// Something that the node has to do. In order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ElectionAction {
    /// Send this.
    Send {
        /// To whom; never this node itself.
        to: NodeId,
        /// What.
        msg: ElectionMessage,
        /// Not before this write is on disk; never, if it fails.
        after: Option<u64>,
    },
    /// Write this, all of the state there is, and tell [`super::Election::persisted`].
    Persist {
        /// To be given back.
        write: u64,
        /// What to write, for [`super::Election::new`] of the next start.
        state: Bytes,
    },
    /// This node holds the seat from now on.
    Held {
        /// The seat.
        seat: Seat,
        /// The term.
        term: Term,
        /// When it ends, unless it is renewed.
        until: Mono,
    },
    /// It still does, for longer.
    Renewed {
        /// The seat.
        seat: Seat,
        /// The term, as before.
        term: Term,
        /// When it ends now.
        until: Mono,
    },
    /// It does not any more.
    Lost {
        /// The seat.
        seat: Seat,
        /// The term that ended.
        term: Term,
        /// How.
        why: LostWhy,
    },
    /// Tell the ring who holds a seat.
    Publish {
        /// The seat.
        seat: Seat,
        /// The holder.
        holder: SeatHolder,
    },
    /// Tell the ring who votes.
    PublishCouncil(CouncilFacts),
    /// [`super::Election::status`] says something else than before.
    StatusChanged,
}

/// How a holding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LostWhy {
    /// The lease ran out: a majority of the voters did not renew it.
    Expired,
    /// It was given back, on request or on the way to a stop.
    Resigned,
    /// It was given back, because this member may not hold it any more, or the group has no such seat any more.
    NotEligible,
    /// The council that granted it is replaced.
    CouncilReplaced,
    /// A holder by another council, which has given way to this one's, had a higher term: the seat is taken anew.
    Outdated,
}
