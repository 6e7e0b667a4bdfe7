//! The voter: to whom it promised each seat, to whom it lends it, and whether it grants a claim.
//!
//! A promise is durable, a loan is not. So after a restart the voter takes every seat that it had promised for lent, to
//! whom it was promised, for the longest ttl: whatever it lent before the crash was lent to the holder of its last
//! promise (it grants nothing new while anything is lent to somebody else), and has run out by then. That holder can
//! renew meanwhile. Only what the disk proves to be free need not wait: a seat that was never promised, and one whose
//! promise was given back with nothing else lent. The second is not what every resignation says: a supervisor that was
//! killed leaves its service leading to the end of its lease, and its next life may claim a higher term meanwhile and
//! give that one up. So a promise also keeps whether it stands alone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::{Mono, NodeId, Seat, Term};

use super::council::{Council, CouncilId};
use super::message::{Claimant, Holding, Refusal};
use super::view::View;

/// Most seats of one group that a voter keeps promises for: a promise is kept for ever, lest a term comes twice.
pub(super) const SEATS_MAX: usize = 64;

/// The highest holding that a voter ever promised a seat to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Promise {
    pub(super) holding: Holding,
    pub(super) kept: Kept,
    pub(super) beside: Beside,
}

/// Whether a promise may still be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Kept {
    /// To its holder, yes.
    Standing,
    /// It was given back: never again, so that a delayed renewal cannot revive it.
    GivenBack,
}

/// What may be lent beside a promise, when it was written: all that a restarted voter has to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Beside {
    /// Nothing.
    Nothing,
    /// An earlier holding of the same member.
    Earlier,
}

/// A seat that is lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Loan {
    pub(super) holding: Holding,
    pub(super) until: Mono,
    source: Source,
    /// Until when an earlier holding of the same member is lent, never later than `until`. A supervisor that was killed
    /// leaves its service leading to the end of its lease, whatever its next life claims and gives up meanwhile.
    earlier_until: Option<Mono>,
}

/// How it is known that a seat is lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Granted,
    /// It may have been, before the restart.
    Restart,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Entry {
    promise: Option<Promise>,
    loan: Option<Loan>,
    /// Since when it is vacant, unless the loan says otherwise.
    vacant_since: Mono,
}

/// What a voter needs to know beside its promises.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) me: NodeId,
    /// The newest council that it knows.
    pub(super) council: Option<&'a Council>,
    pub(super) view: &'a View,
    /// For how long the more suitable come first.
    pub(super) ttl: Duration,
    pub(super) longest_ttl: Duration,
}

/// What is asked of a voter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) seat: &'a Seat,
    pub(super) claimant: NodeId,
    pub(super) council: CouncilId,
    pub(super) suitability: Option<u64>,
}

/// What became of a claim that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub(super) enum Granted {
    /// The promise is a new one: it has to be on disk before the grant leaves.
    Promised,
    /// It was promised before.
    Again,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Voter {
    seats: BTreeMap<Seat, Entry>,
}

impl Voter {
    /// A voter that kept `promises` through a restart.
    pub(super) fn restore(promises: BTreeMap<Seat, Promise>, now: Mono, longest_ttl: Duration) -> Self {
        let entry = |promise: Promise| {
            let until = now + longest_ttl;
            let lent = |earlier_until| Loan { holding: promise.holding, until, source: Source::Restart, earlier_until };
            let loan = match (promise.kept, promise.beside) {
                (Kept::GivenBack, Beside::Nothing) => None,
                (Kept::Standing, Beside::Nothing) => Some(lent(None)),
                (Kept::Standing | Kept::GivenBack, Beside::Earlier) => Some(lent(Some(until))),
            };
            Entry { promise: Some(promise), loan, vacant_since: now }
        };
        Self { seats: promises.into_iter().map(|(seat, promise)| (seat, entry(promise))).collect() }
    }

    /// What has to be on disk.
    pub(super) fn promises(&self) -> BTreeMap<Seat, Promise> {
        self.seats.iter().filter_map(|(seat, entry)| Some((seat.clone(), entry.promise?))).collect()
    }

    pub(super) fn promise(&self, seat: &Seat) -> Option<Promise> {
        self.seats.get(seat).and_then(|entry| entry.promise)
    }

    /// The highest term that it ever promised for any seat.
    pub(super) fn highest(&self) -> Term {
        self.seats
            .values()
            .filter_map(|entry| entry.promise)
            .map(|promise| promise.holding.term)
            .max()
            .unwrap_or_default()
    }

    /// Whether it promised a seat to exactly this holding, which has not given it back.
    pub(super) fn stands_by(&self, seat: &Seat, holding: Holding) -> bool {
        self.promise(seat).is_some_and(|promise| promise.holding == holding && promise.kept == Kept::Standing)
    }

    /// To whom the seat is lent.
    pub(super) fn loan(&self, now: Mono, seat: &Seat) -> Option<Loan> {
        self.seats.get(seat).and_then(|entry| entry.loan).filter(|loan| loan.until > now)
    }

    /// The group has these seats: what was never promised, and is not a seat any more, is forgotten.
    pub(super) fn know(&mut self, now: Mono, view: &View) {
        self.seats.retain(|seat, entry| entry.promise.is_some() || view.seats.contains(seat));
        for seat in &view.seats {
            self.entry(now, seat);
        }
    }

    fn entry(&mut self, now: Mono, seat: &Seat) -> Option<&mut Entry> {
        if !self.seats.contains_key(seat) {
            if self.seats.len() >= SEATS_MAX {
                return None;
            }
            self.seats.insert(seat.clone(), Entry { promise: None, loan: None, vacant_since: now });
        }
        self.seats.get_mut(seat)
    }

    /// The entry of a seat that somebody asks for.
    fn entry_asked(&mut self, now: Mono, seat: &Seat) -> Option<&mut Entry> {
        let entry = self.entry(now, seat)?;
        if cfg!(feature = "forgetful-voters") {
            *entry = Entry { promise: None, loan: None, vacant_since: entry.vacant_since };
        }
        Some(entry)
    }

    /// Whether it would grant a claim in `term`.
    pub(super) fn canvassed(&mut self, now: Mono, rules: &Rules<'_>, ask: &Ask<'_>, term: Term) -> Result<(), Refusal> {
        is_asked(rules, ask)?;
        let entry = self.entry_asked(now, ask.seat).ok_or(Refusal::TooManySeats)?;
        entry.is_free(now, ask.claimant)?;
        entry.is_newer(term)?;
        entry.is_most_suitable(now, rules, ask)
    }

    /// Grants the claim, or says why not.
    pub(super) fn claimed(
        &mut self,
        now: Mono,
        rules: &Rules<'_>,
        ask: &Ask<'_>,
        (holding, claimant): (Holding, Claimant),
        ttl: Duration,
    ) -> Result<Granted, Refusal> {
        is_asked(rules, ask)?;
        if ttl > rules.longest_ttl {
            return Err(Refusal::TooLong { longest_ms: millis(rules.longest_ttl) });
        }
        let entry = self.entry_asked(now, ask.seat).ok_or(Refusal::TooManySeats)?;
        entry.is_free(now, holding.holder)?;
        let stands = |promise: Promise| promise.holding == holding && promise.kept == Kept::Standing;
        let granted = if entry.promise.is_some_and(stands) {
            Granted::Again
        } else {
            entry.is_newer(holding.term)?;
            match claimant {
                Claimant::Candidate => entry.is_most_suitable(now, rules, ask)?,
                Claimant::Holder => {}
            }
            let beside = entry.lent(now);
            entry.promise = Some(Promise { holding, kept: Kept::Standing, beside });
            Granted::Promised
        };
        let (until, earlier_until) = match entry.loan.filter(|loan| loan.until > now) {
            // Of one member, so far: it is free for the claimant. Another ttl than before may be a shorter one.
            Some(loan) if loan.holding == holding => (loan.until.max(now + ttl), loan.earlier_until),
            Some(loan) => (loan.until.max(now + ttl), Some(loan.until)),
            None => (now + ttl, None),
        };
        entry.loan = Some(Loan { holding, until, source: Source::Granted, earlier_until });
        Ok(granted)
    }

    /// A holder, or a claimant that gave up, has given `holding` back. Returns whether that has to be written.
    pub(super) fn given_back(&mut self, now: Mono, seat: &Seat, holding: Holding) -> bool {
        let Some(entry) = self.entry(now, seat) else { return false };
        if entry.is_free(now, holding.holder).is_err() {
            // Lent to somebody else: were the promise raised here, that holder's renewals would be refused.
            return false;
        }
        match entry.promise {
            Some(promise) if promise.holding == holding => {
                if promise.kept == Kept::GivenBack {
                    return false;
                }
            }
            // Its claim is still on the way to here, and must not be granted when it comes.
            Some(promise) if promise.holding.term >= holding.term => return false,
            Some(_) | None => {}
        }
        if let Some(loan) = entry.loan.take_if(|loan| loan.holding == holding) {
            let earlier = loan.earlier_until.filter(|until| *until > now);
            entry.loan = earlier.map(|until| Loan { until, earlier_until: None, ..loan });
            if entry.loan.is_none() && loan.until > now {
                entry.vacant_since = now;
            }
        }
        let beside = entry.lent(now);
        entry.promise = Some(Promise { holding, kept: Kept::GivenBack, beside });
        true
    }
}

/// Rule 1: it votes in the council that is asked, and knows no newer one.
fn is_asked(rules: &Rules<'_>, ask: &Ask<'_>) -> Result<(), Refusal> {
    match rules.council {
        None => Err(Refusal::NotVoter),
        Some(council) if council.id() != ask.council => Err(Refusal::StaleCouncil(council.clone())),
        Some(council) if !council.contains(rules.me) => Err(Refusal::NotVoter),
        Some(_) => Ok(()),
    }
}

impl Entry {
    /// What is lent now, beside a promise that is about to be made or given back. Whoever may make one has seen to it
    /// that it is lent to nobody but the same member.
    fn lent(&self, now: Mono) -> Beside {
        if self.loan.is_some_and(|loan| loan.until > now) { Beside::Earlier } else { Beside::Nothing }
    }

    /// Rules 3 and 4: nothing is lent to somebody else, nor may have been before the restart. A restarted holder is the
    /// same member still, and what it was before the restart holds nothing any more.
    fn is_free(&self, now: Mono, claimant: NodeId) -> Result<(), Refusal> {
        match self.loan {
            Some(loan) if loan.until > now && loan.holding.holder != claimant => {
                let remaining_ms = millis(loan.until.since(now));
                Err(match loan.source {
                    Source::Granted => Refusal::Held { holding: loan.holding, remaining_ms },
                    Source::Restart => Refusal::Settling { remaining_ms },
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Rule 2, of a claim that is not a renewal.
    fn is_newer(&self, term: Term) -> Result<(), Refusal> {
        match self.promise {
            Some(promise) if term <= promise.holding.term => Err(Refusal::StaleTerm { term: promise.holding.term }),
            Some(_) | None => Ok(()),
        }
    }

    /// Rule 5, of a claim that is not a renewal: for one ttl after the seat fell vacant the more suitable come first.
    fn is_most_suitable(&self, now: Mono, rules: &Rules<'_>, ask: &Ask<'_>) -> Result<(), Refusal> {
        let vacant_since = self.loan.map_or(self.vacant_since, |loan| loan.until.min(now));
        let ends = vacant_since + rules.ttl;
        if ends <= now {
            return Ok(());
        }
        let resigned = self.promise.filter(|promise| promise.kept == Kept::GivenBack).map(|p| p.holding.holder);
        match rules.view.outranking(ask.claimant, ask.suitability, ask.seat, resigned) {
            Some(by) => Err(Refusal::Outranked { by, remaining_ms: millis(ends.since(now)) }),
            None => Ok(()),
        }
    }
}

/// Whole milliseconds, rounded up: who waits for so long does not come too early.
pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
