//! The charter of a group: its council, and how the first one comes to be.
//!
//! One member proposes; each proposed voter stores its acceptance; when *all* have accepted, the proposer stores the
//! confirmation and tells them. All, not a majority: two overlapping proposals collide at a shared voter.
//!
//! A proposal that is accepted and not confirmed blocks its voters until a higher ballot takes over: its proposer asks
//! the voters never to confirm the old one. When a majority of them has promised, the old one can never gather grants;
//! when its proposer has, nobody can ever confirm it, for the proposer is the first to. Only then is it *superseded*, and
//! only by a proposal that says so may a voter replace what it accepted. That a single voter promised is not enough:
//! the others could still confirm, and lend.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::{Mono, NodeId};

use super::change::Amendment;
use super::council::{Ballot, Council, CouncilId, FIRST, GenesisId, Proposal, SUPERSEDED_MAX, majority};

/// Most proposals that a node promises never to confirm, before it knows a council.
pub(super) const ABANDONED_MAX: usize = 32;

/// Most councils that a node keeps in mind after it followed another genesis.
const LEFT_MAX: usize = 8;

/// A council that this node voted in before it met one of another genesis that precedes it. Should it follow that genesis
/// again, it goes on exactly where it was: it accepted what it accepted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Left {
    council: CouncilId,
    amendment: Option<Amendment>,
}

/// What a node stores of its group's council.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Charter {
    /// The newest council that it knows. A voter grants under this one only.
    pub(super) council: Option<Council>,
    /// The proposal that it accepted last, until a council is confirmed.
    pub(super) accepted: Option<Proposal>,
    /// The change of that council that it accepted last.
    pub(super) amendment: Option<Amendment>,
    /// What it promised never to confirm.
    pub(super) abandoned: BTreeSet<GenesisId>,
    /// The highest attempt that it used itself.
    pub(super) attempted: u64,
    /// The councils that it voted in and left for others of another genesis, the latest last.
    pub(super) left: Vec<Left>,
}

/// What a node says to a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(super) enum Answer {
    /// Accepted; it has to be on disk before that is said.
    Accepted,
    /// Accepted before.
    Again,
    /// There is a council.
    Council(Council),
    /// Another proposal is in the way.
    Collides(Proposal),
    /// It is not for this node, or was abandoned, or is malformed.
    Ignored,
}

/// What a node says when it is asked to abandon a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(super) enum Yielded {
    /// It will never confirm it; that has to be on disk before it is said.
    Promised,
    /// It promised before.
    Again,
    /// There is a council.
    Council(Council),
    /// The asker's ballot is not higher, or there are too many promises.
    Ignored,
}

impl Charter {
    /// Whether everything read back is within the limits.
    pub(super) fn is_well_formed(&self) -> bool {
        self.council.as_ref().is_none_or(Council::is_well_formed)
            && self.accepted.as_ref().is_none_or(Proposal::is_well_formed)
            && self.amendment.as_ref().is_none_or(|amendment| amendment.council.is_well_formed())
            && self.abandoned.len() <= ABANDONED_MAX
            && self.left.len() <= LEFT_MAX
    }

    /// Answers a proposal.
    pub(super) fn proposed(&mut self, me: NodeId, proposal: &Proposal) -> Answer {
        if !proposal.is_well_formed() {
            return Answer::Ignored;
        }
        if let Some(council) = &self.council
            && !proposal.superseded.contains(&council.genesis)
        {
            return Answer::Council(council.clone());
        }
        if !proposal.voters.contains(&me) || self.abandoned.contains(&proposal.genesis()) {
            return Answer::Ignored;
        }
        match &self.accepted {
            Some(accepted) if accepted == proposal => Answer::Again,
            Some(accepted)
                if accepted.ballot != proposal.ballot && !proposal.superseded.contains(&accepted.genesis()) =>
            {
                Answer::Collides(accepted.clone())
            }
            Some(_) | None => {
                self.accepted = Some(proposal.clone());
                Answer::Accepted
            }
        }
    }

    /// Answers who wants `rival` abandoned.
    pub(super) fn abandon(&mut self, by: Ballot, rival: Ballot) -> Yielded {
        // One that is about to be superseded by what it accepted protects nothing.
        let stands = |council: &&Council| {
            self.accepted.as_ref().is_none_or(|accepted| !accepted.superseded.contains(&council.genesis))
        };
        if let Some(council) = self.council.as_ref().filter(stands) {
            return Yielded::Council(council.clone());
        }
        if by <= rival {
            return Yielded::Ignored;
        }
        if self.abandoned.contains(&rival.genesis()) {
            return Yielded::Again;
        }
        if self.abandoned.len() >= ABANDONED_MAX {
            return Yielded::Ignored;
        }
        self.abandoned.insert(rival.genesis());
        Yielded::Promised
    }

    /// Takes over a council that is said to be confirmed, if nothing that was promised forbids it. Returns whether it
    /// did: that has to be written.
    #[must_use]
    pub(super) fn confirmed(&mut self, me: NodeId, council: &Council) -> bool {
        if !council.is_well_formed() || self.abandoned.contains(&council.genesis) {
            return false;
        }
        let was_left = self.left.iter().find(|left| left.council.genesis == council.genesis);
        if was_left.is_some_and(|left| council.version < left.council.version) {
            return false;
        }
        let allowed = match (&self.council, &self.accepted) {
            (Some(known), _) if known.genesis == council.genesis => council.version > known.version,
            (Some(known), _) if council.supersedes(known.genesis) => true,
            (Some(known), _) if known.supersedes(council.genesis) => false,
            // Of one ring: as they were founded, each with the acceptance of all of its voters, they cannot both stand.
            (Some(known), _)
                if known.version == FIRST && council.version == FIRST && shares_a_voter(known, council) =>
            {
                false
            }
            // Two geneses met: all follow the one that precedes the other. Before that, two held the same seats, one by
            // each; from now on this node lends to nobody by the one that it leaves, whose leases thus run out. Where
            // neither concerns this node's vote it follows what the ring says.
            (Some(known), _) => (!known.contains(me) && !council.contains(me)) || council.precedes(&known.facts()),
            // A voter has accepted every council that it is in. If it accepted another since, that one superseded it.
            (None, Some(accepted)) if council.contains(me) => {
                accepted.genesis() == council.genesis || council.supersedes(accepted.genesis())
            }
            (None, Some(_)) => true,
            // Who was added later had no part in the genesis.
            (None, None) => !council.contains(me) || council.version > FIRST,
        };
        if allowed {
            self.follow(me, council);
        }
        allowed
    }

    fn follow(&mut self, me: NodeId, council: &Council) {
        let amendment = self.amendment.take();
        if let Some(known) = self.council.take().filter(|known| known.genesis != council.genesis && known.contains(me))
        {
            if self.left.len() >= LEFT_MAX {
                self.left.remove(0);
            }
            self.left.push(Left { council: known.id(), amendment });
        }
        if let Some(at) = self.left.iter().position(|left| left.council.genesis == council.genesis) {
            self.amendment = self.left.remove(at).amendment.filter(|amendment| amendment.base == council.id());
        }
        self.council = Some(council.clone());
        self.accepted = None;
        self.abandoned.clear();
    }

    /// Forgets a council that a majority of its voters promised never to confirm.
    pub(super) fn disown(&mut self) {
        let Some(council) = self.council.take() else { return };
        self.amendment = None;
        if self.abandoned.len() < ABANDONED_MAX {
            self.abandoned.insert(council.genesis);
        }
    }
}

fn shares_a_voter(one: &Council, other: &Council) -> bool {
    one.voters.iter().any(|voter| other.contains(*voter))
}

/// A proposal of this node, under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Bid {
    pub(super) proposal: Proposal,
    accepted_by: BTreeSet<NodeId>,
    rivals: BTreeMap<Ballot, Rival>,
    /// When it was begun.
    pub(super) since: Mono,
    /// When it is told again.
    pub(super) repeat_at: Mono,
}

/// A proposal that is in the way of a bid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Rival {
    proposal: Proposal,
    abandoned_by: BTreeSet<NodeId>,
    seen: Mono,
}

impl Bid {
    pub(super) fn new(proposal: Proposal, now: Mono, repeat_at: Mono) -> Self {
        Self { proposal, accepted_by: BTreeSet::new(), rivals: BTreeMap::new(), since: now, repeat_at }
    }

    /// A voter accepted. Returns whether all have.
    #[must_use]
    pub(super) fn accepted(&mut self, by: NodeId) -> bool {
        if self.proposal.voters.contains(&by) {
            self.accepted_by.insert(by);
        }
        self.accepted_by.len() == self.proposal.voters.len()
    }

    /// Who has not accepted.
    pub(super) fn missing(&self) -> Vec<NodeId> {
        self.proposal.voters.iter().filter(|voter| !self.accepted_by.contains(voter)).copied().collect()
    }

    /// A voter accepted another proposal before.
    pub(super) fn collides(&mut self, now: Mono, rival: Proposal) {
        let known = self.proposal.superseded.contains(&rival.genesis()) || rival.ballot == self.proposal.ballot;
        if known || !rival.is_well_formed() || self.rivals.len() >= SUPERSEDED_MAX {
            return;
        }
        self.rivals.entry(rival.ballot).or_insert(Rival { proposal: rival, abandoned_by: BTreeSet::new(), seen: now });
    }

    /// The proposals in the way, with when they were first met.
    pub(super) fn rivals(&self) -> impl Iterator<Item = (&Proposal, Mono)> {
        self.rivals.values().map(|rival| (&rival.proposal, rival.seen))
    }

    /// `by` has promised never to confirm `ballot`. Returns whether that proposal is superseded now.
    #[must_use]
    pub(super) fn abandoned(&mut self, by: NodeId, ballot: Ballot) -> bool {
        let Some(rival) = self.rivals.get_mut(&ballot) else { return false };
        if rival.proposal.voters.contains(&by) {
            rival.abandoned_by.insert(by);
        }
        let proposer = rival.proposal.ballot.proposer;
        let dead =
            rival.abandoned_by.len() >= majority(rival.proposal.voters.len()) || rival.abandoned_by.contains(&proposer);
        if !dead {
            return false;
        }
        if let Some(rival) = self.rivals.remove(&ballot) {
            let mut superseded: BTreeSet<GenesisId> = self.proposal.superseded.iter().copied().collect();
            superseded.insert(rival.proposal.genesis());
            superseded.extend(rival.proposal.superseded);
            // What does not fit costs a later proposer another round, never safety.
            self.proposal.superseded = superseded.into_iter().take(SUPERSEDED_MAX).collect();
        }
        true
    }
}

#[cfg(test)]
mod tests;
