//! Until when a seat is held. All of the arithmetic that safety rests on.
//!
//! A voter lends for `ttl` from when it *received* a claim; the holder counts from when it *sent* that claim, and less
//! by [`margin`]. So on clocks that drift by under 1 % each the holder lets go before the first voter of its majority
//! lends to somebody else.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{Mono, NodeId};

use super::message::Holding;

/// Claims that are remembered. A lease sees four renewals, and their repetitions in the first round.
const ROUNDS_MAX: usize = 16;
/// What the holder gives up beside the drift: for the time between a look at the clock and the deed.
const SAFETY: Duration = Duration::from_millis(50);

/// What of its ttl a holder does not use: the drift of both clocks (1/50), and [`SAFETY`].
fn margin(ttl: Duration) -> Duration {
    ttl / 50 + SAFETY
}

/// How often a lease is renewed.
pub(super) fn renewal(ttl: Duration) -> Duration {
    ttl / 4
}

/// The claims for one holding, and who granted them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    pub(super) holding: Holding,
    /// When each claim was sent.
    sent: BTreeMap<u64, Mono>,
    /// When the latest claim was sent that each voter granted. That voter lends until then + ttl at least.
    granted: BTreeMap<NodeId, Mono>,
}

impl Lease {
    pub(super) fn new(holding: Holding) -> Self {
        Self { holding, sent: BTreeMap::new(), granted: BTreeMap::new() }
    }

    /// A claim is about to be sent.
    pub(super) fn sending(&mut self, round: u64, now: Mono) {
        self.sent.insert(round, now);
        while self.sent.len() > ROUNDS_MAX {
            self.sent.pop_first();
        }
    }

    /// The council is another one: what was granted under the one before is not added to what this one grants.
    pub(super) fn restart(&mut self) {
        self.sent.clear();
        self.granted.clear();
    }

    /// A voter granted the claim of that round.
    pub(super) fn granted(&mut self, by: NodeId, round: u64) {
        if let Some(sent) = self.sent.get(&round) {
            let latest = self.granted.entry(by).or_insert(*sent);
            *latest = (*latest).max(*sent);
        }
    }

    pub(super) fn has_granted(&self, voter: NodeId) -> bool {
        self.granted.contains_key(&voter)
    }

    /// Whether a claim of that round was sent.
    pub(super) fn has_sent(&self, round: u64) -> bool {
        self.sent.contains_key(&round)
    }

    /// Until when a majority lends it, on this node's clock; none while none does.
    pub(super) fn until(&self, majority: usize, ttl: Duration) -> Option<Mono> {
        let mut sent: Vec<Mono> = self.granted.values().copied().collect();
        sent.sort_unstable_by(|one, other| other.cmp(one));
        // Of the majority with the latest claims, the voter that lends the shortest.
        let shortest = sent.get(majority.checked_sub(1)?)?;
        Some(*shortest + ttl.saturating_sub(margin(ttl)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Term;

    const TTL: Duration = Duration::from_secs(2);

    fn lease() -> Lease {
        Lease::new(Holding { term: Term(1), holder: NodeId::from_u128(1), incarnation: 1 })
    }

    fn at(ms: u64) -> Mono {
        Mono(ms * 1000)
    }

    #[test]
    fn a_lease_ends_ttl_less_the_margin_after_the_claim_was_sent() {
        let mut lease = lease();
        lease.sending(1, at(100));
        lease.granted(NodeId::from_u128(1), 1);
        assert_eq!(lease.until(2, TTL), None, "one of three is no majority");
        lease.granted(NodeId::from_u128(1), 1);
        assert_eq!(lease.until(2, TTL), None, "nor is one of three that says it twice");
        lease.granted(NodeId::from_u128(2), 1);
        assert_eq!(lease.until(2, TTL), Some(at(100 + 2000 - 40 - 50)));
    }

    #[test]
    fn a_late_grant_does_not_prolong_beyond_its_own_claim() {
        let mut lease = lease();
        for (round, ms) in [(1, 0), (2, 500)] {
            lease.sending(round, at(ms));
            lease.granted(NodeId::from_u128(1), round);
        }
        lease.granted(NodeId::from_u128(2), 1);
        assert_eq!(lease.until(2, TTL), Some(at(1910)));
        lease.granted(NodeId::from_u128(3), 2);
        assert_eq!(lease.until(2, TTL), Some(at(2410)));
        lease.granted(NodeId::from_u128(3), 1);
        assert_eq!(lease.until(2, TTL), Some(at(2410)), "a grant that comes again late takes nothing back");
    }

    #[test]
    fn a_grant_of_a_claim_that_was_never_sent_is_nothing() {
        let mut lease = lease();
        lease.granted(NodeId::from_u128(2), 7);
        assert_eq!(lease.until(1, TTL), None);
    }

    #[test]
    fn the_holder_lets_go_first_on_clocks_that_drift_by_one_percent() {
        for ttl in [1, 2, 10].map(Duration::from_secs) {
            // The slowest holder against the fastest voter, and a message that took no time at all.
            let held = ttl.saturating_sub(margin(ttl)).as_secs_f64() / 0.99;
            let lent = ttl.as_secs_f64() / 1.01;
            assert!(held < lent, "held for {held} s, lent for {lent} s");
        }
    }

    #[test]
    fn the_claims_that_are_remembered_are_bounded() {
        let mut lease = lease();
        for round in 0..=ROUNDS_MAX as u64 {
            lease.sending(round, at(round));
        }
        assert!(!lease.has_sent(0));
        assert!(lease.has_sent(1));
    }
}
