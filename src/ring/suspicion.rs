//! Driving doubts about a member to withdrawal or death.
//!
//! A doubt begins with an unanswered ping of ours or a failed probe of foca's. It opens an [`Opinion`]: a TCP connect
//! of our own, and two others that are asked to try. *Somebody is answered*: the member lives, and a suspicion is
//! withdrawn; the suspect is told of it over a stream, so that it refutes the suspicion itself, as SWIM wants it, and
//! other nodes see it alive again, too. *Everybody is refused*: it is dead, at once. *Neither*: it becomes suspect
//! and has the suspicion's time to speak up.

use std::net::SocketAddr;

use foca::State;

use super::action::{DownHow, MemberState, RingAction, RingEvent};
use super::alarm::Alarm;
use super::exchange::Errand;
use super::identity::Identity;
use super::machine::{Cause, Ring, Standing};
use super::message::{News, NewsKind, ProbeOutcome, RingDatagram};
use super::opinion::{Opinion, Verdict};
use super::view::{Entry, Voice};
use crate::base::{Mono, NodeId, Now};

/// Most members that this node doubts at a time. When more fall silent the network has failed, not they: TCP has
/// nothing to add, and the suspicions' timeouts decide.
const OPINIONS_MAX: usize = 16;
/// Most TCP probes that are under way at a time, those for others included.
const INQUIRIES_MAX: usize = 64;
/// How many others are asked at a time.
const ASKED: usize = 2;

/// What a TCP probe is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Inquiry {
    /// An opinion of this node.
    Own { about: Identity },
    /// Another node asked.
    For { about: Identity, by: SocketAddr },
}

impl Ring {
    /// Takes what came of a [`RingAction::Probe`].
    pub fn handle_probe(&mut self, now: Now, probe: u64, outcome: ProbeOutcome) {
        match self.inquiries.remove(&probe) {
            Some(Inquiry::Own { about }) => {
                let outcome = self.testimony(&about, outcome);
                if let Some(opinion) = self.opinion(&about) {
                    opinion.own = Some(outcome);
                    self.review(now.mono);
                }
            }
            Some(Inquiry::For { about, by }) => {
                let outcome = self.testimony(&about, outcome);
                let answer = RingDatagram::ProbeAnswer { about, from: self.me.id, outcome };
                self.send(by, answer);
            }
            None => {}
        }
    }

    pub(super) fn handle_probe_request(&mut self, by: NodeId, from: SocketAddr, about: Identity) {
        // Members only, about members only: nobody may use us to scan a network.
        let knows = |id| self.member(id).is_some_and(|member| member.state.is_active());
        if knows(by) && self.view.life(&about).is_some() {
            self.inquire(about, Inquiry::For { about, by: from });
        }
    }

    pub(super) fn handle_probe_answer(&mut self, now: Mono, by: NodeId, about: Identity, outcome: ProbeOutcome) {
        let outcome = self.testimony(&about, outcome);
        let Some(opinion) = self.opinion(&about) else { return };
        if let Some(slot) = opinion.asked.get_mut(&by) {
            *slot = Some(outcome);
            self.review(now);
        }
    }

    /// What a connect says of a member. One that another node answers, which has come to the same address since and
    /// was heard, says that the member is gone as well as a refusal does.
    fn testimony(&self, about: &Identity, outcome: ProbeOutcome) -> ProbeOutcome {
        let came_later = |entry: &Entry| {
            let other = entry.member;
            let is_there = other.address == about.address && other.id != about.id && entry.heard.is_some();
            is_there && other.generation > about.generation
        };
        match outcome {
            ProbeOutcome::Answered if self.view.active().any(came_later) => ProbeOutcome::Refused,
            ProbeOutcome::Answered | ProbeOutcome::Refused | ProbeOutcome::NoAnswer => outcome,
        }
    }

    /// Begins to doubt a member.
    pub(super) fn open_opinion(&mut self, now: Mono, about: Identity) {
        let full = self.opinions.len() >= OPINIONS_MAX;
        if full || self.standing != Standing::Member || self.opinion(&about).is_some() {
            return;
        }
        self.opinions.insert(about.id, Opinion::new(about, now));
        self.inquire(about, Inquiry::Own { about });
        self.ask_others(about);
        self.alarms.set(now + self.pace.ack_timeout * 2, Alarm::OpinionSecond { about });
        let end = now + self.profile.probe_timeout() + self.pace.ack_timeout * 2;
        self.alarms.set(end, Alarm::OpinionEnd { about });
    }

    /// Whoever was asked and is silent may be dead as well, or the datagram was lost: asks others.
    pub(super) fn ask_again(&mut self, now: Mono, about: Identity) {
        let Some(opinion) = self.opinion(&about) else { return };
        let (started, silent) = (opinion.started, opinion.silent().collect::<Vec<_>>());
        for id in silent {
            let Some(witness) = self.view.get(id).map(Entry::identity) else { continue };
            if self.is_silent(&witness, started) {
                self.open_opinion(now, witness);
            }
        }
        self.ask_others(about);
        self.review(now);
    }

    /// Nobody could settle it: unless it was heard meanwhile, the member becomes suspect, and time decides.
    pub(super) fn end_opinion(&mut self, now: Mono, about: Identity) {
        let Some(opinion) = self.opinion(&about) else { return };
        let started = opinion.started;
        let nobody_answers = opinion.asked.len() >= ASKED && opinion.silent().count() == opinion.asked.len();
        self.opinions.remove(&about.id);
        if nobody_answers {
            self.health.unanswered();
        }
        if !self.is_silent(&about, started) {
            return;
        }
        let Some((incarnation, state)) = self.swim.standing(&about) else { return };
        if state == State::Alive {
            let suspect = foca::Member::new(about, incarnation, State::Suspect);
            self.apply(now, vec![suspect], Cause::Dead(DownHow::Told));
        }
        self.begin_suspicion(now, about, incarnation);
        self.show_suspect(now, about.id);
    }

    /// Foca suspects a member: its probe failed, directly and by others.
    pub(super) fn suspect(&mut self, now: Mono, suspect: Identity, incarnation: u16) {
        self.begin_suspicion(now, suspect, incarnation);
        let Some(entry) = self.view.life(&suspect) else { return };
        match entry.voice {
            Voice::Datagrams | Voice::Frozen => self.show_suspect(now, suspect.id),
            // Datagrams do not get through, which was said before; it is in doubt only if streams do not either.
            Voice::Streams { .. } => {}
        }
        self.open_opinion(now, suspect);
    }

    /// The suspect's time is up. It is dead unless it refuted the suspicion or answered somebody since.
    pub(super) fn suspicion_over(&mut self, now: Mono, suspect: Identity, incarnation: u16, began: Mono) {
        let until = self.suspicion_goes_on(now, began);
        let Some(entry) = self.view.life(&suspect) else { return };
        if let Some(until) = until {
            self.alarms.set(until, Alarm::Suspicion { suspect, incarnation, began });
            return;
        }
        if entry.suspected_at == Some(incarnation) {
            entry.suspected_at = None;
        }
        let answered = matches!(entry.voice, Voice::Streams { answered } if answered >= began);
        if !answered && self.swim.standing(&suspect) == Some((incarnation, State::Suspect)) {
            self.condemn(now, suspect, DownHow::Timeout);
            self.review(now);
        }
    }

    /// Brings the view in line with suspicions and refutations that came by gossip, of which foca gives no notice.
    pub(super) fn follow_suspicions(&mut self, now: Mono) {
        let suspects: Vec<Identity> = self.swim.suspects().map(|(suspect, _)| suspect).collect();
        for identity in suspects {
            match self.view.life(&identity).map(|entry| entry.voice) {
                Some(Voice::Datagrams | Voice::Frozen) => self.show_suspect(now, identity.id),
                Some(Voice::Streams { .. }) | None => {}
            }
        }
        let is_suspect = |entry: &&Entry| entry.member.state == MemberState::Suspect;
        let shown: Vec<Identity> = self.view.iter().filter(is_suspect).map(Entry::identity).collect();
        for identity in shown {
            let lives = matches!(self.swim.standing(&identity), Some((_, State::Alive)));
            if lives && self.view.set_state(now, identity.id, MemberState::Alive).is_some() {
                self.event(RingEvent::Refuted { id: identity.id, by_tcp: false });
            }
        }
    }

    /// A member accepted a connect but did not answer what was asked over it: its process is stopped or stuck. The
    /// machine's word does not count for it until it is heard itself.
    pub(super) fn freeze(&mut self, now: Mono, identity: Identity) {
        let Some(entry) = self.view.life(&identity) else { return };
        entry.voice = Voice::Frozen;
        if let Some((incarnation, State::Suspect)) = self.swim.standing(&identity) {
            self.begin_suspicion(now, identity, incarnation);
            self.show_suspect(now, identity.id);
        }
    }

    /// Settles every opinion that can be settled. A death takes a witness away, which may settle another.
    fn review(&mut self, now: Mono) {
        loop {
            let settled = self.opinions.values().find_map(|opinion| {
                match opinion.verdict(|| self.witnesses(&opinion.about).next().is_some()) {
                    Verdict::Open => None,
                    verdict @ (Verdict::Lives | Verdict::Dead) => Some((opinion.clone(), verdict)),
                }
            });
            let Some((opinion, verdict)) = settled else { return };
            self.opinions.remove(&opinion.about.id);
            if verdict == Verdict::Dead {
                self.condemn(now, opinion.about, DownHow::Refused);
            } else {
                self.acquit(now, &opinion);
            }
        }
    }

    fn acquit(&mut self, now: Mono, opinion: &Opinion) {
        let about = opinion.about;
        let Some(entry) = self.view.life(&about) else { return };
        match entry.voice {
            Voice::Frozen => return,
            Voice::Datagrams | Voice::Streams { .. } => entry.voice = Voice::Streams { answered: now },
        }
        if entry.member.state == MemberState::Suspect {
            self.view.set_state(now, about.id, MemberState::Alive);
            self.event(RingEvent::Refuted { id: about.id, by_tcp: true });
        }
        if let Some((incarnation, State::Suspect)) = self.swim.standing(&about)
            && opinion.own == Some(ProbeOutcome::Answered)
        {
            self.ask_to_refute(about, incarnation, Errand::Refute { suspect: about });
        }
    }

    /// Declares a member dead, and tells everybody, itself included: should it live, it has to begin a new life.
    fn condemn(&mut self, now: Mono, dead: Identity, how: DownHow) {
        let incarnation = self.swim.standing(&dead).map_or(0, |(incarnation, _)| incarnation);
        self.apply(now, vec![foca::Member::new(dead, incarnation, State::Down)], Cause::Dead(how));
        let news = News { about: dead, kind: NewsKind::Dead };
        self.publish(now, news);
        self.send(dead.address, RingDatagram::News(news));
    }

    pub(super) fn begin_suspicion(&mut self, now: Mono, suspect: Identity, incarnation: u16) {
        let length = self.health.patience(self.profile.suspicion(self.swim.scale()));
        let Some(entry) = self.view.life(&suspect) else { return };
        // Foca says it again with each failed probe; the first one counts.
        if entry.suspected_at != Some(incarnation) {
            entry.suspected_at = Some(incarnation);
            self.alarms.set(now + length, Alarm::Suspicion { suspect, incarnation, began: now });
        }
    }

    fn show_suspect(&mut self, now: Mono, id: NodeId) {
        if self.member(id).is_some_and(|member| member.state == MemberState::Alive) {
            self.view.set_state(now, id, MemberState::Suspect);
            self.event(RingEvent::Suspect { id });
        }
    }

    /// Who else could testify, by id: members that count, but those that this node was refused by itself.
    fn witnesses(&self, about: &Identity) -> impl Iterator<Item = NodeId> {
        let gone =
            |id: &NodeId| self.opinions.get(id).is_some_and(|opinion| opinion.own == Some(ProbeOutcome::Refused));
        let others = self.view.active().map(|entry| entry.member.id);
        others.filter(move |id| *id != self.me.id && *id != about.id && !gone(id))
    }

    fn ask_others(&mut self, about: Identity) {
        let witnesses: Vec<NodeId> = self.witnesses(&about).collect();
        let asked: Vec<NodeId> = self.opinion(&about).map_or(Vec::new(), |o| o.asked.keys().copied().collect());
        let chosen = self.pick(ASKED, |entry| {
            witnesses.binary_search(&entry.member.id).is_ok() && !asked.contains(&entry.member.id)
        });
        for witness in chosen {
            self.send(witness.address, RingDatagram::ProbeRequest { about, from: self.me.id });
            if let Some(opinion) = self.opinion(&about) {
                opinion.asked.insert(witness.id, None);
            }
        }
    }

    fn inquire(&mut self, about: Identity, inquiry: Inquiry) {
        if self.inquiries.len() < INQUIRIES_MAX {
            let probe = self.number();
            self.inquiries.insert(probe, inquiry);
            self.actions.push(RingAction::Probe { probe, to: about.address });
        }
    }

    fn opinion(&mut self, about: &Identity) -> Option<&mut Opinion> {
        self.opinions.get_mut(&about.id).filter(|opinion| opinion.about == *about)
    }
}
