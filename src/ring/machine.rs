//! The ring itself: inputs go to the parts, time and foca's effects come together here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use foca::OwnedNotification;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{RngExt, SeedableRng};

use super::action::{DownHow, Member, MemberState, Remembered, RingAction, RingEvent};
use super::alarm::{Alarm, Alarms, Round};
use super::departed::Departed;
use super::exchange::Errand;
use super::health::{Awareness, Health};
use super::identity::Identity;
use super::message::{ActiveMember, RingDatagram};
use super::news::Budget;
use super::opinion::Opinion;
use super::packet::Packet;
use super::profile::{Pace, Profile};
use super::rejoin::Search;
use super::suspicion::Inquiry;
use super::swim::{Effect, Refused, Swim};
use super::view::{Entry, View, Voice};
use crate::base::{Mono, NodeId, Now};

/// What a ring is started with.
#[derive(Clone, Debug)]
pub struct RingConfig {
    /// This node. Its generation must be greater than that of every earlier life.
    pub me: Identity,
    /// The network.
    pub profile: Profile,
    /// Where all of its randomness comes from.
    pub seed: u64,
    /// Members of an earlier life, to be tried.
    pub remembered: Vec<Remembered>,
    /// Whether somebody named peers: a node without any is its own ring until somebody joins it.
    pub has_peers: bool,
    /// Whether it heeds its own health.
    pub awareness: Awareness,
}

/// Whether this node takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does.
    Member,
    /// It said goodbye.
    Left,
    /// Another process has its id, and is newer.
    Usurped,
}

/// Why members go down in the effects that are being taken up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    /// They were found dead.
    Dead(DownHow),
    /// They said goodbye.
    Goodbye,
}

/// Who is alive, as one node sees it.
pub struct Ring {
    pub(super) me: Identity,
    pub(super) profile: Profile,
    pub(super) pace: Pace,
    pub(super) rng: StdRng,
    pub(super) swim: Swim,
    pub(super) view: View,
    pub(super) alarms: Alarms,
    pub(super) actions: Vec<RingAction>,
    pub(super) standing: Standing,
    /// Members in doubt.
    pub(super) opinions: BTreeMap<NodeId, Opinion>,
    /// TCP probes that are under way, by number.
    pub(super) inquiries: BTreeMap<u64, Inquiry>,
    /// Requests that are under way, by number, with whom they went to.
    pub(super) errands: BTreeMap<u64, (Errand, SocketAddr)>,
    pub(super) budget: Budget,
    pub(super) search: Search,
    pub(super) health: Health,
    pub(super) departed: Departed,
    /// A newer life of this node that is said to exist, and was asked whether it does.
    pub(super) doubted: Option<Identity>,
    /// How long until the next comparison of members, if this one brings nothing new.
    pub(super) exchange_interval: Duration,
    numbers: u64,
    met_anybody: bool,
    rejected: u64,
}

impl Ring {
    /// A ring of one, about to look for the others.
    #[must_use]
    pub fn new(config: RingConfig, now: Now) -> Self {
        let RingConfig { me, profile, seed, remembered, has_peers, awareness } = config;
        let mut rng = StdRng::seed_from_u64(seed);
        let pace = profile.pace();
        let mut view = View::default();
        view.put(now.mono, me, MemberState::Alive);
        let mut ring = Self {
            me,
            profile,
            swim: Swim::new(me, profile, StdRng::seed_from_u64(rng.random())),
            rng,
            view,
            alarms: Alarms::default(),
            actions: Vec::new(),
            standing: Standing::Member,
            opinions: BTreeMap::new(),
            inquiries: BTreeMap::new(),
            errands: BTreeMap::new(),
            budget: Budget::new(now.mono),
            search: Search::new(remembered, has_peers, pace.rejoin_soonest),
            health: Health::new(awareness),
            departed: Departed::default(),
            doubted: None,
            exchange_interval: pace.exchange_soonest,
            pace,
            numbers: 0,
            met_anybody: false,
            rejected: 0,
        };
        ring.alarms.arm(now.mono, Round::Rejoin);
        for (round, period) in [
            (Round::Watch, ring.pace.watch_period),
            (Round::Survey, ring.pace.watch_period),
            (Round::Exchange, ring.pace.exchange_soonest),
            (Round::Heal, ring.pace.heal_period),
        ] {
            // Nodes that start together must not go on in step.
            let at = now.mono + period.mul_f64(ring.rng.random());
            ring.alarms.arm(at, round);
        }
        ring
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Now, from: SocketAddr, msg: RingDatagram) {
        let is_ping = matches!(msg, RingDatagram::Ping { .. });
        match self.standing {
            Standing::Member => {}
            // A goodbye may still be on its way: until then, nobody is to raise an alarm about this node.
            Standing::Left if is_ping => {}
            Standing::Left | Standing::Usurped => return,
        }
        let now = now.mono;
        match msg {
            RingDatagram::Foca(bytes) => self.handle_packet(now, from, &bytes),
            RingDatagram::Ping { to } => {
                if to == self.me.id && !self.is_departed_address(from) {
                    let pong = RingDatagram::Pong { from: self.me.id, generation: self.me.generation };
                    self.send(from, pong);
                }
            }
            RingDatagram::Pong { from: id, generation } => {
                let life = self.view.get(id).map(Entry::identity).filter(|life| life.generation == generation);
                if let Some(life) = life {
                    self.hear(now, &life);
                }
            }
            RingDatagram::Hello { me: other } => self.handle_hello(now, from, other),
            RingDatagram::Newer { than_you } => self.doubt(now, than_you),
            RingDatagram::ProbeRequest { about, from: by } => self.handle_probe_request(by, from, about),
            RingDatagram::ProbeAnswer { about, from: by, outcome } => {
                self.handle_probe_answer(now, by, about, outcome);
            }
            RingDatagram::News(news) => self.handle_news(now, from, news),
            RingDatagram::Departed { who } => self.hear_departed(from, who),
        }
    }

    /// Does what is due. After a stall, hand in everything that waits in the sockets before: a member that spoke up
    /// meanwhile must be heard before its suspicion runs out.
    pub fn tick(&mut self, now: Now) {
        self.look_at_myself(now.mono);
        while let Some(alarm) = self.alarms.due(now.mono) {
            self.fire(now, alarm);
        }
    }

    /// When [`Ring::tick`] is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        self.alarms.deadline()
    }

    /// What is to be done, in order.
    #[must_use]
    pub fn drain(&mut self) -> Vec<RingAction> {
        std::mem::take(&mut self.actions)
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> Identity {
        self.me
    }

    /// One member; this node is one, too.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.view.get(id).map(|entry| &entry.member)
    }

    /// All members that are known, the dead and the departed included, by id; this node is one, too.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.view.iter().map(|entry| &entry.member)
    }

    /// The members that count, by id; this node is one, too.
    pub fn alive(&self) -> impl Iterator<Item = &Member> {
        self.view.active().map(|entry| &entry.member)
    }

    /// Where a member is reached.
    #[must_use]
    pub fn address(&self, id: NodeId) -> Option<SocketAddr> {
        self.member(id).map(|member| member.address)
    }

    /// Whether this node has found its ring: it has heard of anybody, or there is nobody to look for.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.met_anybody || !self.search.has_peers
    }

    /// How many packets were dropped because they made no sense.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// How much is kept, for tests and benchmarks to compare: what grows with the ring, and what is under way.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, usize); 6] {
        [
            ("members", self.view.iter().count()),
            ("foca", self.swim.known()),
            ("alarms", self.alarms.len()),
            ("opinions", self.opinions.len()),
            ("inquiries", self.inquiries.len()),
            ("errands", self.errands.len()),
        ]
    }

    fn fire(&mut self, now: Now, alarm: Alarm) {
        match alarm {
            Alarm::Foca(timer) => self.call_back(now.mono, timer),
            Alarm::Round(Round::Watch) => self.watch(now.mono),
            Alarm::Round(Round::Exchange) => self.compare(now.mono),
            Alarm::Round(Round::Heal) => self.heal(now.mono),
            Alarm::Round(Round::Rejoin) => self.rejoin(now.mono),
            Alarm::Round(Round::Survey) => self.survey(now.mono),
            Alarm::WatchAgain { target, asked } => self.watch_again(target, asked),
            Alarm::WatchDue { target, asked } => self.watch_due(now.mono, target, asked),
            Alarm::OpinionSecond { about } => self.ask_again(now.mono, about),
            Alarm::OpinionEnd { about } => self.end_opinion(now.mono, about),
            Alarm::Suspicion { suspect, incarnation, began } => {
                self.suspicion_over(now.mono, suspect, incarnation, began);
            }
            Alarm::Doubt { other } => self.outlive(now.mono, other),
            Alarm::Goodbye => self.say_goodbye_again(now.mono),
        }
    }

    fn handle_packet(&mut self, now: Mono, from: SocketAddr, bytes: &[u8]) {
        let Ok(mut packet) = Packet::decode(bytes) else {
            self.rejected += 1;
            return;
        };
        let src = packet.header.src;
        if src.id == self.me.id {
            self.meet_namesake(src);
            return;
        }
        if self.turn_away(now, from, src.id) || self.correct_older(from, src) {
            return;
        }
        if !self.view.has_room_for(src.id) {
            return self.reject();
        }
        let before = packet.updates.len();
        let mut newest = self.me;
        packet.updates.retain(|update| {
            let other = *update.id();
            if other.is_newer_than(&newest) {
                newest = other;
            }
            let is_over = self.departed.is_over(other.id, update.state());
            !is_over && self.view.has_room_for(other.id) && (other.id != self.me.id || other == self.me)
        });
        if newest != self.me {
            self.doubt(now, newest);
        }
        self.hear(now, &src);
        let refuted = self.swim.incarnation();
        let result = if packet.updates.len() == before {
            self.swim.receive(bytes)
        } else {
            packet.encode().map_err(|_| Refused).and_then(|bytes| self.swim.receive(&bytes))
        };
        self.take_up(now, result, Cause::Dead(DownHow::Told));
        if self.swim.incarnation() > refuted {
            self.health.blamed();
        }
    }

    /// Something is not taken up.
    pub(super) fn reject(&mut self) {
        self.rejected += 1;
    }

    fn call_back(&mut self, now: Mono, timer: foca::Timer<Identity>) {
        let result = self.swim.call_back(timer);
        self.take_up(now, result, Cause::Dead(DownHow::Timeout));
    }

    /// Tells foca of members, and takes up what follows from it.
    pub(super) fn apply(&mut self, now: Mono, members: Vec<foca::Member<Identity>>, cause: Cause) {
        let result = self.swim.apply(members);
        self.take_up(now, result, cause);
    }

    /// Takes up what foca wants done after a call. A call that it refused may have had effects before.
    pub(super) fn take_up(&mut self, now: Mono, result: Result<(), Refused>, cause: Cause) {
        if result.is_err() {
            self.rejected += 1;
        }
        for effect in self.swim.effects() {
            match effect {
                Effect::Send { to, bytes } => {
                    // Foca knows members by id: it may hold an address that we know to be older.
                    let known = self.view.get(to.id).map(Entry::identity).filter(|known| known.is_newer_than(&to));
                    self.send(known.unwrap_or(to).address, RingDatagram::Foca(bytes));
                }
                Effect::Later { after, timer } => match timer {
                    // Foca would handle it without looking whether the member is still suspect, and tell a member that
                    // refuted the suspicion that it is dead; so this timer never comes back to it.
                    foca::Timer::ChangeSuspectToDown { member_id, incarnation, token: _ } => {
                        self.suspect(now, member_id, incarnation);
                    }
                    foca::Timer::ProbeRandomMember(_) | foca::Timer::SendIndirectProbe { .. } => {
                        self.alarms.set(now + self.health.stretch(after), Alarm::Foca(timer));
                    }
                    foca::Timer::PeriodicAnnounce(_)
                    | foca::Timer::PeriodicAnnounceDown(_)
                    | foca::Timer::PeriodicGossip(_)
                    | foca::Timer::RemoveDown(_) => self.alarms.set(now + after, Alarm::Foca(timer)),
                },
                Effect::Notice(notice) => self.take_notice(now, notice, cause),
            }
        }
    }

    fn take_notice(&mut self, now: Mono, notice: OwnedNotification<Identity>, cause: Cause) {
        match notice {
            OwnedNotification::MemberUp(identity) => self.member_up(now, identity),
            OwnedNotification::MemberDown(identity) => self.member_down(now, identity, cause),
            OwnedNotification::Rename(_, new) => self.member_renamed(now, new),
            OwnedNotification::Idle => {
                // Nobody is left: what we suspect of others says more about us.
                self.opinions.clear();
                self.search.restart(self.pace.rejoin_soonest);
                self.alarms.arm(now, Round::Rejoin);
            }
            OwnedNotification::Rejoin(me) => self.new_life(now, me),
            OwnedNotification::Active | OwnedNotification::Defunct => {}
        }
    }

    fn member_up(&mut self, now: Mono, identity: Identity) {
        self.met_anybody = true;
        let known = self.view.get(identity.id).map(|entry| entry.member);
        if known.is_some_and(|member| member.state.is_active() && member.generation == identity.generation) {
            return;
        }
        let before = self.view.put(now, identity, MemberState::Alive);
        let Identity { id, address, generation } = identity;
        let member = Member { id, address, generation, state: MemberState::Alive };
        self.event(RingEvent::Up { member, from_down: before.is_some() });
        if before.is_some_and(|before| before.member.address != address) {
            self.event(RingEvent::Moved { id, address });
        }
    }

    fn member_down(&mut self, now: Mono, identity: Identity, cause: Cause) {
        self.opinions.remove(&identity.id);
        let id = identity.id;
        let (state, event) = match cause {
            Cause::Dead(how) => (MemberState::Down, RingEvent::Down { id, how }),
            Cause::Goodbye => (MemberState::Left, RingEvent::Left { id }),
        };
        if self.view.set_state(now, id, state).is_some() {
            self.event(event);
        }
    }

    /// A newer life of a member took the place of an older one. Whether it is up or down is said separately if it
    /// changed.
    fn member_renamed(&mut self, now: Mono, new: Identity) {
        let Some(old) = self.view.get(new.id).copied() else { return };
        if !old.member.state.is_active() {
            return;
        }
        self.opinions.remove(&new.id);
        self.view.put(now, new, MemberState::Alive);
        if old.member.state == MemberState::Suspect {
            self.event(RingEvent::Refuted { id: new.id, by_tcp: false });
        }
        if old.member.address != new.address {
            self.event(RingEvent::Moved { id: new.id, address: new.address });
        }
    }

    /// This node goes on as a new life.
    pub(super) fn new_life(&mut self, now: Mono, me: Identity) {
        self.me = me;
        self.view.put(now, me, MemberState::Alive);
        self.actions.push(RingAction::Generation(me.generation));
        self.event(RingEvent::Renewed { generation: me.generation });
    }

    /// Something came from that life of a member.
    pub(super) fn hear(&mut self, now: Mono, identity: &Identity) {
        if let Some(entry) = self.view.life(identity) {
            entry.heard = Some(now);
            entry.voice = Voice::Datagrams;
        }
    }

    /// House-keeping, once a period.
    fn survey(&mut self, now: Mono) {
        self.alarms.arm(now + self.pace.watch_period, Round::Survey);
        self.expel_all(now);
        self.follow_suspicions(now);
        self.follow_hearsay(now);
        let result = self.swim.rescale();
        self.take_up(now, result, Cause::Dead(DownHow::Told));
        // Foca heard of the end of members that we never met. They are kept like others, or they would never be
        // forgotten; and a healed partition may be found by them.
        let strangers: Vec<Identity> = self.swim.down().filter(|dead| self.view.get(dead.id).is_none()).collect();
        for identity in strangers.into_iter().filter(|dead| dead.id != self.me.id) {
            self.view.put(now, identity, MemberState::Down);
        }
        for identity in self.view.surplus(now) {
            self.call_back(now, foca::Timer::RemoveDown(identity));
            self.view.remove(&identity);
            self.event(RingEvent::Forgotten { id: identity.id });
        }
        self.remember(now);
    }

    /// This node, as it tells others of itself.
    pub(super) fn myself(&self) -> ActiveMember {
        ActiveMember { identity: self.me, incarnation: self.swim.incarnation() }
    }

    /// Some members other than this node, at random.
    pub(super) fn pick(&mut self, amount: usize, wanted: impl Fn(&Entry) -> bool) -> Vec<Identity> {
        let me = self.me.id;
        let others = self.view.iter().filter(|entry| entry.member.id != me && wanted(entry));
        others.map(Entry::identity).sample(&mut self.rng, amount)
    }

    /// Whether any other member counts.
    pub(super) fn is_alone(&self) -> bool {
        self.view.active().all(|entry| entry.member.id == self.me.id)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn send(&mut self, to: SocketAddr, msg: RingDatagram) {
        self.actions.push(RingAction::Send { to, msg });
    }

    pub(super) fn event(&mut self, event: RingEvent) {
        self.actions.push(RingAction::Event(event));
    }

    pub(super) fn meet_somebody(&mut self) {
        self.met_anybody = true;
    }
}
