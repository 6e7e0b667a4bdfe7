//! What members say to each other about a rollout. Direct datagrams, each may be lost, repeated or late.

use serde::{Deserialize, Serialize};

use crate::base::Term;
use crate::records::value::Rollout;

/// Names one version of a group's rollout record. Versions are ordered: by the updater's term, then by its steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The term of the updater that wrote it.
    pub term: Term,
    /// Its step.
    pub step: u64,
}

impl Version {
    /// The version of a record that was written under `term`.
    #[must_use]
    pub fn of(term: Term, rollout: &Rollout) -> Self {
        Self { term, step: rollout.step }
    }
}

/// A message about the rollout of one group. The envelope names the group and the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutMessage {
    /// The updater, to a voter: which version have you on disk?
    Ask,
    /// A voter, to the updater: this one, or a later one; the lowest of all if it has none.
    Seen(Version),
    /// A member, to the updater: the record grants me this turn, and I have not begun. May I?
    Begin {
        /// Of which rollout.
        rollout: u64,
        /// Which turn.
        turn: u64,
        /// To be given back with the answer: an answer is good for a moment only.
        nonce: u64,
        /// Whether the member leads its group.
        leads: bool,
    },
    /// The updater, to a member: you may, unless you have come to lead since you asked.
    Go {
        /// Which turn.
        turn: u64,
        /// Of the question.
        nonce: u64,
        /// Whether it may even if it leads.
        leads: bool,
    },
    /// The updater, to a member: you may not, ever.
    Never {
        /// Which turn.
        turn: u64,
        /// Of the question.
        nonce: u64,
    },
    /// A member, to the updater: I had not begun this turn, and never shall.
    Declined {
        /// Which turn.
        turn: u64,
    },
}
