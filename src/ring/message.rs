//! What travels between rings.

use serde::{Deserialize, Serialize};

use super::identity::Identity;
use crate::base::NodeId;
use crate::base::limits::{DATAGRAM_PAYLOAD_BYTES, STREAM_FRAME_BYTES};

/// What the node's packet takes of a datagram's payload before the ring's part begins.
const NODE_OVERHEAD_BYTES: usize = 64;
/// What [`RingDatagram::Foca`] takes: its tag, and the length of what is inside.
const FOCA_OVERHEAD_BYTES: usize = 4;
/// Largest packet of foca, in bytes. It is a constant of the wire: foca refuses larger ones, so nodes that disagree
/// about it would not hear one another.
pub(super) const FOCA_PACKET_BYTES: usize = DATAGRAM_PAYLOAD_BYTES - NODE_OVERHEAD_BYTES - FOCA_OVERHEAD_BYTES;
/// Most bytes that an [`ActiveMember`] takes: an IPv6 address, and numbers that are as long as they can be.
const ACTIVE_MEMBER_BYTES: usize = 49;
/// Most members in one message of an exchange; a larger ring sends a random part of itself, another one each time.
/// A quarter of the frame is left to whoever wraps it.
pub const EXCHANGE_MEMBERS_MAX: usize = STREAM_FRAME_BYTES / 4 * 3 / ACTIVE_MEMBER_BYTES;

/// A datagram of the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RingDatagram {
    /// A packet of foca.
    Foca(Vec<u8>),
    /// Are you there? Sent to one's successor.
    Ping {
        /// Who is meant; anyone else at this address keeps silent.
        to: NodeId,
    },
    /// I am here.
    Pong {
        /// Who says so.
        from: NodeId,
        /// Which of its lives.
        generation: u64,
    },
    /// Introduces the sender. Whoever did not know this life of it learns it; one that has the same id and is newer
    /// says so by a [`RingDatagram::Hello`] of its own.
    Hello {
        /// The sender.
        me: Identity,
    },
    /// Somebody newer than you has your id.
    Newer {
        /// The newer life.
        than_you: Identity,
    },
    /// Please try a TCP connect to that member.
    ProbeRequest {
        /// Whom to try.
        about: Identity,
        /// Who asks.
        from: NodeId,
    },
    /// How the TCP connect went.
    ProbeAnswer {
        /// Whom it was tried with.
        about: Identity,
        /// Who tried.
        from: NodeId,
        /// How it went.
        outcome: ProbeOutcome,
    },
    /// A member died or left.
    News(News),
    /// A person said that you are gone for good: you are not let in.
    Departed {
        /// Who is meant.
        who: NodeId,
    },
}

/// A member died or left; passed on by everybody who did not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The life that ended.
    pub about: Identity,
    /// How it ended.
    pub kind: NewsKind,
}

/// How a member's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewsKind {
    /// It was found dead.
    Dead,
    /// It said goodbye.
    Left,
}

/// A member that lives, as far as the sender knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveMember {
    /// Who it is.
    pub identity: Identity,
    /// Foca's count of the suspicions that it refuted in this life.
    pub incarnation: u16,
}

/// What one node asks another over a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RingRequest {
    /// Do you know the same members as I do? The cheap question of quiet times.
    Compare {
        /// Who asks.
        from: ActiveMember,
        /// A hash of the lives that the sender believes active.
        digest: u64,
    },
    /// These live; tell me whom you know.
    Exchange {
        /// Who asks.
        from: ActiveMember,
        /// The sender suspects the receiver at this incarnation. A suspicion that could not be heard by datagram is
        /// refuted here, by the suspect itself, as SWIM wants it.
        suspected_at: Option<u16>,
        /// Members that live. At most [`EXCHANGE_MEMBERS_MAX`].
        members: Vec<ActiveMember>,
    },
}

/// What the other node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RingResponse {
    /// We know the same members.
    Same {
        /// Who answers.
        from: ActiveMember,
    },
    /// These live.
    Members {
        /// Who answers.
        from: ActiveMember,
        /// Members that live. At most [`EXCHANGE_MEMBERS_MAX`].
        members: Vec<ActiveMember>,
    },
    /// I am leaving: do not count on me.
    Leaving,
    /// A person said that you are gone for good: you are not let in.
    Departed,
}

/// How a TCP connect went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeOutcome {
    /// It was accepted: somebody listens there.
    Answered,
    /// It was refused: the machine is there, the process is not.
    Refused,
    /// Nothing came back in time, or the way there is closed.
    NoAnswer,
}

/// Why a request over a stream has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// Nobody listens there.
    Refused,
    /// It took too long.
    Timeout,
    /// Anything else: reset, a bad frame, the wrong key.
    Other,
}

#[cfg(test)]
mod tests {
    use super::{
        ActiveMember, EXCHANGE_MEMBERS_MAX, FOCA_PACKET_BYTES, NODE_OVERHEAD_BYTES, RingDatagram, RingRequest,
    };
    use crate::base::NodeId;
    use crate::base::limits::{DATAGRAM_PAYLOAD_BYTES, STREAM_FRAME_BYTES};
    use crate::ring::Identity;

    #[test]
    fn the_largest_packet_of_foca_fits_a_datagram_exactly() {
        let largest = RingDatagram::Foca(vec![0; FOCA_PACKET_BYTES]);
        let bytes = postcard::to_stdvec(&largest).unwrap().len();
        assert!(bytes + NODE_OVERHEAD_BYTES <= DATAGRAM_PAYLOAD_BYTES, "{bytes}");
    }

    #[test]
    fn the_largest_exchange_leaves_a_frame_room_for_what_wraps_it() {
        let address = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        let identity = Identity { id: NodeId::from_u128(u128::MAX), address, generation: u64::MAX };
        let from = ActiveMember { identity, incarnation: u16::MAX };
        let request = |count| {
            let members = vec![from; count];
            postcard::to_stdvec(&RingRequest::Exchange { from, suspected_at: Some(1), members }).unwrap().len()
        };
        let frame = STREAM_FRAME_BYTES / 4 * 3;
        assert!(request(EXCHANGE_MEMBERS_MAX) <= frame + 64);
        assert!(request(EXCHANGE_MEMBERS_MAX + 2) > frame);
    }
}
