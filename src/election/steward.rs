//! The steward: when this node changes the council, and what is said about it. The rules are in `change`.
//!
//! The seat is sought only when a change is wanted, held while one step after the other is taken, and given back when
//! nothing is left to do: a council that is as it should be costs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{Mono, NodeId, Seat, Term};

use super::action::LostWhy;
use super::attendance::Attendance;
use super::change::{Amendment, Minutes, Motion, Origin, Stored};
use super::council::{Council, CouncilId, FIRST};
use super::machine::{Election, Standing};
use super::message::{ElectionMessage, Holding, Refusal};
use super::status;
use super::voter::millis;
use super::wish::{Situation, Step, Wish};

/// Most members that go first, one after the other, before the rest try all at once.
const RANKS_MAX: u32 = 8;

/// What a steward knows, and who wants to be one. None of it has to survive a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Stewardship {
    attendance: Attendance,
    wish: Wish,
    /// Since when something is wanted of this council.
    wanted_since: Option<Mono>,
    looked: Looked,
    /// What the voters of this council said with their grants to this holding.
    minutes: BTreeMap<NodeId, Minutes>,
    motion: Option<Motion>,
    /// When the next step may be taken.
    step_at: Option<Mono>,
}

/// Whether the wish is that of what is known now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Looked {
    #[default]
    Before,
    Since,
}

impl Stewardship {
    /// This node claims the seat anew: nothing was said to that holding yet.
    pub(super) fn begin(&mut self) {
        self.minutes.clear();
        self.motion = None;
    }

    /// The council is another one.
    pub(super) fn restart(&mut self) {
        self.begin();
        self.wanted_since = None;
        self.looked = Looked::Before;
    }

    /// What a voter said with its grant.
    pub(super) fn hear(&mut self, voter: NodeId, minutes: Minutes) {
        self.minutes.insert(voter, minutes);
    }
}

/// What is wanted of the council.
impl Election {
    /// Takes in who is there, and what the rules are.
    pub(super) fn see_members(&mut self, now: Mono) {
        let voters = self.council().map(|council| council.voters.clone()).unwrap_or_default();
        self.stewardship.attendance.see(now, self.config.me, &self.view, &voters);
        self.stewardship.looked = Looked::Before;
    }

    fn situation(&self, now: Mono) -> Option<Situation<'_>> {
        let (council, rules) = (self.council()?, self.config.rules?);
        let (view, attendance, calm) = (&self.view, &self.stewardship.attendance, self.config.ttl);
        Some(Situation { now, council, attendance, view, rules, calm })
    }

    /// Finds out what is wanted of the council, if that may have changed.
    pub(super) fn look_at_council(&mut self, now: Mono) {
        let due = match (self.stewardship.looked, self.stewardship.wish) {
            (Looked::Before, _) => true,
            (Looked::Since, Wish::Later(at)) => at <= now,
            (Looked::Since, Wish::Now(_) | Wish::Nothing) => false,
        };
        if !due {
            return;
        }
        let may_be_steward = self.view.ready
            && self.standing == Standing::Stands
            && self.view.seats.contains(&Seat::Steward)
            && self.view.may_stand(self.config.me, &Seat::Steward);
        let situation = self.situation(now).filter(|_| may_be_steward);
        let wish = situation.map_or(Wish::Nothing, |situation| situation.wish());
        self.stewardship.looked = Looked::Since;
        self.stewardship.wish = wish;
        self.stewardship.wanted_since = match wish {
            Wish::Now(_) => self.stewardship.wanted_since.or(Some(now)),
            Wish::Later(_) | Wish::Nothing => None,
        };
    }

    /// From when on this node seeks the seat; none while it wants nothing of it. The first voter goes first: should two
    /// be set up to want different councils, it is mostly the one of them that has its way.
    pub(super) fn change_due(&self) -> Option<Mono> {
        let since = self.stewardship.wanted_since?;
        let (me, council) = (self.config.me, self.council()?);
        let order = |id: NodeId| (!council.contains(id), id);
        let earlier = self
            .view
            .members
            .iter()
            .filter(|(id, member)| member.alive && member.is_fit(&Seat::Steward) && order(**id) < order(me))
            .count();
        let rank = u32::try_from(earlier).unwrap_or(u32::MAX).min(RANKS_MAX);
        Some(since + self.config.ttl * 2 * rank)
    }

    pub(super) fn change_deadline(&self) -> Option<Mono> {
        let later = match self.stewardship.wish {
            Wish::Later(at) => Some(at),
            Wish::Now(_) | Wish::Nothing => None,
        };
        let motion = self.stewardship.motion.as_ref().map(|motion| motion.repeat_at.min(motion.ends));
        later.into_iter().chain(motion).chain(self.stewardship.step_at).min()
    }

    /// What is said of the council's changes, for a person.
    pub(super) fn change_status(&self) -> String {
        if let Some(motion) = &self.stewardship.motion {
            return status::changing(motion.newcomer(), motion.leaver());
        }
        match self.stewardship.wish {
            Wish::Now(Step::Add(node)) => status::changing(Some(node), None),
            Wish::Now(Step::Remove(node)) => status::changing(None, Some(node)),
            // The time does not matter: what is said does not change as it goes by.
            Wish::Later(_) | Wish::Nothing => {
                self.situation(Mono(0)).map(|situation| situation.why_not()).unwrap_or_default()
            }
        }
    }
}

/// What this node does as the steward.
impl Election {
    pub(super) fn pursue_change(&mut self, now: Mono) {
        self.stewardship.step_at = None;
        let seated = self.stands.get(&Seat::Steward).and_then(|stand| stand.seated());
        let (Some(holding), Some(council)) = (seated.map(|seated| seated.lease.holding), self.council().cloned())
        else {
            self.stewardship.motion = None;
            return;
        };
        match &self.stewardship.motion {
            Some(motion) if motion.ends <= now => self.give_up_change(now),
            Some(motion) if motion.repeat_at <= now => self.tell_motion(now, holding),
            Some(_) => {}
            None => self.next_step(now, holding, &council),
        }
    }

    fn next_step(&mut self, now: Mono, holding: Holding, council: &Council) {
        let minutes = &self.stewardship.minutes;
        if minutes.len() < council.majority() {
            // Until its lease is renewed under this council.
            return;
        }
        let pending = minutes.values().filter_map(|minutes| minutes.amendment.as_ref());
        let pending = pending.filter(|amendment| amendment.base == council.id()).max_by_key(|pending| pending.ballot);
        if let Some(pending) = pending {
            let amendment = Amendment { ballot: holding.term, ..pending.clone() };
            self.move_change(now, holding, council, amendment, Origin::TakenUp);
            return;
        }
        let Wish::Now(step) = self.stewardship.wish else {
            self.give_back(now, &Seat::Steward, LostWhy::Resigned);
            return;
        };
        // The voters see to it themselves: to ask them earlier would only be in vain.
        let step_at = self.council_since + self.config.longest_ttl;
        if council.version != FIRST && step_at > now {
            self.stewardship.step_at = Some(step_at);
            return;
        }
        let highest = minutes.values().map(|minutes| minutes.highest).max().unwrap_or_default();
        let next = Council {
            version: (holding.term, council.version.1.saturating_add(1)),
            voters: step.applied(&council.voters),
            floor: highest.max(council.floor),
            ..council.clone()
        };
        let amendment = Amendment { base: council.id(), ballot: holding.term, council: next };
        self.move_change(now, holding, council, amendment, Origin::Own);
    }

    fn move_change(&mut self, now: Mono, holding: Holding, base: &Council, amendment: Amendment, origin: Origin) {
        // A voter that was just restarted accepts nothing for one ttl.
        let patience: Duration = self.config.longest_ttl * 3;
        self.stewardship.motion = Some(Motion::new(amendment, origin, base, now, now + patience));
        self.tell_motion(now, holding);
    }

    /// Nobody agrees for so long: lets others try, and another member be added.
    fn give_up_change(&mut self, now: Mono) {
        let newcomer = self.stewardship.motion.take().as_ref().and_then(Motion::newcomer);
        if let (Some(newcomer), Some(rules)) = (newcomer, self.config.rules) {
            self.stewardship.attendance.distrust(newcomer, now + rules.replace_voter_after);
            self.stewardship.looked = Looked::Before;
        }
        let rest = self.config.ttl + self.jitter(self.config.ttl);
        if let Some(stand) = self.stands.get_mut(&Seat::Steward) {
            stand.rests_until = now + rest;
        }
        self.give_back(now, &Seat::Steward, LostWhy::Resigned);
    }

    fn tell_motion(&mut self, now: Mono, holding: Holding) {
        let repeat_at = now + self.config.ttl / 8;
        let Some(motion) = &mut self.stewardship.motion else { return };
        motion.repeat_at = repeat_at;
        let (amendment, asked) = (motion.amendment.clone(), motion.asked());
        for voter in asked {
            self.send(voter, ElectionMessage::Amend { holding, amendment: amendment.clone() });
        }
    }

    /// The motion under way, if it is the one that is spoken of.
    fn motion(&mut self, base: CouncilId, ballot: Term) -> Option<&mut Motion> {
        let motion = self.stewardship.motion.as_mut();
        motion.filter(|motion| motion.amendment.base == base && motion.amendment.ballot == ballot)
    }

    pub(super) fn take_amended(&mut self, now: Mono, from: NodeId, base: CouncilId, ballot: Term) {
        let Some(motion) = self.motion(base, ballot) else { return };
        if !motion.accepted(from) {
            return;
        }
        if !motion.is_decided() {
            if motion.newcomer() == Some(from) {
                // Now the others.
                motion.repeat_at = now;
            }
            return;
        }
        let (council, old) = (motion.amendment.council.clone(), motion.old.clone());
        if self.adopt(now, &council) {
            self.see_members(now);
            let me = self.config.me;
            let gone = old.into_iter().filter(|voter| !council.contains(*voter));
            for node in council.voters.iter().copied().chain(gone).filter(|node| *node != me) {
                self.send_stored(node, ElectionMessage::Confirm(council.clone()));
            }
        }
    }

    pub(super) fn take_not_amended(&mut self, now: Mono, from: NodeId, base: CouncilId, ballot: Term, reason: Refusal) {
        if self.motion(base, ballot).is_none() {
            return;
        }
        match reason {
            Refusal::StaleCouncil(council) => self.teach_council(now, from, Some(&council)),
            Refusal::NotVoter => self.teach_council(now, from, None),
            Refusal::StaleTerm { term } => {
                if let Some(stand) = self.stands.get_mut(&Seat::Steward) {
                    stand.hear(term);
                }
            }
            // It is asked again.
            Refusal::Held { .. }
            | Refusal::Outranked { .. }
            | Refusal::Settling { .. }
            | Refusal::CannotStore
            | Refusal::TooLong { .. }
            | Refusal::TooManySeats => {}
        }
    }
}

/// What this node does as a voter that is asked by a steward.
impl Election {
    /// What it tells a steward with its grant.
    pub(super) fn minutes(&self) -> Minutes {
        let floor = self.council().map(|council| council.floor).unwrap_or_default();
        Minutes { amendment: self.charter.amendment.clone(), highest: self.voter.highest().max(floor) }
    }

    /// A steward asks for a change to be accepted.
    pub(super) fn answer_amendment(&mut self, now: Mono, holding: Holding, amendment: &Amendment) {
        let (base, ballot, steward) = (amendment.base, amendment.ballot, holding.holder);
        match self.amend(now, holding, amendment) {
            Ok(stored) => {
                match stored {
                    Stored::Accepted => self.persist(),
                    Stored::Again => {}
                }
                self.send_stored(steward, ElectionMessage::Amended { base, ballot });
            }
            // Which council it knows is told only once it is stored: others take it for confirmed.
            Err(reason @ Refusal::StaleCouncil(_)) => {
                self.send_stored(steward, ElectionMessage::NotAmended { base, ballot, reason });
            }
            Err(reason) => self.send(steward, ElectionMessage::NotAmended { base, ballot, reason }),
        }
    }

    fn amend(&mut self, now: Mono, holding: Holding, amendment: &Amendment) -> Result<Stored, Refusal> {
        let me = self.config.me;
        if self.disk.is_failing() {
            return Err(Refusal::CannotStore);
        }
        if let Some(council) = self.council().filter(|council| council.id() == amendment.base && council.contains(me)) {
            if amendment.ballot != holding.term || !self.voter.stands_by(&Seat::Steward, holding) {
                let promised = self.voter.promise(&Seat::Steward);
                return Err(Refusal::StaleTerm { term: promised.map(|it| it.holding.term).unwrap_or_default() });
            }
            let settled = self.council_since + self.config.longest_ttl;
            if council.version != FIRST && settled > now {
                return Err(Refusal::Settling { remaining_ms: millis(settled.since(now)) });
            }
        }
        self.charter.amend(me, amendment)
    }
}
