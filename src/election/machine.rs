//! The state machine: what comes in, what goes out, and what is due.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::base::{GroupId, Mono, NodeId, Now, Seat};
use crate::records::value::SeatHolder;

use super::action::{ElectionAction, LostWhy};
use super::candidate::{Phase, Stands};
use super::council::{Council, mix};
use super::disk::{Disk, Tellable};
use super::durable::{Durable, ElectionError};
use super::found::Founding;
use super::genesis::Charter;
use super::message::ElectionMessage;
use super::rules::GroupRules;
use super::status::{self, ElectionStatus, SeatStatus};
use super::steward::Stewardship;
use super::view::{Attends, News, View};
use super::voter::{Rules, Voter};

/// How an election is to be held, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ElectionConfig {
    /// This node.
    pub me: NodeId,
    /// The group.
    pub group: GroupId,
    /// For how long this node claims seats.
    pub ttl: Duration,
    /// The longest that anybody claims seats for. As a voter this node lends for no longer, and so knows after a
    /// restart when all that it had lent has run out.
    pub longest_ttl: Duration,
    /// How the group is to be governed; none until its service is loaded here: a node that is back from a restart votes
    /// at once, and neither founds councils nor changes them before it knows how they are wanted.
    pub rules: Option<GroupRules>,
    /// Which run of this node's process it is: different at every start, for ever. A node cannot remember what it
    /// claimed before it crashed; by this its voters can tell.
    pub incarnation: u64,
    /// Seeds the jitter.
    pub seed: u64,
}

/// One node's part in the elections of one group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Election {
    pub(super) config: ElectionConfig,
    pub(super) view: View,
    pub(super) voter: Voter,
    pub(super) charter: Charter,
    pub(super) founding: Founding,
    pub(super) stewardship: Stewardship,
    /// Since when this node knows its council, at the latest: since it was started, if it knew it before.
    pub(super) council_since: Mono,
    /// Whether anybody agreed with that council since this node was started.
    pub(super) council_heard: Heard,
    pub(super) stands: Stands,
    pub(super) standing: Standing,
    pub(super) disk: Disk,
    /// Numbers canvasses and claims, so that answers find what they answer.
    pub(super) round: u64,
    jitter: u64,
    /// What this node says to itself.
    inbox: VecDeque<ElectionMessage>,
    /// What it will have said to itself when a write is on disk.
    waiting: Vec<(u64, ElectionMessage)>,
    actions: Vec<ElectionAction>,
    told: ElectionStatus,
}

/// Whether others go by the council that this node had stored when it was started. While it was away another one may have
/// taken its place, given up by a person for lost; so before its first claim it hears everybody out who votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Heard {
    Not,
    Yes,
}

/// Whether this node stands for seats at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Standing {
    /// For those that it may hold.
    Stands,
    /// It resigned from everything, on its way to a stop, and a view may still show it eligible. Ends with the first
    /// view that does not.
    Withdrawn,
}

/// The rounds that one life of a node has before those of the next begin: days of renewals, where the next life begins at
/// least a millisecond, and so one incarnation, later.
const ROUNDS_PER_LIFE: u64 = 1 << 20;

/// Where the rounds of a life begin: elsewhere than those of the life before, so that an answer to that one which is late,
/// or recorded and sent again, answers nothing that this one asks.
const fn first_round(incarnation: u64) -> u64 {
    incarnation.wrapping_mul(ROUNDS_PER_LIFE)
}

impl Election {
    /// Takes part in a group's elections, with what was persisted last.
    ///
    /// # Errors
    /// If `durable` cannot be read: this node has to stay out of the group's elections then.
    pub fn new(config: ElectionConfig, durable: Option<&[u8]>, now: Now) -> Result<Self, ElectionError> {
        let durable = durable.map(|bytes| Durable::decode(&config.group, bytes)).transpose()?.unwrap_or_default();
        let voter = Voter::restore(durable.promises, now.mono, config.longest_ttl);
        Ok(Self {
            jitter: mix(config.seed),
            round: first_round(config.incarnation),
            config,
            view: View::default(),
            voter,
            charter: durable.charter,
            founding: Founding::default(),
            stewardship: Stewardship::default(),
            council_since: now.mono,
            council_heard: Heard::Not,
            stands: Stands::new(),
            standing: Standing::Stands,
            disk: Disk::default(),
            inbox: VecDeque::new(),
            waiting: Vec::new(),
            actions: Vec::new(),
            told: ElectionStatus::default(),
        })
    }

    /// How the group is to be governed. Heeded from the next view on.
    pub fn set_rules(&mut self, rules: GroupRules) {
        self.config.rules = Some(rules);
    }

    /// What a view that differs from the last one in these members at most would tell it. `head` is such a view without
    /// any members.
    #[must_use]
    pub fn news(&self, head: &View, members: impl Iterator<Item = (NodeId, Attends)>) -> News {
        // Who withdrew waits for the next view, whatever it shows.
        if self.standing != Standing::Stands || !self.view.has_head(head) {
            return News::Matters;
        }
        let matters = |node| node == self.config.me || self.voters().contains(&node) || self.view.holds(node);
        let news = members.filter(|(node, attends)| self.view.is_news(*node, *attends));
        let news = news.map(|(node, _)| if matters(node) { News::Matters } else { News::Bystanders }).max();
        // And so does who founds a council.
        let founds = self.charter.council.is_none() || self.given_up().is_some();
        news.unwrap_or(if founds { News::Bystanders } else { News::Nothing })
    }

    /// The ring shows something else than before.
    pub fn set_view(&mut self, now: Now, mut view: View) {
        let now = now.mono;
        self.expire(now);
        let me = self.config.me;
        if !view.members.get(&me).is_some_and(|member| member.present) {
            self.standing = Standing::Stands;
        }
        // A group that has seats has a council, and a council has a steward.
        if !view.seats.is_empty() {
            view.seats.insert(Seat::Steward);
        }
        let prospects_changed = !self.view.same_prospects(&view);
        self.view = view;
        self.voter.know(now, &self.view);
        self.founding_view(now);
        self.hear_published_council(now);
        self.see_members(now);
        self.hear_published_holders();
        self.leave_lost_seats(now);
        self.leave_outdated_terms(now);
        if prospects_changed {
            self.hurry_all(now);
        }
        self.settle(now);
    }

    /// A message of another member arrived.
    pub fn handle(&mut self, now: Now, from: NodeId, msg: ElectionMessage) {
        self.expire(now.mono);
        if from != self.config.me {
            self.take(now.mono, from, msg);
        }
        self.settle(now.mono);
    }

    /// A write is on disk, or could not be written.
    pub fn persisted(&mut self, now: Now, write: u64, ok: bool) {
        let now = now.mono;
        self.expire(now);
        self.disk.finished(write, ok, now + self.config.ttl / 4);
        if ok {
            let (ready, waiting) =
                std::mem::take(&mut self.waiting).into_iter().partition(|(after, _)| self.disk.is_on_disk(*after));
            self.waiting = waiting;
            let ready: Vec<(u64, ElectionMessage)> = ready;
            self.inbox.extend(ready.into_iter().map(|(_, msg)| msg));
        } else {
            self.waiting.retain(|(after, _)| *after != write);
        }
        self.settle(now);
    }

    /// Gives one seat back. This node stands for it again when nobody else has taken it for a while.
    pub fn resign(&mut self, now: Now, seat: &Seat) {
        self.expire(now.mono);
        if let Some(stand) = self.stands.get_mut(seat) {
            stand.rests_until = now.mono + self.config.ttl * 2;
        }
        self.give_back(now.mono, seat, LostWhy::Resigned);
        self.settle(now.mono);
    }

    /// Gives all seats back, and does not stand again until a view has shown this node not eligible in between.
    pub fn resign_all(&mut self, now: Now) {
        self.expire(now.mono);
        self.standing = Standing::Withdrawn;
        let seats: Vec<Seat> = self.stands.keys().cloned().collect();
        for seat in seats {
            self.give_back(now.mono, &seat, LostWhy::Resigned);
        }
        self.settle(now.mono);
    }

    /// The deadline has come.
    pub fn tick(&mut self, now: Now) {
        self.expire(now.mono);
        self.settle(now.mono);
    }

    /// When [`Self::tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let stands = self.stands.values().filter_map(super::candidate::Stand::deadline);
        let council = self.founding_deadline().into_iter().chain(self.change_deadline());
        stands.chain(council).chain(self.disk.retry_at()).min()
    }

    /// What is to be done, in order.
    pub fn drain(&mut self) -> Vec<ElectionAction> {
        std::mem::take(&mut self.actions)
    }

    /// Who votes, as far as this node knows; nobody before there is a council.
    #[must_use]
    pub fn voters(&self) -> &[NodeId] {
        self.charter.council.as_ref().map_or(&[], |council| &council.voters)
    }

    /// Where the elections stand.
    #[must_use]
    pub fn status(&self) -> ElectionStatus {
        let shown = self.view.seats.iter().filter(|seat| **seat != Seat::Steward);
        let seats = shown.map(|seat| (seat.clone(), self.seat_status(seat))).collect();
        let held =
            self.stands.iter().filter_map(|(seat, stand)| Some((seat.clone(), stand.seated()?.lease.holding.term)));
        ElectionStatus {
            seats,
            council: self.charter.council.clone(),
            change: self.change_status(),
            held: held.collect(),
        }
    }

    /// Says to itself what there is to say, and does what is due, until all is quiet.
    fn settle(&mut self, now: Mono) {
        loop {
            while let Some(msg) = self.inbox.pop_front() {
                self.take(now, self.config.me, msg);
            }
            self.pursue_council(now);
            self.look_at_council(now);
            let seats: Vec<Seat> = self.view.seats.iter().cloned().collect();
            for seat in seats {
                self.pursue(now, &seat);
            }
            self.pursue_change(now);
            self.say_farewells(now);
            if self.inbox.is_empty() {
                break;
            }
        }
        if self.disk.retry_at().is_some_and(|at| at <= now) {
            self.disk.retrying(now + self.config.ttl / 4);
            self.persist();
        }
        let status = self.status();
        if status != self.told {
            self.told = status;
            self.act(ElectionAction::StatusChanged);
        }
    }

    fn take(&mut self, now: Mono, from: NodeId, msg: ElectionMessage) {
        use ElectionMessage as M;
        match msg {
            M::Canvass { seat, term, council, suitability, round, given_back } => {
                self.hear_given_back(now, &seat, given_back);
                self.answer_canvass(now, from, seat, (council, suitability), term, round);
            }
            M::Claim { seat, holding, council, suitability, ttl_ms, round, given_back, claimant } => {
                // A claim speaks for its sender only: whoever relays it would get the grant.
                if holding.holder == from {
                    self.hear_given_back(now, &seat, given_back);
                    let ttl = Duration::from_millis(ttl_ms.into());
                    self.answer_claim(now, seat, (holding, claimant), (council, suitability), ttl, round);
                }
            }
            M::Willing { seat, round } => self.take_willing(now, from, &seat, round),
            M::Grant { seat, term, round, minutes } => {
                self.take_grant(now, from, &seat, (term, round), minutes.map(|minutes| *minutes));
            }
            M::Refuse { seat, round, reason } => self.take_refusal(now, from, &seat, round, reason),
            M::Resign { seat, holding, successor } => self.hear_resign(now, &seat, holding, successor),
            M::Propose(_)
            | M::Accept(_)
            | M::Collides { .. }
            | M::Abandon { .. }
            | M::Abandoned { .. }
            | M::Confirm(_)
            | M::Defunct(_)
            | M::Inquire { .. }
            | M::Unaware { .. } => {
                self.take_founding(now, from, msg);
            }
            M::Amend { holding, amendment } => {
                if holding.holder == from {
                    self.answer_amendment(now, holding, &amendment);
                }
            }
            M::Amended { base, ballot } => self.take_amended(now, from, base, ballot),
            M::NotAmended { base, ballot, reason } => self.take_not_amended(now, from, base, ballot, reason),
        }
    }

    /// What this node's vote goes by.
    pub(super) fn rules(&self) -> Rules<'_> {
        Rules {
            me: self.config.me,
            council: self.charter.council.as_ref(),
            view: &self.view,
            ttl: self.config.ttl,
            longest_ttl: self.config.longest_ttl,
        }
    }

    pub(super) fn act(&mut self, action: ElectionAction) {
        self.actions.push(action);
    }

    /// Sends what rests on nothing that is stored.
    pub(super) fn send(&mut self, to: NodeId, msg: ElectionMessage) {
        if to == self.config.me {
            self.inbox.push_back(msg);
        } else {
            self.act(ElectionAction::Send { to, msg, after: None });
        }
    }

    /// Sends what must not be known before all that was persisted so far is on disk. Nothing, while the disk fails:
    /// whoever waits for it asks again.
    pub(super) fn send_stored(&mut self, to: NodeId, msg: ElectionMessage) {
        let me = self.config.me;
        match self.disk.tellable() {
            Tellable::Never => {}
            Tellable::Now => self.send(to, msg),
            Tellable::After(write) if to == me => self.waiting.push((write, msg)),
            Tellable::After(write) => self.act(ElectionAction::Send { to, msg, after: Some(write) }),
        }
    }

    /// Has all of the state written.
    pub(super) fn persist(&mut self) {
        let write = self.disk.begin();
        let durable = Durable { promises: self.voter.promises(), charter: self.charter.clone() };
        self.act(ElectionAction::Persist { write, state: durable.encode() });
    }

    pub(super) fn council(&self) -> Option<&Council> {
        self.charter.council.as_ref()
    }

    pub(super) fn next_round(&mut self) -> u64 {
        self.round += 1;
        self.round
    }

    /// A random part of `most`. Splitmix64 in place of a generator of the `rand` crate, whose state cannot be compared
    /// and hashed as the model checker does with an election.
    pub(super) fn jitter(&mut self, most: Duration) -> Duration {
        self.jitter = mix(self.jitter);
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).saturating_add(1);
        Duration::from_micros(self.jitter % micros)
    }

    fn hear_published_holders(&mut self) {
        let me = self.config.me;
        for (seat, holder) in self.view.published.clone() {
            if !self.view.seats.contains(&seat) {
                continue;
            }
            let stand = self.stands.entry(seat.clone()).or_default();
            stand.hear(holder.term);
            match stand.seated().map(|seated| seated.lease.holding.term) {
                // What was published is older, or lost.
                Some(term) if holder.term < term => {
                    self.act(ElectionAction::Publish { seat, holder: SeatHolder { node: Some(me), term } });
                }
                // It speaks of a holding that ended when this node crashed.
                None if holder.node == Some(me) => {
                    self.act(ElectionAction::Publish { seat, holder: SeatHolder { node: None, term: holder.term } });
                }
                Some(_) | None => {}
            }
        }
    }

    /// Gives back what it may not hold any more, and drops what it knew of seats that are gone.
    fn leave_lost_seats(&mut self, now: Mono) {
        let seats: Vec<Seat> = self.stands.keys().cloned().collect();
        for seat in seats {
            let has_seat = self.view.seats.contains(&seat);
            let fit = self.view.members.get(&self.config.me).is_some_and(|member| member.is_fit(&seat));
            if !has_seat || !fit {
                self.give_back(now, &seat, LostWhy::NotEligible);
            }
        }
        let gone: BTreeSet<Seat> =
            self.stands.keys().filter(|seat| !self.view.seats.contains(*seat)).cloned().collect();
        for seat in gone {
            // A farewell may still be owed; it is said by then, and the voter keeps the term.
            if self.stands.get(&seat).is_some_and(|stand| stand.farewell.is_none()) {
                self.stands.remove(&seat);
            }
        }
    }

    /// Somebody else is said to hold, or to have held, a seat of this node in its term or a higher one: by the council of
    /// another genesis that was met, and which of the two gives way is found out meanwhile. Whoever goes by terms takes
    /// that one for the newer holder; so the seat is given back, and taken in a higher term if this council goes on.
    fn leave_outdated_terms(&mut self, now: Mono) {
        let me = self.config.me;
        let outdated = |(seat, stand): (&Seat, &super::candidate::Stand)| {
            let held = stand.seated()?.lease.holding.term;
            let holder = self.view.published.get(seat)?;
            // A term that this node gave back it never holds again: even a vacancy in it is somebody else's.
            let is_other = holder.term == held && holder.node != Some(me);
            (is_other || holder.term > held).then(|| seat.clone())
        };
        let seats: Vec<Seat> = self.stands.iter().filter_map(outdated).collect();
        for seat in seats {
            self.give_back(now, &seat, LostWhy::Outdated);
            // Both do so: were they to take it again at once, they would outdo each other until the councils are one.
            let rest = self.config.ttl / 4 + self.jitter(self.config.ttl / 4);
            if let Some(stand) = self.stands.get_mut(&seat) {
                stand.rests_until = now + rest;
            }
        }
    }

    fn seat_status(&self, seat: &Seat) -> SeatStatus {
        let stand = self.stands.get(seat);
        if stand.is_some_and(|stand| stand.seated().is_some()) {
            return status::finished();
        }
        let me = self.config.me;
        let Some(council) = self.council() else {
            let (alive, silent) = (self.view.alive(me), self.view.silent(me));
            let unheard = self.unheard();
            if self.may_propose(&alive) && !unheard.is_empty() {
                return status::inquiring(&unheard);
            }
            let kin = self.kin();
            if !kin.is_empty() {
                return status::unintroduced(&kin);
            }
            return status::without_council(alive.len(), self.min_members(), self.founders(), &silent);
        };
        if self.given_up().is_some() {
            return status::running("the council is given up, and another one is being formed");
        }
        let holder = self.view.published.get(seat).and_then(|holder| holder.node);
        if holder.is_some_and(|node| node != me && self.view.is_alive(node)) {
            return status::finished();
        }
        let missing: Vec<NodeId> =
            council.voters.iter().filter(|id| **id != me && !self.view.is_alive(**id)).copied().collect();
        if council.voters.len() - missing.len() < council.majority() {
            return status::without_quorum(&missing);
        }
        let someone = self.view.members.iter().any(|(id, member)| member.alive && self.view.may_stand(*id, seat));
        match stand.map(|stand| &stand.phase) {
            Some(Phase::Canvassing(_) | Phase::Claiming(_)) => status::running("this member stands for the seat"),
            Some(Phase::Idle | Phase::Waiting { .. } | Phase::Holding(_)) | None if !someone => {
                status::running("no member is eligible")
            }
            Some(Phase::Idle | Phase::Waiting { .. } | Phase::Holding(_)) | None => {
                status::running("waiting for a member to be seated")
            }
        }
    }
}
