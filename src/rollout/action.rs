//! What a rollout asks of its surroundings, and tells people.

use crate::base::{NodeId, Term};
use crate::records::value::{Rollout, RolloutStatus, TurnKind};

use super::message::RolloutMessage;

/// Something that the node has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutAction {
    /// Send a message.
    Send {
        /// To whom.
        to: NodeId,
        /// What it says.
        msg: RolloutMessage,
    },
    /// Put the group's rollout record.
    Put {
        /// What it says.
        rollout: Box<Rollout>,
        /// The updater's term.
        term: Term,
    },
    /// Get from this voter what it knows: it has a later version of the record than this node.
    Sync(NodeId),
    /// A remark for people.
    Note(RolloutNote),
}

/// A remark about a rollout: one per transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutNote {
    /// A rollout began.
    Began {
        /// Which.
        rollout: u64,
        /// Whether it took the place of one that was not done.
        superseded: Option<u64>,
    },
    /// This node took over a rollout from another updater.
    TakenOver {
        /// Which.
        rollout: u64,
    },
    /// A member was given a turn.
    Granted {
        /// Of which rollout.
        rollout: u64,
        /// Who.
        member: NodeId,
        /// Where it leads.
        kind: TurnKind,
    },
    /// A member's turn was taken back before it began.
    Withdrawn {
        /// Of which rollout.
        rollout: u64,
        /// Whose.
        member: NodeId,
    },
    /// A member's turn is over, and this node, which did not end it, does not know how.
    Over {
        /// Of which rollout.
        rollout: u64,
        /// Whose.
        member: NodeId,
    },
    /// A member is what its turn was to make of it.
    MemberDone {
        /// Of which rollout.
        rollout: u64,
        /// Who.
        member: NodeId,
        /// Where the turn led.
        kind: TurnKind,
    },
    /// A member's turn failed.
    MemberFailed {
        /// Of which rollout.
        rollout: u64,
        /// Who.
        member: NodeId,
        /// Where the turn was to lead.
        kind: TurnKind,
        /// Why.
        why: String,
    },
    /// The rollout stands otherwise than before.
    Status {
        /// Which.
        rollout: u64,
        /// How it stands now.
        status: RolloutStatus,
        /// Why, for a person; empty when there is nothing to say.
        why: String,
    },
}
