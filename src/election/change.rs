//! How a council is changed, and why that is safe.
//!
//! **Who decides.** The voters of a council decide its one successor, which differs from it by one voter. They do it by
//! Paxos, and the steward's seat is the first phase of it: its terms are the ballots, a grant of the seat promises to
//! accept nothing from a steward of a lower term, and says what the voter had accepted before. A steward of a majority
//! of grants takes up the change of the highest ballot among those; only if there is none may it propose one of its own.
//! So a change that a majority may have accepted is completed by whoever comes next, exactly as it was proposed: a
//! council has never two successors, and the councils of a genesis are one line, C0, C1, C2 and so on. A voter stores
//! what it accepts before it says so. It still votes in the old council then, and in the new one from when it is told
//! that a majority of both accepted it.
//!
//! **Why no two hold a seat.** Every lease is granted by a majority of one council, by voters that all knew just that
//! one. Two leases under the same council, or under one and its successor, share a voter, for these councils differ by
//! one voter; and a voter never lends a seat to two, whatever councils they claim it under. It remains that a lease under
//! C0 is over before C2 votes. A voter accepts C2 only when it has known C1 for [`ElectionConfig::longest_ttl`], so that
//! all that it lent under C0 has run out, by its own clock. C2 needs a majority of C1 that did so, and each majority of
//! C0 has one of these among it. So at the latest when C2 was accepted, the lease under C0 was over. Without the wait
//! two voters could be added within one lease: from {1, 2, 3}, lent by {1, 2}, to {1, 2, 3, 4, 5}, where {3, 4, 5} would
//! lend it once more.
//!
//! **Why terms grow.** The same two-step gap could bring a council none of whose majority remembers the last term. So a
//! grant to the steward says the highest term that the voter promised for any seat, and the next council carries the
//! highest of them as its floor: no candidate claims a term under it that is not higher. What was seated under C0 is
//! known to one of each majority of C1, and so is in the floor of C2. A holder that is seated keeps its term through a
//! change: nobody was seated after it.
//!
//! **Why it does not get stuck where it need not.** Who is to be added has to accept first, and who is to be removed is
//! not asked (of two voters it has to be): so a majority of the old council that accepted is one of the new council,
//! too. A change that was accepted and cannot be completed, since the new member died in that very moment, leaves the
//! old council voting as before.
//!
//! [`ElectionConfig::longest_ttl`]: super::ElectionConfig::longest_ttl

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::base::{Mono, NodeId, Term};

use super::council::{Council, CouncilId, majority};
use super::genesis::Charter;
use super::message::Refusal;

/// A change of a council that is proposed, and not known to be decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Amendment {
    /// The council that is to be changed.
    pub base: CouncilId,
    /// The term of the steward that proposes it, or took it up last.
    pub ballot: Term,
    /// The council that it is to become.
    pub council: Council,
}

/// What a voter tells the steward with its grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Minutes {
    /// The change of the council that it accepted last.
    pub amendment: Option<Amendment>,
    /// The highest term that it promised for any seat, or knows of as its council's floor.
    pub highest: Term,
}

/// What became of a change that a voter was asked to accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Stored {
    /// Accepted; it has to be on disk before that is said.
    Accepted,
    /// Accepted before.
    Again,
}

impl Amendment {
    /// Whether it is what a steward may propose of `base`: one voter more or less, and a higher version.
    #[must_use]
    pub(super) fn follows(&self, base: &Council) -> bool {
        let next = &self.council;
        let added = next.voters.iter().filter(|voter| !base.contains(**voter)).count();
        let removed = base.voters.iter().filter(|voter| !next.contains(**voter)).count();
        base.id() == self.base
            && next.is_well_formed()
            && next.genesis == base.genesis
            && next.version.0 >= base.version.0
            && next.version.0 <= self.ballot
            && base.version.1.checked_add(1) == Some(next.version.1)
            && next.floor >= base.floor
            && added + removed == 1
    }
}

impl Charter {
    /// Accepts a change, or says why not. That the steward may ask for it is for the caller to know.
    pub(super) fn amend(&mut self, me: NodeId, asked: &Amendment) -> Result<Stored, Refusal> {
        let council = self.council.as_ref().ok_or(Refusal::NotVoter)?;
        if council.id() != asked.base {
            return Err(Refusal::StaleCouncil(council.clone()));
        }
        if !asked.follows(council) || !(council.contains(me) || asked.council.contains(me)) {
            return Err(Refusal::NotVoter);
        }
        match &self.amendment {
            Some(known) if known == asked => Ok(Stored::Again),
            Some(known) if known.base == asked.base && known.ballot >= asked.ballot => {
                Err(Refusal::StaleTerm { term: known.ballot })
            }
            Some(_) | None => {
                self.amendment = Some(asked.clone());
                Ok(Stored::Accepted)
            }
        }
    }
}

/// Where a change comes from that a steward has under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// This steward wants it.
    Own,
    /// An earlier steward proposed it, and it may have been decided.
    TakenUp,
}

/// A change that this node, as the steward, has under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Motion {
    pub(super) amendment: Amendment,
    pub(super) origin: Origin,
    /// Who voted when it was proposed.
    pub(super) old: Vec<NodeId>,
    accepted_by: BTreeSet<NodeId>,
    /// When it is given up.
    pub(super) ends: Mono,
    /// When those that have not accepted it are asked again.
    pub(super) repeat_at: Mono,
}

impl Motion {
    pub(super) fn new(amendment: Amendment, origin: Origin, base: &Council, now: Mono, ends: Mono) -> Self {
        let (old, accepted_by) = (base.voters.clone(), BTreeSet::new());
        Self { amendment, origin, old, accepted_by, ends, repeat_at: now }
    }

    /// Who is to vote that did not.
    pub(super) fn newcomer(&self) -> Option<NodeId> {
        self.amendment.council.voters.iter().find(|voter| !self.old.contains(voter)).copied()
    }

    /// Who is to vote no more.
    pub(super) fn leaver(&self) -> Option<NodeId> {
        self.old.iter().find(|voter| !self.amendment.council.contains(**voter)).copied()
    }

    /// Who is to be asked now, and has not accepted.
    pub(super) fn asked(&self) -> Vec<NodeId> {
        if let (Origin::Own, Some(newcomer)) = (self.origin, self.newcomer())
            && !self.accepted_by.contains(&newcomer)
        {
            return vec![newcomer];
        }
        // A majority of two is both of them.
        let leaver = self.leaver().filter(|_| self.old.len() == 2);
        let all = self.amendment.council.voters.iter().copied().chain(leaver);
        all.filter(|voter| !self.accepted_by.contains(voter)).collect()
    }

    /// `by` has accepted it. Returns whether that is news.
    pub(super) fn accepted(&mut self, by: NodeId) -> bool {
        (self.old.contains(&by) || self.amendment.council.contains(by)) && self.accepted_by.insert(by)
    }

    /// Whether it is decided: by a majority of the voters before and of those after.
    pub(super) fn is_decided(&self) -> bool {
        [&self.old, &self.amendment.council.voters].into_iter().all(|voters| {
            let accepted = voters.iter().filter(|voter| self.accepted_by.contains(voter)).count();
            accepted >= majority(voters.len())
        })
    }
}

#[cfg(test)]
mod tests;
