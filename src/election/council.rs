//! Who votes on a group's seats.

use serde::{Deserialize, Serialize};

use crate::base::limits::COUNCIL_MAX;
use crate::base::{NodeId, Term};
use crate::records::value::CouncilFacts;

/// Most proposals that a council remembers to have superseded. More would need as many proposers in a row that died
/// between the acceptance of their proposal and its confirmation.
pub const SUPERSEDED_MAX: usize = 16;

/// The version of a council that was founded and not changed since.
pub(super) const FIRST: (Term, u64) = (Term(0), 0);

/// How far the terms of a council that took the place of a lost one are ahead of all that were heard of. Each term that
/// the lost one may have used since takes an election of some milliseconds at least: a million of them, hours of nothing
/// else.
pub(super) const RECOVERY_STEP: u64 = 1_000_000;

/// Which genesis a council stems from: two councils of one genesis are versions of each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GenesisId(pub u64);

/// Names one council exactly. Claims carry it, so that no grants of different councils are ever added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CouncilId {
    /// Which genesis it stems from.
    pub genesis: GenesisId,
    /// The steward's term, and the step within it. Councils of one genesis are ordered by it.
    pub version: (Term, u64),
}

/// Which attempt at a genesis, ordered: a higher ballot may take over from a lower one, never the reverse. A proposer
/// stores its attempt before it tells anyone, and so never uses one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// One more than the highest that the proposer had seen.
    pub attempt: u64,
    /// Who proposes.
    pub proposer: NodeId,
}

/// A council that is proposed and not yet confirmed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Proposal {
    /// Its ballot, which is also its name.
    pub ballot: Ballot,
    /// Who is to vote, in the order of their ids.
    pub voters: Vec<NodeId>,
    /// Proposals that can never gather grants, because this one's proposer was promised so.
    pub superseded: Vec<GenesisId>,
}

/// A confirmed council.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Council {
    /// Which genesis it stems from.
    pub genesis: GenesisId,
    /// The steward's term, and the step within it.
    pub version: (Term, u64),
    /// Who votes, in the order of their ids.
    pub voters: Vec<NodeId>,
    /// The proposals that it superseded: a voter that slept through it gives way.
    pub superseded: Vec<GenesisId>,
    /// No holding was ever seated in a higher term while a council before the last one voted. Its own candidates claim
    /// higher ones: among its voters there may be none that remembers the last holder.
    pub floor: Term,
}

impl Ballot {
    /// The genesis that a confirmation of this ballot makes. A mix of all bits (splitmix64's finish), so that
    /// different ballots make different ids.
    #[must_use]
    pub fn genesis(self) -> GenesisId {
        let proposer = self.proposer.as_u128();
        let halves = [self.attempt, truncated(proposer >> 64), truncated(proposer)];
        GenesisId(halves.into_iter().fold(0x9e37_79b9_7f4a_7c15, |state, part| mix(state ^ mix(part))))
    }
}

/// The low 64 bits.
fn truncated(bits: u128) -> u64 {
    u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(u64::MAX)
}

/// One step of splitmix64.
pub(super) fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

impl Proposal {
    /// The genesis that its confirmation makes.
    #[must_use]
    pub fn genesis(&self) -> GenesisId {
        self.ballot.genesis()
    }

    /// The council that it becomes when all of its voters have accepted it.
    #[must_use]
    pub fn confirmed(&self) -> Council {
        // Only a recovery is numbered so: see `recover`.
        let floor = if self.ballot.attempt >= RECOVERY_STEP { Term(self.ballot.attempt) } else { Term(0) };
        Council {
            genesis: self.genesis(),
            version: (floor, 0),
            voters: self.voters.clone(),
            superseded: self.superseded.clone(),
            floor,
        }
    }

    /// Whether it is within the limits, and orderly.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        well_formed(&self.voters, &self.superseded)
    }
}

impl Council {
    /// Its exact name.
    #[must_use]
    pub fn id(&self) -> CouncilId {
        CouncilId { genesis: self.genesis, version: self.version }
    }

    /// How many grants make a majority.
    #[must_use]
    pub fn majority(&self) -> usize {
        majority(self.voters.len())
    }

    /// Whether `node` votes.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.voters.contains(&node)
    }

    /// Whether it took the place of `genesis`.
    #[must_use]
    pub fn supersedes(&self, genesis: GenesisId) -> bool {
        self.superseded.contains(&genesis)
    }

    /// Whether it took the place of a lost one, and was not changed since.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.version.0.0 >= RECOVERY_STEP && self.version.1 == 0
    }

    /// Whether it is within the limits, and orderly.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        well_formed(&self.voters, &self.superseded)
    }

    /// What is told of it to those who do not vote.
    #[must_use]
    pub fn facts(&self) -> CouncilFacts {
        CouncilFacts {
            genesis: self.genesis.0,
            version: self.version,
            voters: self.voters.clone(),
            floor: self.floor,
            superseded: self.superseded.iter().map(|genesis| genesis.0).collect(),
        }
    }

    /// The council that was published.
    #[must_use]
    pub fn from_facts(facts: &CouncilFacts) -> Self {
        Self {
            genesis: GenesisId(facts.genesis),
            version: facts.version,
            voters: facts.voters.clone(),
            superseded: facts.superseded.iter().copied().map(GenesisId).collect(),
            floor: facts.floor,
        }
    }

    /// Whether this one is to be told to the group, rather than the one that was published: it took that one's place,
    /// it is a newer version of it, or (two rings of one group were joined) it has more voters, then the lower genesis.
    /// A total order, so that two voters never overwrite each other for ever.
    #[must_use]
    pub fn precedes(&self, published: &CouncilFacts) -> bool {
        let theirs = GenesisId(published.genesis);
        if theirs == self.genesis {
            return self.version > published.version;
        }
        if self.supersedes(theirs) || published.superseded.contains(&self.genesis.0) {
            return self.supersedes(theirs);
        }
        self.voters.len() > published.voters.len()
            || (self.voters.len() == published.voters.len() && self.genesis < theirs)
    }
}

/// How many of `count` are a majority.
pub(super) const fn majority(count: usize) -> usize {
    count / 2 + 1
}

fn well_formed(voters: &[NodeId], superseded: &[GenesisId]) -> bool {
    let ordered = voters.windows(2).all(|pair| pair[0] < pair[1]);
    (1..=COUNCIL_MAX).contains(&voters.len()) && ordered && superseded.len() <= SUPERSEDED_MAX
}

/// Who of the members that are alive (in the order of their ids) is to vote: those with the lowest ids, at most
/// `council_size`, and an odd number of them, because a council of 4 survives no more losses than one of 3 and has one
/// more voter to lose.
pub(super) fn choose_voters(alive: &[NodeId], council_size: usize) -> Vec<NodeId> {
    let most = alive.len().min(council_size.clamp(1, COUNCIL_MAX));
    let odd = if most.is_multiple_of(2) { most.saturating_sub(1) } else { most };
    alive.iter().take(odd).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u128) -> Vec<NodeId> {
        (1..=count).map(NodeId::from_u128).collect()
    }

    fn council(genesis: u64, voters: u128) -> Council {
        Council {
            genesis: GenesisId(genesis),
            version: (Term(0), 0),
            voters: ids(voters),
            superseded: Vec::new(),
            floor: Term(0),
        }
    }

    #[test]
    fn the_voters_are_the_lowest_ids_and_odd_in_number() {
        for (alive, size, voters) in
            [(0, 5, 0), (1, 5, 1), (2, 5, 1), (3, 5, 3), (4, 5, 3), (9, 5, 5), (9, 4, 3), (9, 99, 7)]
        {
            assert_eq!(choose_voters(&ids(alive), size), ids(voters), "{alive} alive, council of {size}");
        }
    }

    #[test]
    fn two_majorities_always_share_a_voter() {
        for count in 1..=COUNCIL_MAX {
            assert!(2 * majority(count) > count);
            assert!(2 * (majority(count) - 1) <= count);
        }
    }

    #[test]
    fn a_council_is_taken_at_the_limits_and_refused_one_beyond() {
        assert!(council(1, 7).is_well_formed());
        assert!(!council(1, 8).is_well_formed());
        assert!(!council(1, 0).is_well_formed());
        let mut remembers = council(1, 3);
        remembers.superseded = vec![GenesisId(9); SUPERSEDED_MAX];
        assert!(remembers.is_well_formed());
        remembers.superseded.push(GenesisId(9));
        assert!(!remembers.is_well_formed());
        let twice = Council { voters: vec![NodeId::from_u128(1); 2], ..council(1, 3) };
        assert!(!twice.is_well_formed(), "one node voting twice would be a majority of its own");
    }

    #[test]
    fn a_council_that_took_the_place_of_a_larger_one_precedes_it() {
        let lost = council(1, 5);
        let ballot = Ballot { attempt: RECOVERY_STEP, proposer: NodeId::from_u128(1) };
        let found = Proposal { ballot, voters: ids(1), superseded: vec![lost.genesis] }.confirmed();
        assert!(found.precedes(&lost.facts()) && !lost.precedes(&found.facts()));
        assert!(found.is_recovered() && found.floor == Term(RECOVERY_STEP) && found.version == (found.floor, 0));
        assert_eq!(Council::from_facts(&found.facts()), found);
        let ballot = Ballot { attempt: RECOVERY_STEP - 1, ..ballot };
        let usual = Proposal { ballot, voters: ids(1), superseded: vec![] }.confirmed();
        assert!(!usual.is_recovered() && usual.floor == Term(0) && usual.version == FIRST);
    }

    #[test]
    fn of_two_councils_exactly_one_is_to_be_published() {
        let all = [council(1, 3), council(2, 3), council(3, 5), Council { version: (Term(1), 0), ..council(1, 3) }];
        for one in &all {
            for other in &all {
                assert_eq!(one.precedes(&other.facts()), one != other && !other.precedes(&one.facts()));
            }
        }
    }

    #[test]
    fn ballots_of_different_proposers_or_attempts_make_different_geneses() {
        let ballot = |attempt, proposer| Ballot { attempt, proposer: NodeId::from_u128(proposer) };
        let all = [ballot(1, 1), ballot(2, 1), ballot(1, 2), ballot(1, 1 << 64)].map(Ballot::genesis);
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one));
        }
    }
}
