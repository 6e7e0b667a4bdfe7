//! The candidate: what it knows of a seat, and how far it got on the way to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{Mono, NodeId, Seat, Term};

use super::council::Council;
use super::holder::Lease;
use super::message::Holding;

/// What each rank waits longer than the one before: time for a canvass, a claim, and the disk of a voter.
pub(super) const RANK_DELAY: Duration = Duration::from_millis(100);
/// Most that is added to it at random, so that two that take themselves for the first do not collide twice.
pub(super) const JITTER: Duration = Duration::from_millis(20);
/// How often a holder that resigned says so again, in case the first message was lost.
pub(super) const FAREWELL_EVERY: Duration = Duration::from_millis(50);
/// How many times it says so again.
pub(super) const FAREWELLS: u8 = 2;

/// This node and one seat, beside its vote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Stand {
    pub(super) phase: Phase,
    /// The highest term that it heard of.
    pub(super) highest: Term,
    /// The latest holding that it knows to be given back.
    pub(super) given_back: Option<Holding>,
    /// Rounds lost in a row.
    pub(super) losses: u32,
    /// It resigned, and lets others have the seat until then.
    pub(super) rests_until: Mono,
    pub(super) farewell: Option<Farewell>,
}

/// How far it got.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// It does not want the seat, or the seat does not look vacant.
    #[default]
    Idle,
    /// It will canvass then, if the seat looks vacant.
    Waiting {
        at: Mono,
    },
    Canvassing(Canvass),
    Claiming(Claiming),
    Holding(Seated),
}

/// Voters are asked whether they would.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Canvass {
    pub(super) round: u64,
    pub(super) term: Term,
    /// When those that have not answered are waited for no longer.
    pub(super) ends: Mono,
    /// When each voter would grant, as far as it said.
    answers: BTreeMap<NodeId, Mono>,
    willing: BTreeSet<NodeId>,
    /// Whether a voter promised this term, or a higher one: the next try is in a higher one, at once.
    pub(super) stale: Stale,
}

/// Whether a term was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stale {
    No,
    Yes,
}

/// Where a canvass stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Outcome {
    Open,
    /// A majority would.
    Won,
    /// So many said no that a majority will not.
    Lost,
}

impl Canvass {
    pub(super) fn new(round: u64, term: Term, ends: Mono) -> Self {
        Self { round, term, ends, answers: BTreeMap::new(), willing: BTreeSet::new(), stale: Stale::No }
    }

    pub(super) fn willing(&mut self, voter: NodeId, now: Mono) {
        self.answers.insert(voter, now);
        self.willing.insert(voter);
    }

    pub(super) fn refused(&mut self, voter: NodeId, until: Mono) {
        self.answers.insert(voter, until);
        self.willing.remove(&voter);
    }

    pub(super) fn outcome(&self, council: &Council) -> Outcome {
        let refused = self.answers.len() - self.willing.len();
        if self.willing.len() >= council.majority() {
            Outcome::Won
        } else if council.voters.len() - refused.min(council.voters.len()) < council.majority() {
            Outcome::Lost
        } else {
            Outcome::Open
        }
    }

    /// Whether every voter has answered.
    pub(super) fn has_heard_all(&self, council: &Council) -> bool {
        council.voters.iter().all(|voter| self.answers.contains_key(voter))
    }

    /// When a majority may be willing, by what each voter said; who did not answer may be from `silent` on.
    pub(super) fn next_chance(&self, council: &Council, silent: Mono) -> Mono {
        let when = |voter: &NodeId| self.answers.get(voter).copied().unwrap_or(silent);
        let mut times: Vec<Mono> = council.voters.iter().map(when).collect();
        times.sort_unstable();
        times.get(council.majority() - 1).copied().unwrap_or(silent)
    }
}

/// Voters are asked to grant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Claiming {
    pub(super) lease: Lease,
    /// The seat looks taken, or the voters do not answer: it gives up then.
    pub(super) ends: Mono,
    /// When those that have not answered are asked again.
    pub(super) repeat_at: Mono,
    pub(super) refused: BTreeSet<NodeId>,
}

/// It holds the seat.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Seated {
    pub(super) lease: Lease,
    /// It steps down then, unless a majority renews.
    pub(super) until: Mono,
    pub(super) renew_at: Mono,
}

/// A resignation that is said again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Farewell {
    pub(super) holding: Holding,
    pub(super) successor: Option<NodeId>,
    pub(super) at: Mono,
    pub(super) left: u8,
}

impl Stand {
    /// A term was heard of.
    pub(super) fn hear(&mut self, term: Term) {
        self.highest = self.highest.max(term);
    }

    /// A holding was given back.
    pub(super) fn hear_given_back(&mut self, holding: Holding) {
        self.hear(holding.term);
        if self.given_back.is_none_or(|known| known.term < holding.term) {
            self.given_back = Some(holding);
        }
    }

    /// Who resigned last, if nobody is known to have held the seat since.
    pub(super) fn resigned(&self) -> Option<NodeId> {
        self.given_back.filter(|holding| holding.term == self.highest).map(|holding| holding.holder)
    }

    pub(super) fn seated(&self) -> Option<&Seated> {
        match &self.phase {
            Phase::Holding(seated) => Some(seated),
            Phase::Idle | Phase::Waiting { .. } | Phase::Canvassing(_) | Phase::Claiming(_) => None,
        }
    }

    /// Whether it claimed the seat in this term and round, of the council that it knows now.
    pub(super) fn has_claimed(&self, term: Term, round: u64) -> bool {
        let lease = match &self.phase {
            Phase::Idle | Phase::Waiting { .. } | Phase::Canvassing(_) => return false,
            Phase::Claiming(claiming) => &claiming.lease,
            Phase::Holding(seated) => &seated.lease,
        };
        lease.holding.term == term && lease.has_sent(round)
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let phase = match &self.phase {
            Phase::Idle => None,
            Phase::Waiting { at } => Some(*at),
            Phase::Canvassing(canvass) => Some(canvass.ends),
            Phase::Claiming(claiming) => Some(claiming.ends.min(claiming.repeat_at)),
            Phase::Holding(seated) => Some(seated.until.min(seated.renew_at)),
        };
        phase.into_iter().chain(self.farewell.as_ref().map(|farewell| farewell.at)).min()
    }
}

/// A seat and what is known of it.
pub(super) type Stands = BTreeMap<Seat, Stand>;

/// How long a candidate rests after so many lost rounds: doubling, and never so long that a healed ring would wait.
pub(super) fn back_off(ttl: Duration, losses: u32) -> Duration {
    (ttl / 16).saturating_mul(1 << losses.min(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::council::GenesisId;

    fn node(bits: u128) -> NodeId {
        NodeId::from_u128(bits)
    }

    fn council(voters: u128) -> Council {
        Council {
            genesis: GenesisId(1),
            version: (Term(0), 0),
            voters: (1..=voters).map(node).collect(),
            superseded: Vec::new(),
            floor: Term(0),
        }
    }

    #[test]
    fn a_canvass_is_won_by_a_majority_and_lost_when_none_is_left() {
        let mut canvass = Canvass::new(1, Term(1), Mono(100));
        canvass.willing(node(1), Mono(1));
        canvass.willing(node(1), Mono(1));
        assert_eq!(canvass.outcome(&council(3)), Outcome::Open);
        canvass.refused(node(2), Mono(50));
        assert_eq!(canvass.outcome(&council(3)), Outcome::Open);
        canvass.refused(node(3), Mono(70));
        assert_eq!(canvass.outcome(&council(3)), Outcome::Lost);
        assert_eq!(canvass.next_chance(&council(3), Mono(60)), Mono(50));
        canvass.willing(node(3), Mono(2));
        assert_eq!(canvass.outcome(&council(3)), Outcome::Won);
    }

    #[test]
    fn the_next_chance_waits_for_a_majority_and_not_for_all() {
        let mut canvass = Canvass::new(1, Term(1), Mono(100));
        canvass.refused(node(1), Mono(30));
        canvass.refused(node(2), Mono(40));
        canvass.refused(node(3), Mono(900));
        assert_eq!(canvass.next_chance(&council(5), Mono(50)), Mono(50));
        assert_eq!(canvass.next_chance(&council(3), Mono(50)), Mono(40));
    }

    #[test]
    fn the_back_off_grows_and_stays_within_half_a_ttl() {
        let ttl = Duration::from_secs(2);
        assert!(back_off(ttl, 0) < back_off(ttl, 1));
        assert_eq!(back_off(ttl, 1000), ttl / 2);
    }
}
