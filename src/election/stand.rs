//! When this node stands for a seat, and what it does to get, keep and leave it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::{Mono, NodeId, Seat, Term};
use crate::records::value::SeatHolder;

use super::action::{ElectionAction, LostWhy};
use super::candidate::{
    Canvass, Claiming, FAREWELL_EVERY, FAREWELLS, Farewell, JITTER, Outcome, Phase, RANK_DELAY, Seated, Stale, Stand,
    back_off,
};
use super::change::Minutes;
use super::council::Council;
use super::holder::{Lease, renewal};
use super::machine::{Election, Heard, Standing};
use super::message::{Claimant, ElectionMessage, Holding, Refusal};
use super::voter::millis;

/// From this much on, a candidate that waits for a loan to run out asks once more shortly before: its clock and the
/// voter's differ.
const LONG_WAIT: Duration = Duration::from_millis(100);
/// The least between two canvasses, so that a refusal "for 0 ms" does not go in circles.
const LEAST_WAIT: Duration = Duration::from_millis(2);

impl Election {
    /// Steps down at once from every seat whose lease has run out. Comes first whenever anything happens, so that after
    /// a pause nothing is done in the name of a seat that is not held any more.
    pub(super) fn expire(&mut self, now: Mono) {
        let over = |(seat, stand): (&Seat, &Stand)| {
            stand.seated().filter(|seated| seated.until <= now).map(|seated| (seat.clone(), seated.lease.holding.term))
        };
        let ended: Vec<(Seat, Term)> = self.stands.iter().filter_map(over).collect();
        for (seat, term) in ended {
            self.set_phase(&seat, Phase::Idle);
            self.act(ElectionAction::Lost { seat: seat.clone(), term, why: LostWhy::Expired });
            self.act(ElectionAction::Publish { seat, holder: SeatHolder { node: None, term } });
        }
    }

    /// Does what is due for a seat.
    pub(super) fn pursue(&mut self, now: Mono, seat: &Seat) {
        match self.stands.entry(seat.clone()).or_default().phase.clone() {
            Phase::Idle => {
                if let Some(from) = self.prospect(now, seat) {
                    let at = from.max(now) + self.turn(seat);
                    self.set_phase(seat, Phase::Waiting { at });
                }
            }
            Phase::Waiting { at } => match self.prospect(now, seat) {
                None => self.set_phase(seat, Phase::Idle),
                Some(from) if at <= now && from > now => {
                    let at = from + self.turn(seat);
                    self.set_phase(seat, Phase::Waiting { at });
                }
                Some(_) if at <= now => self.canvass(now, seat),
                Some(_) => {}
            },
            Phase::Canvassing(canvass) if canvass.ends <= now => self.canvass_over(now, seat, &canvass),
            Phase::Claiming(claiming) if claiming.ends <= now => self.claim_lost(now, seat, &claiming),
            Phase::Claiming(claiming) if claiming.repeat_at <= now => self.claim(now, seat, claiming),
            Phase::Holding(seated) if seated.renew_at <= now => self.renew(now, seat, seated),
            Phase::Canvassing(_) | Phase::Claiming(_) | Phase::Holding(_) => {}
        }
    }

    pub(super) fn set_phase(&mut self, seat: &Seat, phase: Phase) {
        self.stands.entry(seat.clone()).or_default().phase = phase;
    }

    /// From when on the seat looks vacant to this node; none if it does not, or is not for this node.
    fn prospect(&self, now: Mono, seat: &Seat) -> Option<Mono> {
        let me = self.config.me;
        let council = self.council()?;
        if self.standing == Standing::Withdrawn || !self.view.seats.contains(seat) || !self.view.may_stand(me, seat) {
            return None;
        }
        let stand = self.stands.get(seat)?;
        let rested = match seat {
            Seat::Steward => stand.rests_until.max(self.change_due()?),
            Seat::Leader | Seat::Updater | Seat::Lock(_) => stand.rests_until,
        };
        let published = self.view.published.get(seat);
        let vacated = |term: Term| published.is_some_and(|holder| holder.node.is_none() && holder.term >= term);
        let from = if let Some(loan) = self.voter.loan(now, seat).filter(|loan| loan.holding.holder != me) {
            // It renews, or may; unless it is dead or has let go. The voters are asked even then.
            let may_hold = self.view.is_alive(loan.holding.holder) && !vacated(loan.holding.term);
            if may_hold { loan.until } else { now }
        } else if council.contains(me) {
            now
        } else {
            // Who does not vote goes by what the ring says: were all members to ask, a seat would cost more the larger
            // its group is.
            let holder = published.and_then(|holder| Some((holder.node?, holder.term)));
            let given_back = |term| stand.given_back.is_some_and(|holding| holding.term >= term);
            match holder {
                Some((node, term)) if node != me && self.view.is_alive(node) && !given_back(term) => return None,
                Some(_) | None => now,
            }
        };
        Some(from.max(rested))
    }

    /// How long this node lets others go first.
    fn turn(&mut self, seat: &Seat) -> Duration {
        let resigned = self.stands.get(seat).and_then(Stand::resigned);
        let dead = self.view.published.get(seat).and_then(|holder| holder.node);
        let rank = self.view.rank(self.config.me, seat, resigned.or(dead));
        RANK_DELAY.saturating_mul(rank) + self.jitter(JITTER)
    }

    /// Something changed that may make the seats vacant: whoever waits for later looks again.
    pub(super) fn hurry_all(&mut self, now: Mono) {
        let seats: Vec<Seat> = self.stands.keys().cloned().collect();
        for seat in seats {
            self.hurry(now, &seat);
        }
    }

    fn hurry(&mut self, now: Mono, seat: &Seat) {
        let waits_until = match self.stands.get(seat).map(|stand| &stand.phase) {
            Some(Phase::Waiting { at }) => *at,
            Some(Phase::Idle | Phase::Canvassing(_) | Phase::Claiming(_) | Phase::Holding(_)) | None => return,
        };
        if let Some(from) = self.prospect(now, seat) {
            let at = waits_until.min(from.max(now) + self.turn(seat));
            self.set_phase(seat, Phase::Waiting { at });
        }
    }

    /// The holder resigned: the successor that it named stands at once, everybody else in turn after it.
    pub(super) fn succeed(&mut self, now: Mono, seat: &Seat, successor: Option<NodeId>) {
        let Some(stand) = self.stands.get(seat) else { return };
        match stand.phase {
            Phase::Idle | Phase::Waiting { .. } | Phase::Canvassing(_) => {}
            Phase::Claiming(_) | Phase::Holding(_) => return,
        }
        if self.prospect(now, seat).is_none_or(|from| from > now) {
            return;
        }
        let at = match successor {
            Some(node) if node == self.config.me => now,
            Some(node) if self.view.is_alive(node) => now + self.turn(seat).max(RANK_DELAY),
            Some(_) | None => now + self.turn(seat),
        };
        self.set_phase(seat, Phase::Waiting { at });
    }

    fn canvass(&mut self, now: Mono, seat: &Seat) {
        let (Some(council), Some(stand)) = (self.council().cloned(), self.stands.get(seat)) else { return };
        let promised = self.voter.promise(seat).map_or(Term(0), |promise| promise.holding.term);
        let known = if *seat == Seat::Steward { council.version.0 } else { Term(0) };
        let term = stand.highest.max(promised).max(council.floor).max(known).next();
        let given_back = stand.given_back;
        let round = self.next_round();
        let suitability = self.view.suitability(self.config.me);
        self.set_phase(seat, Phase::Canvassing(Canvass::new(round, term, now + self.config.ttl / 8)));
        for voter in &council.voters {
            let seat = seat.clone();
            let council = council.id();
            self.send(*voter, ElectionMessage::Canvass { seat, term, council, suitability, round, given_back });
        }
    }

    pub(super) fn take_willing(&mut self, now: Mono, from: NodeId, seat: &Seat, round: u64) {
        self.canvass_answer(now, from, seat, round, |canvass| canvass.willing(from, now));
    }

    fn canvass_answer(&mut self, now: Mono, from: NodeId, seat: &Seat, round: u64, answer: impl FnOnce(&mut Canvass)) {
        let Some(council) = self.council().filter(|council| council.contains(from)).cloned() else { return };
        let Some(stand) = self.stands.get_mut(seat) else { return };
        let Phase::Canvassing(canvass) = &mut stand.phase else { return };
        if canvass.round != round {
            return;
        }
        answer(canvass);
        let canvass = canvass.clone();
        match canvass.outcome(&council) {
            Outcome::Open => {}
            Outcome::Won if self.council_heard == Heard::Not && !canvass.has_heard_all(&council) => {}
            Outcome::Won => self.begin_claim(now, seat, canvass.term),
            Outcome::Lost => self.canvass_lost(now, seat, &canvass),
        }
    }

    /// Its time is up.
    fn canvass_over(&mut self, now: Mono, seat: &Seat, canvass: &Canvass) {
        let Some(council) = self.council() else { return };
        match canvass.outcome(council) {
            Outcome::Won => self.begin_claim(now, seat, canvass.term),
            Outcome::Open | Outcome::Lost => self.canvass_lost(now, seat, canvass),
        }
    }

    fn canvass_lost(&mut self, now: Mono, seat: &Seat, canvass: &Canvass) {
        let (Some(council), Some(stand)) = (self.council().cloned(), self.stands.get_mut(seat)) else { return };
        if canvass.stale == Stale::Yes && stand.highest >= canvass.term {
            // The term was taken. Each try is in a higher one, so this ends.
            self.set_phase(seat, Phase::Waiting { at: now });
            return;
        }
        let rest = back_off(self.config.ttl, stand.losses);
        let silent = now + rest;
        let chance = canvass.next_chance(&council, silent);
        if chance >= silent {
            stand.losses = stand.losses.saturating_add(1);
        }
        let wait = chance.since(now).max(LEAST_WAIT);
        let wait = if wait > LONG_WAIT { wait - wait / 50 } else { wait };
        let at = now + wait + self.turn(seat);
        self.set_phase(seat, Phase::Waiting { at });
    }

    fn begin_claim(&mut self, now: Mono, seat: &Seat, term: Term) {
        let holding = Holding { term, holder: self.config.me, incarnation: self.config.incarnation };
        self.stands.entry(seat.clone()).or_default().hear(term);
        if *seat == Seat::Steward {
            self.stewardship.begin();
        }
        let ends = now + self.config.ttl / 2;
        let claiming = Claiming { lease: Lease::new(holding), ends, repeat_at: now, refused: BTreeSet::new() };
        self.claim(now, seat, claiming);
    }

    /// Sends the claim to those that have not answered it.
    fn claim(&mut self, now: Mono, seat: &Seat, mut claiming: Claiming) {
        let Some(council) = self.council().cloned() else { return };
        let round = self.next_round();
        claiming.lease.sending(round, now);
        claiming.repeat_at = now + self.config.ttl / 8;
        let open: Vec<NodeId> =
            council.voters.iter().filter(|voter| !claiming.lease.has_granted(**voter)).copied().collect();
        let holding = claiming.lease.holding;
        self.set_phase(seat, Phase::Claiming(claiming));
        self.send_claims(seat, &council, &open, (holding, Claimant::Candidate), round);
    }

    fn send_claims(
        &mut self,
        seat: &Seat,
        council: &Council,
        voters: &[NodeId],
        (holding, claimant): (Holding, Claimant),
        round: u64,
    ) {
        let suitability = self.view.suitability(self.config.me);
        let given_back = self.stands.get(seat).and_then(|stand| stand.given_back);
        let ttl_ms = millis(self.config.ttl);
        for voter in voters {
            let (seat, council) = (seat.clone(), council.id());
            let claim =
                ElectionMessage::Claim { seat, holding, council, suitability, ttl_ms, round, given_back, claimant };
            self.send(*voter, claim);
        }
    }

    fn renew(&mut self, now: Mono, seat: &Seat, mut seated: Seated) {
        let Some(council) = self.council().cloned() else { return };
        let round = self.next_round();
        seated.lease.sending(round, now);
        seated.renew_at = now + renewal(self.config.ttl);
        let holding = seated.lease.holding;
        self.set_phase(seat, Phase::Holding(seated));
        self.send_claims(seat, &council, &council.voters, (holding, Claimant::Holder), round);
    }

    pub(super) fn take_grant(
        &mut self,
        now: Mono,
        from: NodeId,
        seat: &Seat,
        (term, round): (Term, u64),
        minutes: Option<Minutes>,
    ) {
        let me = self.config.me;
        let ttl = self.config.ttl;
        let Some(majority) = self.council().filter(|council| council.contains(from)).map(Council::majority) else {
            return;
        };
        let Some(stand) = self.stands.get_mut(seat) else { return };
        if let Some(minutes) = minutes.filter(|_| *seat == Seat::Steward && stand.has_claimed(term, round)) {
            self.stewardship.hear(from, minutes);
        }
        match &mut stand.phase {
            Phase::Claiming(claiming) if claiming.lease.holding.term == term => {
                claiming.lease.granted(from, round);
                let Some(until) = claiming.lease.until(majority, ttl).filter(|until| *until > now) else { return };
                let lease = claiming.lease.clone();
                stand.phase = Phase::Holding(Seated { lease, until, renew_at: now + renewal(ttl) });
                stand.losses = 0;
                stand.farewell = None;
                self.council_heard = Heard::Yes;
                self.act(ElectionAction::Held { seat: seat.clone(), term, until });
                self.act(ElectionAction::Publish { seat: seat.clone(), holder: SeatHolder { node: Some(me), term } });
            }
            Phase::Holding(seated) if seated.lease.holding.term == term => {
                seated.lease.granted(from, round);
                let Some(until) = seated.lease.until(majority, ttl).filter(|until| *until > seated.until) else {
                    return;
                };
                seated.until = until;
                self.act(ElectionAction::Renewed { seat: seat.clone(), term, until });
            }
            Phase::Idle | Phase::Waiting { .. } | Phase::Canvassing(_) | Phase::Claiming(_) | Phase::Holding(_) => {}
        }
    }

    pub(super) fn take_refusal(&mut self, now: Mono, from: NodeId, seat: &Seat, round: u64, reason: Refusal) {
        let Some(stand) = self.stands.get_mut(seat) else { return };
        let later = |ms: u32| now + Duration::from_millis(ms.into());
        let retry = now + self.config.ttl / 8;
        let (until, stale) = match reason {
            Refusal::Held { holding, remaining_ms } => {
                stand.hear(holding.term);
                (later(remaining_ms), Stale::No)
            }
            Refusal::StaleTerm { term } => {
                stand.hear(term);
                (now, Stale::Yes)
            }
            Refusal::Outranked { by: _, remaining_ms } | Refusal::Settling { remaining_ms } => {
                (later(remaining_ms), Stale::No)
            }
            Refusal::StaleCouncil(council) => {
                self.teach_council(now, from, Some(&council));
                (retry, Stale::No)
            }
            Refusal::NotVoter => {
                self.teach_council(now, from, None);
                (retry, Stale::No)
            }
            Refusal::CannotStore | Refusal::TooLong { .. } | Refusal::TooManySeats => (retry, Stale::No),
        };
        self.canvass_answer(now, from, seat, round, |canvass| {
            canvass.refused(from, until);
            if stale == Stale::Yes {
                canvass.stale = Stale::Yes;
            }
        });
        self.claim_refused(now, from, seat, round);
    }

    fn claim_refused(&mut self, now: Mono, from: NodeId, seat: &Seat, round: u64) {
        let Some(council) = self.council().filter(|council| council.contains(from)).cloned() else { return };
        let Some(stand) = self.stands.get_mut(seat) else { return };
        let Phase::Claiming(claiming) = &mut stand.phase else { return };
        if !claiming.lease.has_sent(round) || claiming.lease.has_granted(from) {
            return;
        }
        claiming.refused.insert(from);
        if council.voters.len() - claiming.refused.len() < council.majority() {
            let claiming = claiming.clone();
            self.claim_lost(now, seat, &claiming);
        }
    }

    /// Gives up, and frees those that had granted: else they would lend the seat to nobody for a ttl.
    fn claim_lost(&mut self, now: Mono, seat: &Seat, claiming: &Claiming) {
        let ttl = self.config.ttl;
        let Some(stand) = self.stands.get_mut(seat) else { return };
        let rest = back_off(ttl, stand.losses);
        stand.losses = stand.losses.saturating_add(1);
        let at = now + rest + self.jitter(rest) + self.turn(seat);
        self.set_phase(seat, Phase::Waiting { at });
        self.resign_to(seat, claiming.lease.holding, None);
    }

    /// Lets go of a seat, if it is held or claimed, and tells those who lend it.
    pub(super) fn give_back(&mut self, now: Mono, seat: &Seat, why: LostWhy) {
        let Some(stand) = self.stands.get_mut(seat) else { return };
        let phase = std::mem::take(&mut stand.phase);
        match phase {
            Phase::Idle | Phase::Waiting { .. } | Phase::Canvassing(_) => {}
            Phase::Claiming(claiming) => self.resign_to(seat, claiming.lease.holding, None),
            Phase::Holding(seated) => {
                let holding = seated.lease.holding;
                let successor = self.view.successor(self.config.me, seat);
                let at = now + FAREWELL_EVERY;
                stand.farewell = Some(Farewell { holding, successor, at, left: FAREWELLS });
                stand.hear_given_back(holding);
                let term = holding.term;
                self.act(ElectionAction::Lost { seat: seat.clone(), term, why });
                self.act(ElectionAction::Publish { seat: seat.clone(), holder: SeatHolder { node: None, term } });
                self.resign_to(seat, holding, successor);
            }
        }
    }

    fn resign_to(&mut self, seat: &Seat, holding: Holding, successor: Option<NodeId>) {
        let voters = self.council().map(|council| council.voters.clone()).unwrap_or_default();
        let outside = successor.filter(|node| !voters.contains(node));
        for to in voters.into_iter().chain(outside) {
            self.send(to, ElectionMessage::Resign { seat: seat.clone(), holding, successor });
        }
    }

    pub(super) fn say_farewells(&mut self, now: Mono) {
        let due = |stand: &Stand| stand.farewell.as_ref().is_some_and(|farewell| farewell.at <= now);
        let seats: Vec<Seat> =
            self.stands.iter().filter(|(_, stand)| due(stand)).map(|(seat, _)| seat.clone()).collect();
        for seat in seats {
            let Some(farewell) = self.stands.get_mut(&seat).and_then(|stand| stand.farewell.take()) else { continue };
            self.resign_to(&seat, farewell.holding, farewell.successor);
            if let Some(left) = farewell.left.checked_sub(1).filter(|left| *left > 0)
                && let Some(stand) = self.stands.get_mut(&seat)
            {
                stand.farewell = Some(Farewell { at: now + FAREWELL_EVERY, left, ..farewell });
            }
        }
    }

    /// The council is the next one in its line. What was asked of the one before is void; who is seated stays so, until its
    /// lease ends, and asks the new one at once.
    pub(super) fn move_stands(&mut self, now: Mono) {
        let seats: Vec<Seat> = self.stands.keys().cloned().collect();
        for seat in seats {
            let at = now + self.turn(&seat);
            let Some(stand) = self.stands.get_mut(&seat) else { continue };
            match &mut stand.phase {
                Phase::Idle | Phase::Waiting { .. } => {}
                Phase::Canvassing(_) => stand.phase = Phase::Waiting { at },
                // In the same term it could be seated beside another holding of that term, which the voters of the new
                // council need not know of.
                Phase::Claiming(claiming) => {
                    let holding = claiming.lease.holding;
                    stand.phase = Phase::Waiting { at };
                    self.resign_to(&seat, holding, None);
                }
                Phase::Holding(seated) => {
                    seated.lease.restart();
                    seated.renew_at = now;
                }
            }
        }
    }

    /// The council is another one: what was asked of the old one is void.
    pub(super) fn restart_stands(&mut self) {
        let seats: Vec<Seat> = self.stands.keys().cloned().collect();
        for seat in seats {
            let Some(stand) = self.stands.get_mut(&seat) else { continue };
            match std::mem::take(&mut stand.phase) {
                Phase::Idle | Phase::Waiting { .. } | Phase::Canvassing(_) | Phase::Claiming(_) => {}
                Phase::Holding(seated) => {
                    let term = seated.lease.holding.term;
                    self.act(ElectionAction::Lost { seat: seat.clone(), term, why: LostWhy::CouncilReplaced });
                    self.act(ElectionAction::Publish { seat, holder: SeatHolder { node: None, term } });
                }
            }
        }
    }
}
