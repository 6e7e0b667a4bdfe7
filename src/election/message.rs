//! What members say to each other. Direct datagrams, each may be lost, repeated or late; all of them are small.

use serde::{Deserialize, Serialize};

use crate::base::{NodeId, Seat, Term};

use super::change::{Amendment, Minutes};
use super::council::{Ballot, Council, CouncilId, GenesisId, Proposal};

/// One holding of a seat, or one try for it: no two share a name. The incarnation tells a restarted node from what it
/// was before, which it cannot remember: else it could be taken for the holder that it no longer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holding {
    /// The term.
    pub term: Term,
    /// Who holds, or claims.
    pub holder: NodeId,
    /// Which run of the holder's process.
    pub incarnation: u64,
}

/// A message of an election of one group. The envelope names the group and the sender.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ElectionMessage {
    /// Would you grant me this? Binds nobody and persists nothing.
    Canvass {
        /// The seat.
        seat: Seat,
        /// The term that would be claimed.
        term: Term,
        /// The council that is asked.
        council: CouncilId,
        /// How suited the candidate is.
        suitability: Option<u64>,
        /// To be given back with the answer.
        round: u64,
        /// The latest holding that its holder is known to have given back: the voter's own news of it may be lost.
        given_back: Option<Holding>,
    },
    /// The answer to a canvass: I would.
    Willing {
        /// The seat.
        seat: Seat,
        /// Of the canvass.
        round: u64,
    },
    /// Grant me the seat; also the renewal, with the same holding.
    Claim {
        /// The seat.
        seat: Seat,
        /// The claimant, its incarnation and its term.
        holding: Holding,
        /// The council that is asked.
        council: CouncilId,
        /// How suited the candidate is.
        suitability: Option<u64>,
        /// For how long.
        ttl_ms: u32,
        /// To be given back with the grant: a grant prolongs the lease from when *its* claim was sent, so that a late
        /// one cannot pass for the answer to a later claim.
        round: u64,
        /// As in a canvass.
        given_back: Option<Holding>,
        /// Whether the claimant is seated already.
        claimant: Claimant,
    },
    /// Yes, for the claim's ttl from my receipt.
    Grant {
        /// The seat.
        seat: Seat,
        /// The term.
        term: Term,
        /// Of the claim.
        round: u64,
        /// With the steward's seat: what the voter knows of the council's next change.
        minutes: Option<Box<Minutes>>,
    },
    /// No; the answer to a canvass or a claim.
    Refuse {
        /// The seat.
        seat: Seat,
        /// Of the canvass or claim.
        round: u64,
        /// Why.
        reason: Refusal,
    },
    /// The holder gives the seat back: grant it to someone else at once.
    Resign {
        /// The seat.
        seat: Seat,
        /// What is given back.
        holding: Holding,
        /// Whom the holder takes for the most suitable: it need not wait for its turn.
        successor: Option<NodeId>,
    },
    /// Be a voter of this council.
    Propose(Proposal),
    /// I will, and it is on disk.
    Accept(Ballot),
    /// I cannot accept `refused`: I accepted another before.
    Collides {
        /// What was refused.
        refused: Ballot,
        /// What was accepted before.
        accepted: Proposal,
    },
    /// Promise never to confirm `rival`.
    Abandon {
        /// The ballot of who asks; higher than the rival's.
        by: Ballot,
        /// What is to be abandoned.
        rival: Ballot,
    },
    /// I promise, and it is on disk.
    Abandoned {
        /// The ballot of who asked.
        by: Ballot,
        /// What is abandoned.
        rival: Ballot,
    },
    /// This council is confirmed.
    Confirm(Council),
    /// I promised never to confirm this one.
    Defunct(GenesisId),
    /// The steward asks: accept this change.
    Amend {
        /// Under which the steward holds its seat.
        holding: Holding,
        /// The change.
        amendment: Amendment,
    },
    /// I do, and it is on disk.
    Amended {
        /// The council that is to be changed.
        base: CouncilId,
        /// Of the steward.
        ballot: Term,
    },
    /// I do not.
    NotAmended {
        /// The council that is to be changed.
        base: CouncilId,
        /// Of the steward.
        ballot: Term,
        /// Why.
        reason: Refusal,
    },
    /// I am about to found a council, unless you know of one.
    Inquire {
        /// Which run of the asker's process, to be given back with the answer.
        incarnation: u64,
    },
    /// I know of none.
    Unaware {
        /// Of who asked.
        incarnation: u64,
        /// Whether I am of the group.
        part: Part,
    },
}

/// How a node stands to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// It has a part in its elections.
    Member,
    /// It has none.
    Stranger,
}

/// How a claimant stands to the seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Claimant {
    /// It would take it.
    Candidate,
    /// It holds it. A voter that had no part in that yet, one of a council that has changed since, does not let others
    /// go first.
    Holder,
}

/// Why a voter does not grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Refusal {
    /// The seat is lent to somebody else.
    Held {
        /// To whom.
        holding: Holding,
        /// For how much longer, unless it is renewed.
        remaining_ms: u32,
    },
    /// A higher term was promised, or this one to somebody else, or it was given back.
    StaleTerm {
        /// The promised term.
        term: Term,
    },
    /// I know another council.
    StaleCouncil(Council),
    /// I know of no council that I am in.
    NotVoter,
    /// There is a more suitable member, and the seat fell vacant only now.
    Outranked {
        /// Who.
        by: NodeId,
        /// For how much longer that counts.
        remaining_ms: u32,
    },
    /// I was restarted, and what I may have lent before has not run out.
    Settling {
        /// For how much longer.
        remaining_ms: u32,
    },
    /// My disk takes no writes: I cannot promise anything.
    CannotStore,
    /// I never lend for so long: after a restart I would not wait long enough.
    TooLong {
        /// The longest that I lend.
        longest_ms: u32,
    },
    /// I keep promises for as many seats of the group as I can.
    TooManySeats,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::{COUNCIL_MAX, DATAGRAM_PAYLOAD_BYTES, NAME_CHARS};
    use crate::election::council::{GenesisId, SUPERSEDED_MAX};

    #[test]
    fn the_largest_messages_fit_a_datagram_with_their_envelope() {
        let name = "a".repeat(NAME_CHARS).parse().unwrap();
        let node = NodeId::from_u128(u128::MAX);
        let id = CouncilId { genesis: GenesisId(u64::MAX), version: (Term(u64::MAX), u64::MAX) };
        let council = Council {
            genesis: GenesisId(u64::MAX),
            version: (Term(u64::MAX), u64::MAX),
            voters: vec![NodeId::from_u128(u128::MAX); COUNCIL_MAX],
            superseded: vec![GenesisId(u64::MAX); SUPERSEDED_MAX],
            floor: Term(u64::MAX),
        };
        let amendment = Amendment { base: id, ballot: Term(u64::MAX), council: council.clone() };
        let holding = Holding { term: Term(u64::MAX), holder: node, incarnation: u64::MAX };
        let minutes = Minutes { amendment: Some(amendment.clone()), highest: Term(u64::MAX) };
        let reason = Refusal::StaleCouncil(council);
        let (term, round) = (Term(u64::MAX), u64::MAX);
        let largest = [
            ElectionMessage::Refuse { seat: Seat::Lock(name), round, reason: reason.clone() },
            ElectionMessage::Grant { seat: Seat::Steward, term, round, minutes: Some(Box::new(minutes)) },
            ElectionMessage::Amend { holding, amendment },
            ElectionMessage::NotAmended { base: id, ballot: term, reason },
        ];
        // The envelope names the sender (16 bytes) and the group (two names and a dot).
        let envelope = 32 + 2 * NAME_CHARS;
        for msg in largest {
            assert!(postcard::to_allocvec(&msg).unwrap().len() + envelope < DATAGRAM_PAYLOAD_BYTES, "{msg:?}");
        }
    }
}
