//! What must hold after every event.

use std::collections::BTreeMap;

use crate::base::{GroupId, Seat, Term};

use super::clock::True;
use super::rollouts::RolloutViolation;

/// An invariant does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two members hold one seat at the same instant.
    #[error(
        "{seat} of {group}: node {second} took it in term {term} at {at} us while node {first} holds it until {until} us"
    )]
    Overlap {
        /// The group.
        group: GroupId,
        /// The seat.
        seat: Seat,
        /// Who holds it.
        first: usize,
        /// Until when, in true microseconds.
        until: u64,
        /// Who took it.
        second: usize,
        /// In which term.
        term: Term,
        /// When, in true microseconds.
        at: u64,
    },
    /// A term is not higher than all before it.
    #[error("{seat} of {group}: node {node} holds term {term}, and term {highest} was held before")]
    TermNotHigher {
        /// The group.
        group: GroupId,
        /// The seat.
        seat: Seat,
        /// Who holds it.
        node: usize,
        /// In which term.
        term: Term,
        /// The highest before.
        highest: Term,
    },
    /// A seat stayed vacant on a whole ring.
    #[error("{seat} of {group} is vacant {waited_ms} ms after healing: {why}")]
    Vacant {
        /// The group.
        group: GroupId,
        /// The seat.
        seat: Seat,
        /// For how long the ring was whole.
        waited_ms: u64,
        /// What the nodes say.
        why: String,
    },
    /// Nodes know different things on a whole ring.
    #[error("records differ {waited_ms} ms after healing: {what}")]
    RecordsDiffer {
        /// For how long the ring was whole.
        waited_ms: u64,
        /// Where.
        what: String,
    },
    /// Nodes that know the same things show different ones.
    #[error("views of the group differ {waited_ms} ms after healing: {what}")]
    ViewsDiffer {
        /// For how long the ring was whole.
        waited_ms: u64,
        /// What each of them shows.
        what: String,
    },
    /// Fewer members vote on a whole ring than are to, or more.
    #[error("the council is not as it should be {waited_ms} ms after healing: {what}")]
    CouncilNotFull {
        /// For how long the ring was whole.
        waited_ms: u64,
        /// What each node shows.
        what: String,
    },
    /// A node does not see all others alive on a whole ring.
    #[error("node {node} sees {alive} of {all} alive {waited_ms} ms after healing")]
    NotWhole {
        /// Who.
        node: usize,
        /// How many it sees.
        alive: usize,
        /// How many there are.
        all: usize,
        /// For how long the ring was whole.
        waited_ms: u64,
    },
    /// Nodes do not know each other's services on a ring in which nothing ever went wrong.
    #[error("not all nodes know all members {waited_ms} ms after the last start")]
    NotAcquainted {
        /// For how long all had been started.
        waited_ms: u64,
    },
    /// A node's timer is due again and again, and time does not go on: in life, a processor that is busy for nothing.
    #[error("node {node} does not come to rest: event {events} at {at} us")]
    Restless {
        /// Whose event it was.
        node: usize,
        /// When, in true microseconds.
        at: u64,
        /// How many there were at that instant.
        events: u32,
    },
    /// Something is wrong with a rollout.
    #[error(transparent)]
    Rollout(#[from] RolloutViolation),
    /// A config that was acknowledged is gone.
    #[error("config revision {revision}, acknowledged by node {node}, is gone")]
    ConfigLost {
        /// Which.
        revision: String,
        /// Who acknowledged it.
        node: usize,
    },
}

/// A holding of a seat, in true time.
#[derive(Debug, Clone, Copy)]
struct Holding {
    host: usize,
    term: Term,
    until: True,
}

/// The holdings of all seats, as they really were.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    last: BTreeMap<(GroupId, Seat), Holding>,
    highest: BTreeMap<(GroupId, Seat), Term>,
    pub(super) count: u64,
}

impl Holdings {
    /// A node says that it holds a seat until `until`.
    pub(super) fn held(
        &mut self,
        at: True,
        host: usize,
        key: (GroupId, Seat),
        term: Term,
        until: True,
        renewal: bool,
    ) -> Result<(), Violation> {
        let (group, seat) = key.clone();
        if let Some(known) = self.last.get(&key)
            && known.host != host
            && known.until > at
        {
            let (first, until) = (known.host, known.until);
            return Err(Violation::Overlap { group, seat, first, until, second: host, term, at });
        }
        if !renewal {
            let highest = self.highest.get(&key).copied().unwrap_or_default();
            if term <= highest {
                return Err(Violation::TermNotHigher { group, seat, node: host, term, highest });
            }
            self.highest.insert(key.clone(), term);
            self.count += 1;
        }
        self.last.insert(key, Holding { host, term, until });
        Ok(())
    }

    /// A node says that it holds a seat no more.
    pub(super) fn lost(&mut self, at: True, host: usize, key: &(GroupId, Seat), term: Term) {
        if let Some(known) = self.last.get_mut(key)
            && known.host == host
            && known.term == term
        {
            known.until = known.until.min(at);
        }
    }

    /// Who holds a seat now.
    pub(super) fn holder(&self, at: True, key: &(GroupId, Seat)) -> Option<(usize, Term)> {
        self.last.get(key).filter(|holding| holding.until > at).map(|holding| (holding.host, holding.term))
    }
}
