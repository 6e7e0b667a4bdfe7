//! A few elections on virtual time: a network, disks, clocks that drift, and something like a ring beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::base::{Mono, NodeId, Now, Seat, Term, Wall};
use crate::election::{
    Candidacy, Council, Election, ElectionAction, ElectionConfig, ElectionMessage, GroupRules, RecoverError, View,
};
use crate::records::value::{CouncilFacts, SeatHolder};

pub(super) const MS: u64 = 1000;
const TTL: Duration = Duration::from_secs(2);
/// How long a write takes.
const FSYNC: u64 = 2 * MS;
/// How long the ring takes to see that a member died, or came back.
const NOTICE: u64 = 700 * MS;
const SYNC_EVERY: u64 = 20 * MS;

#[derive(Debug, Clone)]
enum Event {
    Deliver { from: usize, to: usize, msg: ElectionMessage },
    Gossip { to: usize, published: (Seat, SeatHolder, u64) },
    GossipCouncil { to: usize, facts: CouncilFacts, stamp: u64 },
    Written { host: usize, epoch: u64 },
    Timer { host: usize, epoch: u64, number: u64 },
    Look { host: usize },
    Sync,
}

pub(super) struct Host {
    pub(super) id: NodeId,
    pub(super) election: Option<Election>,
    pub(super) suitability: Option<u64>,
    pub(super) eligible: bool,
    pub(super) disk: Option<Bytes>,
    pub(super) disk_fails: bool,
    queue: Vec<(u64, Bytes)>,
    held_back: Vec<(u64, usize, ElectionMessage)>,
    drift_ppm: i64,
    epoch: u64,
    timer: u64,
    /// Whom it takes for dead.
    dead: BTreeSet<usize>,
    pub(super) published: BTreeMap<Seat, (SeatHolder, u64)>,
    council: Option<(CouncilFacts, u64)>,
    ready: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Holding {
    pub(super) host: usize,
    pub(super) term: Term,
    pub(super) since: u64,
    pub(super) until: u64,
}

pub(super) struct World {
    pub(super) at: u64,
    pub(super) hosts: Vec<Host>,
    pub(super) seats: BTreeSet<Seat>,
    pub(super) rules: GroupRules,
    /// Who was ever started: nobody has heard of the others.
    came: BTreeSet<usize>,
    /// Who said goodbye.
    gone: BTreeSet<usize>,
    /// Pairs that never heard of one another.
    pub(super) strangers: BTreeSet<(usize, usize)>,
    /// Whom a person said to be gone for good.
    pub(super) departed: BTreeSet<usize>,
    /// Whether there are two groups that have not heard of each other, or that met just now: each has its holders.
    pub(super) apart: bool,
    pub(super) loss: u32,
    pub(super) duplication: u32,
    pub(super) slow: u64,
    /// Whom no record of others reaches, though it reaches them.
    pub(super) unread: BTreeSet<usize>,
    /// Pairs (from, to) whose messages are lost.
    pub(super) cut: BTreeSet<(usize, usize)>,
    pub(super) holdings: BTreeMap<Seat, Vec<Holding>>,
    pub(super) rng: StdRng,
    events: BTreeMap<(u64, u64), Event>,
    number: u64,
}

impl World {
    pub(super) fn new(seed: u64, size: usize, min_members: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let host = |number: usize, rng: &mut StdRng| Host {
            id: NodeId::from_u128((number as u128 + 1) << 96),
            election: None,
            suitability: None,
            eligible: true,
            disk: None,
            disk_fails: false,
            queue: Vec::new(),
            held_back: Vec::new(),
            drift_ppm: rng.random_range(-9000..=9000),
            epoch: 0,
            timer: 0,
            dead: (0..size).filter(|other| *other != number).collect(),
            published: BTreeMap::new(),
            council: None,
            ready: false,
        };
        let hosts = (0..size).map(|number| host(number, &mut rng)).collect();
        let seats = BTreeSet::from([Seat::Leader]);
        let mut world = Self {
            at: 0,
            hosts,
            seats,
            rules: GroupRules { min_members, council_size: 5, replace_voter_after: Duration::from_secs(60) },
            strangers: BTreeSet::new(),
            came: (0..size).collect(),
            gone: BTreeSet::new(),
            departed: BTreeSet::new(),
            apart: false,
            loss: 0,
            duplication: 0,
            slow: 0,
            unread: BTreeSet::new(),
            cut: BTreeSet::new(),
            holdings: BTreeMap::new(),
            rng,
            events: BTreeMap::new(),
            number: 0,
        };
        world.push(SYNC_EVERY, Event::Sync);
        world
    }

    fn push(&mut self, after: u64, event: Event) {
        self.number += 1;
        self.events.insert((self.at + after, self.number), event);
    }

    fn now(&self, host: usize) -> Now {
        let drift = i128::from(self.hosts[host].drift_ppm);
        let mono = i128::from(self.at) * (1_000_000 + drift) / 1_000_000 + 5_000_000_000 * (host as i128 + 1);
        Now { mono: Mono(u64::try_from(mono).unwrap()), wall: Wall(self.at / MS) }
    }

    /// The first true instant at which the host's clock shows `mono`.
    fn when(&self, host: usize, mono: Mono) -> u64 {
        let drift = i128::from(self.hosts[host].drift_ppm);
        let local = i128::from(mono.0) - 5_000_000_000 * (host as i128 + 1);
        let at = (local * 1_000_000 + 1_000_000 + drift - 1).div_euclid(1_000_000 + drift);
        u64::try_from(at.max(0)).unwrap()
    }

    pub(super) fn start(&mut self, host: usize) {
        self.came.insert(host);
        self.gone.remove(&host);
        let entry = &mut self.hosts[host];
        entry.epoch += 1;
        let config = ElectionConfig {
            me: entry.id,
            group: "redis.default".parse().unwrap(),
            ttl: TTL,
            longest_ttl: TTL,
            rules: Some(self.rules),
            incarnation: entry.epoch,
            seed: self.rng.random(),
        };
        entry.ready = false;
        let disk = entry.disk.clone();
        let now = self.now(host);
        self.hosts[host].election = Some(Election::new(config, disk.as_deref(), now).unwrap());
        self.look_all();
        self.push(NOTICE, Event::Look { host });
    }

    /// Kills a process. Of its writes under way, the first `survivors` reached the disk.
    pub(super) fn crash(&mut self, host: usize, survivors: usize) {
        let entry = &mut self.hosts[host];
        if entry.election.take().is_none() {
            return;
        }
        entry.epoch += 1;
        entry.held_back.clear();
        for (_, state) in std::mem::take(&mut entry.queue).into_iter().take(survivors) {
            entry.disk = Some(state);
        }
        let at = self.at;
        for holding in self.holdings.values_mut().flatten().filter(|holding| holding.host == host) {
            holding.until = holding.until.min(at);
        }
        self.look_all();
    }

    /// Stops a process in good order.
    pub(super) fn leave(&mut self, host: usize) {
        self.resign_all(host);
        self.run_for(100);
        self.gone.insert(host);
        self.crash(host, usize::MAX);
    }

    /// Everybody looks at the ring again once it has noticed what has changed.
    pub(super) fn look_all(&mut self) {
        for host in 0..self.hosts.len() {
            let after = NOTICE - self.rng.random_range(0..NOTICE / 2);
            self.push(after, Event::Look { host });
        }
    }

    fn look(&mut self, host: usize) {
        let alive = |other: usize| {
            let reached = !self.cut.contains(&(host, other)) && !self.cut.contains(&(other, host));
            other == host || (reached && self.hosts[other].election.is_some())
        };
        let dead: BTreeSet<usize> = (0..self.hosts.len()).filter(|other| !alive(*other)).collect();
        self.hosts[host].dead = dead;
        self.hosts[host].ready = true;
        self.show(host);
    }

    /// Gives a host the view that it has of the ring.
    pub(super) fn show(&mut self, host: usize) {
        let now = self.now(host);
        let me = &self.hosts[host];
        let member = |(number, other): (usize, &Host)| {
            let alive = !me.dead.contains(&number);
            (
                other.id,
                Candidacy { alive, present: other.eligible, eligible: other.eligible, suitability: other.suitability },
            )
        };
        let gone: Vec<usize> = self.gone.intersection(&me.dead).copied().collect();
        let there = self.hosts.iter().enumerate().filter(|(number, _)| {
            let is_known = self.came.contains(number) && !self.strangers.contains(&(host, *number));
            is_known && !gone.contains(number) && !self.departed.contains(number)
        });
        let view = View {
            members: there.map(member).collect(),
            gone: self.departed.iter().map(|host| self.hosts[*host].id).collect(),
            departed: gone.iter().map(|host| self.hosts[*host].id).collect(),
            seats: self.seats.clone(),
            ready: me.ready,
            published: me.published.iter().map(|(seat, (holder, _))| (seat.clone(), holder.clone())).collect(),
            published_council: me.council.as_ref().map(|(facts, _)| facts.clone()),
            ring: (0..self.hosts.len())
                .filter(|other| *other != host && !me.dead.contains(other))
                .map(|other| self.hosts[other].id)
                .collect(),
        };
        let view = if self.unread.contains(&host) {
            let members = view.members.into_iter().filter(|(id, _)| *id == me.id).collect();
            View { members, seats: view.seats, ready: view.ready, ring: view.ring, ..View::default() }
        } else {
            view
        };
        self.with(host, |election| election.set_view(now, view));
    }

    pub(super) fn with(&mut self, host: usize, act: impl FnOnce(&mut Election)) {
        let Some(election) = self.hosts[host].election.as_mut() else { return };
        act(election);
        let actions = election.drain();
        for action in actions {
            self.carry_out(host, action);
        }
        self.rearm(host);
    }

    /// A person gives the council up, on that host.
    pub(super) fn recover(&mut self, host: usize) -> Result<(), RecoverError> {
        let now = self.now(host);
        let alive = (0..self.hosts.len()).filter(|other| !self.hosts[host].dead.contains(other));
        let reachable = alive.map(|other| self.hosts[other].id).collect();
        let mut result = Ok(());
        self.with(host, |election| result = election.recover(now, &reachable));
        result
    }

    pub(super) fn resign(&mut self, host: usize) {
        let now = self.now(host);
        self.with(host, |election| election.resign(now, &Seat::Leader));
    }

    pub(super) fn resign_all(&mut self, host: usize) {
        let now = self.now(host);
        self.with(host, |election| election.resign_all(now));
    }

    fn rearm(&mut self, host: usize) {
        let Some(deadline) = self.hosts[host].election.as_ref().and_then(Election::deadline) else { return };
        let after = self.when(host, deadline).saturating_sub(self.at);
        let entry = &mut self.hosts[host];
        entry.timer += 1;
        let (epoch, number) = (entry.epoch, entry.timer);
        self.push(after, Event::Timer { host, epoch, number });
    }

    fn carry_out(&mut self, host: usize, action: ElectionAction) {
        match action {
            ElectionAction::Send { to, msg, after } => {
                let to = self.hosts.iter().position(|other| other.id == to).unwrap();
                match after.filter(|write| self.hosts[host].queue.iter().any(|(queued, _)| queued == write)) {
                    Some(write) => self.hosts[host].held_back.push((write, to, msg)),
                    None => self.transmit(host, to, msg),
                }
            }
            ElectionAction::Persist { write, state } => {
                let epoch = self.hosts[host].epoch;
                self.hosts[host].queue.push((write, state));
                self.push(FSYNC, Event::Written { host, epoch });
            }
            ElectionAction::Held { seat, term, until } => {
                let until = self.when(host, until);
                self.held(host, &seat, term, until);
            }
            ElectionAction::Renewed { seat, term, until } => {
                let until = self.when(host, until);
                self.renewed(host, &seat, term, until);
            }
            ElectionAction::Lost { seat, term, .. } => {
                let at = self.at;
                for holding in self.holdings.entry(seat).or_default() {
                    if holding.host == host && holding.term == term {
                        holding.until = holding.until.min(at);
                    }
                }
            }
            ElectionAction::Publish { seat, holder } => {
                // Of two at one instant the same one is the later for all.
                let stamp = self.at * 16 + host as u64;
                for to in 0..self.hosts.len() {
                    let published = (seat.clone(), holder.clone(), stamp);
                    if to == host {
                        self.push(0, Event::Gossip { to, published });
                    } else if !self.cut.contains(&(host, to)) {
                        let after = self.latency();
                        self.push(after, Event::Gossip { to, published });
                    }
                }
            }
            ElectionAction::PublishCouncil(facts) => {
                let stamp = self.at * 16 + host as u64;
                for to in 0..self.hosts.len() {
                    if to == host || !self.cut.contains(&(host, to)) {
                        let after = self.latency();
                        self.push(after, Event::GossipCouncil { to, facts: facts.clone(), stamp });
                    }
                }
            }
            ElectionAction::StatusChanged => {}
        }
    }

    fn held(&mut self, host: usize, seat: &Seat, term: Term, until: u64) {
        let (at, apart) = (self.at, self.apart);
        let known = self.holdings.entry(seat.clone()).or_default();
        for other in known.iter().filter(|_| !apart) {
            assert!(other.term < term, "{host} holds term {term} at {at}, after {other:?}");
            assert!(other.host == host || other.until <= at, "{host} holds term {term} from {at}, over {other:?}");
        }
        known.push(Holding { host, term, since: at, until });
    }

    fn renewed(&mut self, host: usize, seat: &Seat, term: Term, until: u64) {
        let (at, apart) = (self.at, self.apart);
        let known = self.holdings.entry(seat.clone()).or_default();
        let beside = known.iter().find(|other| other.host != host && other.until > at);
        assert!(apart || beside.is_none(), "{host} renews {term} at {at} beside {beside:?}");
        let last = known.iter_mut().find(|holding| holding.host == host && holding.term == term);
        let last = last.expect("a renewal follows a holding");
        assert!(last.until >= at, "{host} renews {term} at {at}: {last:?}");
        last.until = until;
    }

    fn latency(&mut self) -> u64 {
        MS + self.rng.random_range(0..=self.slow)
    }

    fn transmit(&mut self, from: usize, to: usize, msg: ElectionMessage) {
        if self.cut.contains(&(from, to)) || self.rng.random_range(0..100) < self.loss {
            return;
        }
        if self.rng.random_range(0..100) < self.duplication {
            let after = self.latency() + self.rng.random_range(0..2_000 * MS);
            self.push(after, Event::Deliver { from, to, msg: msg.clone() });
        }
        let after = self.latency();
        self.push(after, Event::Deliver { from, to, msg });
    }

    pub(super) fn run_until(&mut self, at: u64) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= at) {
            self.at = entry.key().0;
            let event = entry.remove();
            self.step(event);
        }
        self.at = at;
    }

    pub(super) fn run_for(&mut self, ms: u64) {
        self.run_until(self.at + ms * MS);
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, msg } => {
                let (now, from) = (self.now(to), self.hosts[from].id);
                self.with(to, |election| election.handle(now, from, msg));
            }
            Event::Gossip { to, published: (seat, holder, stamp) } => {
                let known = self.hosts[to].published.get(&seat).map(|(holder, stamp)| (holder.term, *stamp));
                if self.hosts[to].election.is_some() && known.is_none_or(|known| known < (holder.term, stamp)) {
                    self.hosts[to].published.insert(seat, (holder, stamp));
                    self.show(to);
                }
            }
            Event::GossipCouncil { to, facts, stamp } => {
                let is_news = |(known, at): &(CouncilFacts, u64)| {
                    if known.genesis == facts.genesis { known.version < facts.version } else { *at < stamp }
                };
                if self.hosts[to].election.is_some() && self.hosts[to].council.as_ref().is_none_or(is_news) {
                    self.hosts[to].council = Some((facts, stamp));
                    self.show(to);
                }
            }
            Event::Written { host, epoch } => {
                if self.hosts[host].epoch == epoch {
                    self.written(host);
                }
            }
            Event::Timer { host, epoch, number } => {
                if self.hosts[host].epoch == epoch && self.hosts[host].timer == number {
                    let now = self.now(host);
                    self.with(host, |election| election.tick(now));
                }
            }
            Event::Look { host } => {
                if self.hosts[host].election.is_some() {
                    self.look(host);
                }
            }
            Event::Sync => {
                self.sync();
                self.push(SYNC_EVERY, Event::Sync);
            }
        }
    }

    fn written(&mut self, host: usize) {
        let entry = &mut self.hosts[host];
        let (write, state) = entry.queue.remove(0);
        let ok = !entry.disk_fails;
        if ok {
            entry.disk = Some(state);
        }
        let (ready, held_back) =
            std::mem::take(&mut entry.held_back).into_iter().partition(|(after, _, _)| *after == write);
        entry.held_back = held_back;
        let ready: Vec<(u64, usize, ElectionMessage)> = ready;
        if ok {
            for (_, to, msg) in ready {
                self.transmit(host, to, msg);
            }
        }
        let now = self.now(host);
        self.with(host, |election| election.persisted(now, write, ok));
    }

    /// One host tells another all that it knows.
    fn sync(&mut self) {
        let (from, to) = (self.rng.random_range(0..self.hosts.len()), self.rng.random_range(0..self.hosts.len()));
        if self.hosts[from].election.is_none() || self.cut.contains(&(from, to)) {
            return;
        }
        for (seat, (holder, stamp)) in self.hosts[from].published.clone() {
            self.push(MS, Event::Gossip { to, published: (seat, holder, stamp) });
        }
        if let Some((facts, stamp)) = self.hosts[from].council.clone() {
            self.push(MS, Event::GossipCouncil { to, facts, stamp });
        }
    }

    /// Who holds the leader's seat now.
    pub(super) fn leader(&self) -> Option<Holding> {
        let last = self.holdings.get(&Seat::Leader).and_then(|holdings| holdings.last())?;
        (last.until > self.at).then_some(*last)
    }

    pub(super) fn leader_known_to_all(&self) -> Option<usize> {
        let leader = self.leader()?;
        let id = self.hosts[leader.host].id;
        let knows = |host: &Host| {
            host.election.is_none()
                || host.published.get(&Seat::Leader).is_some_and(|(holder, _)| holder.node == Some(id))
        };
        self.hosts.iter().all(knows).then_some(leader.host)
    }

    /// Runs until all that live know a leader other than `not`, and returns how long that took.
    pub(super) fn until_led(&mut self, not: Option<usize>, limit_ms: u64) -> Option<u64> {
        let begun = self.at;
        while self.at < begun + limit_ms * MS {
            if self.leader_known_to_all().is_some_and(|leader| Some(leader) != not) {
                return Some((self.at - begun) / MS);
            }
            self.run_for(1);
        }
        None
    }

    /// Runs until somebody leads, and returns whether anybody did.
    pub(super) fn leads_within(&mut self, limit_ms: u64) -> bool {
        let ends = self.at + limit_ms * MS;
        while self.leader().is_none() && self.at < ends {
            self.run_for(1);
        }
        self.leader().is_some()
    }

    pub(super) fn why(&self) -> String {
        let status = |host: &Host| host.election.as_ref().map(Election::status);
        let line = |host: &Host| format!("{:?}: {:?} {:?}\n", host.id, status(host), host.published);
        self.hosts.iter().map(line).collect()
    }

    /// Nobody has heard who held a seat.
    pub(super) fn forget(&mut self, seat: &Seat) {
        for host in &mut self.hosts {
            host.published.remove(seat);
        }
        self.events.retain(|_, event| !matches!(event, Event::Gossip { published: (of, ..), .. } if of == seat));
    }

    /// The council that all who live agree on.
    pub(super) fn council(&self) -> Option<Council> {
        let mut councils = self.hosts.iter().filter_map(|host| host.election.as_ref()).map(|it| it.status().council);
        let first = councils.next()??;
        councils.all(|council| council.as_ref() == Some(&first)).then_some(first)
    }

    /// Which hosts vote, if all that live agree on it.
    pub(super) fn voters(&self) -> Option<Vec<usize>> {
        let council = self.council()?;
        Some((0..self.hosts.len()).filter(|host| council.contains(self.hosts[*host].id)).collect())
    }

    /// Runs until these vote and nobody else, and returns how long that took.
    pub(super) fn until_vote(&mut self, voters: &[usize], limit_ms: u64) -> Option<u64> {
        let begun = self.at;
        while self.at < begun + limit_ms * MS {
            if self.voters().as_deref() == Some(voters) {
                return Some((self.at - begun) / MS);
            }
            self.run_for(10);
        }
        None
    }

    /// A ring that nobody has joined yet, of a group that wants one member before it elects.
    pub(super) fn of_latecomers(seed: u64, size: usize) -> Self {
        let mut world = Self::new(seed, size, 1);
        world.came.clear();
        world
    }

    pub(super) fn started(seed: u64, size: usize) -> Self {
        let mut world = Self::new(seed, size, 3);
        for host in 0..size {
            world.start(host);
        }
        world
    }
}
