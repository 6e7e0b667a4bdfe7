//! Answers to canvasses, claims and resignations.

use std::time::Duration;

use crate::base::{Mono, NodeId, Seat, Term};

use super::council::CouncilId;
use super::machine::{Election, Heard};
use super::message::{Claimant, ElectionMessage, Holding, Refusal};
use super::voter::{Ask, Granted};

impl Election {
    pub(super) fn answer_canvass(
        &mut self,
        now: Mono,
        from: NodeId,
        seat: Seat,
        (council, suitability): (CouncilId, Option<u64>),
        term: Term,
        round: u64,
    ) {
        let ask = Ask { seat: &seat, claimant: from, council, suitability };
        let answer = if self.disk.is_failing() {
            Err(Refusal::CannotStore)
        } else {
            self.recovered_just_now(now).and_then(|()| {
                // The rules borrow all but the voter, which changes.
                let mut voter = std::mem::take(&mut self.voter);
                let answer = voter.canvassed(now, &self.rules(), &ask, term);
                self.voter = voter;
                answer
            })
        };
        match answer {
            Ok(()) => self.send(from, ElectionMessage::Willing { seat, round }),
            Err(reason) => self.refuse(from, seat, round, reason),
        }
    }

    pub(super) fn answer_claim(
        &mut self,
        now: Mono,
        seat: Seat,
        (holding, claimant): (Holding, Claimant),
        (council, suitability): (CouncilId, Option<u64>),
        ttl: Duration,
        round: u64,
    ) {
        let from = holding.holder;
        if self.disk.is_failing() {
            self.refuse(from, seat, round, Refusal::CannotStore);
            return;
        }
        let ask = Ask { seat: &seat, claimant: from, council, suitability };
        if let Err(reason) = self.recovered_just_now(now) {
            self.refuse(from, seat, round, reason);
            return;
        }
        let mut voter = std::mem::take(&mut self.voter);
        let answer = voter.claimed(now, &self.rules(), &ask, (holding, claimant), ttl);
        self.voter = voter;
        match answer {
            Ok(granted) => {
                match claimant {
                    // A majority agrees with this council, or it would not be seated.
                    Claimant::Holder => self.council_heard = Heard::Yes,
                    Claimant::Candidate => {}
                }
                match granted {
                    Granted::Promised => self.persist(),
                    Granted::Again => {}
                }
                let minutes = (seat == Seat::Steward).then(|| Box::new(self.minutes()));
                self.send_stored(from, ElectionMessage::Grant { seat, term: holding.term, round, minutes });
            }
            Err(reason) => self.refuse(from, seat, round, reason),
        }
    }

    fn refuse(&mut self, to: NodeId, seat: Seat, round: u64, reason: Refusal) {
        let msg = ElectionMessage::Refuse { seat, round, reason };
        // Which council it knows is told only once it is stored: others take it for confirmed.
        match msg {
            ElectionMessage::Refuse { reason: Refusal::StaleCouncil(_), .. } => self.send_stored(to, msg),
            other => self.send(to, other),
        }
    }

    /// A candidate passes on that a holding was given back.
    pub(super) fn hear_given_back(&mut self, now: Mono, seat: &Seat, holding: Option<Holding>) {
        let Some(holding) = holding else { return };
        if self.voter.given_back(now, seat, holding) {
            self.persist();
        }
        if self.view.seats.contains(seat) {
            self.stands.entry(seat.clone()).or_default().hear_given_back(holding);
        }
    }

    /// A holder, or a claimant that gave up, gives its seat back.
    pub(super) fn hear_resign(&mut self, now: Mono, seat: &Seat, holding: Holding, successor: Option<NodeId>) {
        let known = self.stands.get(seat).and_then(|stand| stand.given_back);
        self.hear_given_back(now, seat, Some(holding));
        if known != Some(holding) && holding.holder != self.config.me {
            self.succeed(now, seat, successor);
        }
    }
}
