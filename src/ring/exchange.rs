//! Push/pull of the membership over streams.
//!
//! Gossip leaves a tail: in a storm of joins, members stay unknown to some for minutes. So whoever joins exchanges
//! members with the node that it joins by; now and then each node compares a hash with a random member, and they
//! exchange what differs; and dead members are tried, so that a healed partition is found. An exchange that brought
//! something new is soon followed by another one.
//!
//! Only members that live are exchanged. A suspicion or a death is one node's belief: spread as truth by every
//! exchange, it would come back after each refutation.

use std::net::SocketAddr;
use std::time::Duration;

use foca::State;
use rand::RngExt;
use rand::seq::IteratorRandom;

use super::action::{DownHow, MemberState, RingAction};
use super::alarm::Round;
use super::identity::Identity;
use super::machine::{Cause, Ring, Standing};
use super::message::{
    ActiveMember, EXCHANGE_MEMBERS_MAX, News, NewsKind, RingDatagram, RingRequest, RingResponse, StreamError,
};
use super::view::{Entry, Voice};
use crate::base::{Mono, Now};

/// Most requests that are under way at a time; the oldest is given up for a new one.
const ERRANDS_MAX: usize = 256;
/// Most members that are told in one exchange that they are taken for dead. In a larger partition each of the many
/// exchanges tells others.
const TOLD_DEAD_MAX: usize = 256;
/// In a ring larger than this the dead are looked for less often by each node, so that the ring as a whole makes about
/// this many attempts per heal period.
const HEALERS: usize = 20;

/// What a request is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Errand {
    /// To join by that address.
    Join { address: SocketAddr },
    /// To compare members with somebody alive.
    Compare,
    /// To tell what the other one lacked, or to look whether a dead member is back: whatever comes is taken.
    Exchange,
    /// To have a suspect that accepted a connect just now refute the suspicion.
    Refute { suspect: Identity },
    /// To have a suspect refute a suspicion that nobody else brings to an end.
    Plead { suspect: Identity },
}

impl Ring {
    /// Answers a request.
    pub fn handle_request(&mut self, now: Now, _from: SocketAddr, msg: RingRequest) -> RingResponse {
        match self.standing {
            Standing::Member => {}
            Standing::Left | Standing::Usurped => return RingResponse::Leaving,
        }
        let now = now.mono;
        let (RingRequest::Compare { from: asker, .. } | RingRequest::Exchange { from: asker, .. }) = &msg;
        let asker = asker.identity;
        if self.note_knock(now, asker.address, asker.id) {
            return RingResponse::Departed;
        }
        match msg {
            RingRequest::Compare { from, digest } => {
                self.meet(now, from);
                if digest == self.digest() {
                    return RingResponse::Same { from: self.myself() };
                }
                RingResponse::Members { from: self.myself(), members: self.living(&[]) }
            }
            RingRequest::Exchange { from, suspected_at, members } => {
                self.meet(now, from);
                if let Some(incarnation) = suspected_at {
                    let suspect = foca::Member::new(self.me, incarnation, State::Suspect);
                    self.apply(now, vec![suspect], Cause::Dead(DownHow::Told));
                }
                let missing = self.living(&members);
                self.learn(now, &members);
                RingResponse::Members { from: self.myself(), members: missing }
            }
        }
    }

    /// Takes what came of a [`RingAction::Request`].
    pub fn handle_response(&mut self, now: Now, request: u64, result: Result<RingResponse, StreamError>) {
        let Some((errand, to)) = self.errands.remove(&request) else { return };
        if self.standing != Standing::Member {
            return;
        }
        let now = now.mono;
        let response = match (result, errand) {
            (Ok(response), _) => response,
            (Err(StreamError::Timeout), Errand::Refute { suspect }) => return self.freeze(now, suspect),
            (Err(_), Errand::Plead { suspect }) => return self.open_opinion(now, suspect),
            // Whoever could not be reached is tried again by the round that tried it.
            (Err(_), _) => return,
        };
        if let Errand::Join { address } = errand {
            self.search.answered(address);
        }
        match response {
            RingResponse::Leaving => {}
            RingResponse::Departed => self.hear_departed(to, self.me.id),
            RingResponse::Same { from } => self.meet(now, from),
            RingResponse::Members { from, members } => {
                self.meet(now, from);
                match errand {
                    Errand::Compare if members.len() < EXCHANGE_MEMBERS_MAX => {
                        let missing = self.living(&members);
                        if missing.iter().any(|member| member.identity.id != from.identity.id) {
                            self.exchange_with(from.identity.address, missing, Errand::Exchange);
                        }
                    }
                    Errand::Compare
                    | Errand::Join { .. }
                    | Errand::Exchange
                    | Errand::Refute { .. }
                    | Errand::Plead { .. } => {}
                }
                self.learn(now, &members);
            }
        }
    }

    /// Compares members with somebody alive.
    pub(super) fn compare(&mut self, now: Mono) {
        self.arm_exchange(now);
        self.exchange_interval = (self.exchange_interval * 2).min(self.pace.exchange_latest);
        for other in self.pick(1, |entry| entry.member.state == MemberState::Alive) {
            let request = RingRequest::Compare { from: self.myself(), digest: self.digest() };
            self.request(other.address, request, Errand::Compare);
        }
    }

    /// Looks whether somebody dead is back: a partition that healed, or a node that forgot its peers. And a suspect, too:
    /// what was gossiped of a suspicion during a short cut never reached it, so that it would not refute it before the
    /// suspicion's time is up.
    pub(super) fn heal(&mut self, now: Mono) {
        let active = u32::try_from(self.view.active().count().div_ceil(HEALERS)).unwrap_or(u32::MAX);
        let period = self.pace.heal_period.saturating_mul(active);
        let jitter = period.mul_f64(self.rng.random_range(0.5..1.5));
        self.alarms.arm(now + jitter, Round::Heal);
        let is_missed = |entry: &Entry| matches!(entry.member.state, MemberState::Down | MemberState::Suspect);
        for missed in self.pick(1, is_missed) {
            if let Some((incarnation, State::Suspect)) = self.swim.standing(&missed) {
                self.ask_to_refute(missed, incarnation, Errand::Exchange);
            } else {
                let members = self.living(&[]);
                self.exchange_with(missed.address, members, Errand::Exchange);
            }
        }
    }

    /// Tells the node at that address whom we know, and asks the same of it.
    pub(super) fn exchange_with(&mut self, to: SocketAddr, members: Vec<ActiveMember>, errand: Errand) {
        let request = RingRequest::Exchange { from: self.myself(), suspected_at: None, members };
        self.request(to, request, errand);
    }

    /// Sends a request.
    pub(super) fn request(&mut self, to: SocketAddr, msg: RingRequest, errand: Errand) {
        while self.errands.len() >= ERRANDS_MAX {
            self.errands.pop_first();
        }
        let request = self.number();
        self.errands.insert(request, (errand, to));
        self.actions.push(RingAction::Request { request, to, msg });
    }

    /// Takes up members that live according to somebody. Returns how many of them are news.
    pub(super) fn learn(&mut self, now: Mono, members: &[ActiveMember]) -> usize {
        let mut news = Vec::new();
        let mut refuted = Vec::new();
        let mut taken_for_dead = Vec::new();
        for ActiveMember { identity, incarnation } in members.iter().take(EXCHANGE_MEMBERS_MAX).copied() {
            if identity.id == self.me.id {
                self.doubt(now, identity);
                continue;
            }
            if self.has_departed(identity.id) {
                continue;
            }
            let member = foca::Member::new(identity, incarnation, State::Alive);
            match self.view.get(identity.id) {
                None if self.view.has_room_for(identity.id) => news.push(member),
                None => self.reject(),
                Some(known) if known.identity() == identity => match known.member.state {
                    MemberState::Suspect => refuted.push(member),
                    MemberState::Down => taken_for_dead.push(identity),
                    MemberState::Alive | MemberState::Left => {}
                },
                Some(known) if identity.is_newer_than(&known.identity()) => news.push(member),
                Some(_) => {}
            }
        }
        // Death is final in SWIM: a member that lives has to hear that it is taken for dead, and begins a new life.
        for about in taken_for_dead.into_iter().sample(&mut self.rng, TOLD_DEAD_MAX) {
            self.send(about.address, RingDatagram::News(News { about, kind: NewsKind::Dead }));
        }
        if !refuted.is_empty() {
            self.apply(now, refuted, Cause::Dead(DownHow::Told));
            self.follow_suspicions(now);
        }
        let count = news.len();
        if count > 0 {
            let result = self.swim.learn(news);
            self.take_up(now, result, Cause::Dead(DownHow::Told));
            self.exchange_soon(now);
        }
        count
    }

    /// Takes up a member that speaks for itself.
    fn meet(&mut self, now: Mono, from: ActiveMember) {
        let identity = from.identity;
        if self.has_departed(identity.id) {
            return;
        }
        self.meet_somebody();
        self.let_in();
        if identity.id == self.me.id {
            // To meet oneself is to be one's own peer.
            if identity != self.me {
                self.meet_namesake(identity);
            }
            return;
        }
        if self.correct_older(identity.address, identity) {
            return;
        }
        self.learn(now, &[from]);
        if let Some(entry) = self.view.life(&identity) {
            entry.heard = Some(now);
            if entry.voice == Voice::Frozen {
                entry.voice = Voice::Datagrams;
            }
        }
    }

    /// The members that live, and that are not among `known`; this node is left out, it speaks for itself. Of a ring
    /// that is larger than a message, a random part.
    pub(super) fn living(&mut self, known: &[ActiveMember]) -> Vec<ActiveMember> {
        let mut known: Vec<_> = known.iter().map(|m| (m.identity.id, m.identity.generation)).collect();
        known.sort_unstable();
        let me = self.me.id;
        let is_missing = |entry: &&Entry| {
            let member = &entry.member;
            let life = (member.id, member.generation);
            member.id != me && member.state == MemberState::Alive && known.binary_search(&life).is_err()
        };
        let missing = self.view.iter().filter(is_missing).map(Entry::identity);
        let missing = missing.sample(&mut self.rng, EXCHANGE_MEMBERS_MAX);
        // Foca's count of refutations is left at zero: whoever hears of a member for the first time starts there, and
        // the member's own packets carry it.
        missing.into_iter().map(|identity| ActiveMember { identity, incarnation: 0 }).collect()
    }

    /// A hash of the lives that count.
    fn digest(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        for Identity { id, generation, .. } in self.view.active().map(Entry::identity) {
            hasher.update(id.as_bytes()).update(&generation.to_le_bytes());
        }
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        u64::from_le_bytes(first)
    }

    /// Something new was learned: there is likely more.
    fn exchange_soon(&mut self, now: Mono) {
        if self.exchange_interval > self.pace.exchange_soonest {
            self.exchange_interval = self.pace.exchange_soonest;
            self.arm_exchange(now);
        }
    }

    fn arm_exchange(&mut self, now: Mono) {
        let jitter: Duration = self.exchange_interval.mul_f64(self.rng.random_range(0.75..1.25));
        self.alarms.arm(now + jitter, Round::Exchange);
    }
}
