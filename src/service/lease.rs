//! Whether this member leads, as its process is to be told.
//!
//! The lease of the leader's seat ends at an instant at which the shim kills a process that still leads. A process that
//! is to survive the loss of its seat has to be told before, so it is told some time ahead of the end when no renewal
//! has come until then.

use std::time::Duration;

use super::handle::{HeldLease, LeaseState};
use crate::base::{Mono, Term};

/// The part of a lease that is set aside for stepping down. A lease is renewed when a quarter of it is over: by then,
/// three renewals in a row have failed.
const MARGIN_PART: u32 = 5;
/// The most that is set aside. A `reconfigure` hook that takes longer is one that the shim has to end.
const MARGIN_MAX: Duration = Duration::from_millis(500);

/// The lease, and how much of it is set aside.
#[derive(Debug, Default)]
pub(super) struct Lease {
    held: Option<HeldLease>,
    margin: Duration,
}

impl Lease {
    /// The supervisor was granted the lease, has renewed it, or has lost it.
    pub(super) fn update(&mut self, state: LeaseState, now: Mono) {
        if state.held == self.held {
            return;
        }
        if let Some(held) = state.held {
            self.margin = (held.until.since(now) / MARGIN_PART).min(MARGIN_MAX);
        }
        self.held = state.held;
    }

    /// The term in which the process is to lead; none if it is not to.
    pub(super) fn leads(&self, now: Mono) -> Option<Term> {
        self.held.filter(|held| now < held.until - self.margin).map(|held| held.term)
    }

    /// When [`Self::leads`] changes unless the lease is renewed.
    pub(super) fn deadline(&self, now: Mono) -> Option<Mono> {
        self.held.map(|held| held.until - self.margin).filter(|due| now < *due)
    }

    /// When a process that leads must have stopped.
    pub(super) fn until(&self) -> Option<Mono> {
        self.held.map(|held| held.until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Lease;
    use crate::base::{Mono, Term};
    use crate::service::{HeldLease, LeaseState};

    fn held(term: u64, until: Mono) -> LeaseState {
        LeaseState { held: Some(HeldLease { term: Term(term), until }) }
    }

    #[test]
    fn stepping_down_begins_a_fifth_before_the_end() {
        let start = Mono(1_000_000);
        let mut lease = Lease::default();
        lease.update(held(3, start + Duration::from_secs(1)), start);
        let due = start + Duration::from_millis(800);
        assert_eq!(lease.deadline(start), Some(due));
        assert_eq!(lease.leads(Mono(due.0 - 1)), Some(Term(3)));
        assert_eq!((lease.leads(due), lease.deadline(due)), (None, None));
        assert_eq!(lease.until(), Some(start + Duration::from_secs(1)));
    }

    #[test]
    fn a_renewal_leads_on_and_a_loss_does_not() {
        let start = Mono(0);
        let mut lease = Lease::default();
        lease.update(held(3, start + Duration::from_secs(20)), start);
        assert_eq!(lease.deadline(start), Some(start + Duration::from_millis(19_500)));
        let later = start + Duration::from_millis(19_600);
        assert_eq!(lease.leads(later), None);
        lease.update(held(3, start + Duration::from_secs(30)), later);
        assert_eq!(lease.leads(later), Some(Term(3)));
        lease.update(LeaseState::default(), later);
        assert_eq!((lease.leads(later), lease.until()), (None, None));
    }
}
