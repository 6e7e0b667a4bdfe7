//! Finding the ring: at start, after all others were lost, and for ever.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;
use rand::seq::IteratorRandom;

use super::action::{MemberState, Remembered, RingAction};
use super::alarm::Round;
use super::exchange::Errand;
use super::machine::{Ring, Standing};
use super::message::RingDatagram;
use crate::base::{Mono, Now};

/// Most members that are remembered: enough to find one that still lives after years in a drawer.
const REMEMBERED_MAX: usize = 256;
/// Most addresses of peers that are waited for.
const UNMET_MAX: usize = 64;
/// How many members of old are tried at a time.
const TRIED_AT_ONCE: usize = 5;
/// How often members are stored at most. A start with members that are a few seconds old does no harm.
const REMEMBER_EVERY: Duration = Duration::from_secs(5);

/// Where the ring is looked for.
#[derive(Debug)]
pub(super) struct Search {
    /// Whether there are names of peers to be looked up.
    pub(super) has_peers: bool,
    /// Addresses that were asked to be joined and have not answered. They are tried although others answered: each of
    /// them may be in another part of a ring that started in pieces.
    unmet: Vec<SocketAddr>,
    /// Members of an earlier life, and of this one.
    remembered: Vec<Remembered>,
    /// When they were stored last.
    stored: Option<Mono>,
    /// How long until the next attempt.
    interval: Duration,
}

impl Search {
    pub(super) fn new(mut remembered: Vec<Remembered>, has_peers: bool, interval: Duration) -> Self {
        remembered.truncate(REMEMBERED_MAX);
        Self { has_peers, unmet: Vec::new(), remembered, stored: None, interval }
    }

    /// Begins anew, with short intervals.
    pub(super) fn restart(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Whether somebody is looked for at that address.
    pub(super) fn knows(&self, address: SocketAddr) -> bool {
        self.unmet.contains(&address) || self.remembered.iter().any(|remembered| remembered.address == address)
    }

    /// Somebody answered at that address.
    pub(super) fn answered(&mut self, address: SocketAddr) {
        self.unmet.retain(|unmet| *unmet != address);
    }
}

impl Ring {
    /// Joins the ring by these addresses; those of members that are known and active already are passed over.
    pub fn join(&mut self, now: Now, addresses: &[SocketAddr]) {
        if self.standing != Standing::Member {
            return;
        }
        let mut added = false;
        for address in addresses {
            if self.is_met(*address) || self.search.unmet.contains(address) {
                continue;
            }
            if self.search.unmet.len() >= UNMET_MAX {
                self.search.unmet.remove(0);
            }
            self.search.unmet.push(*address);
            self.knock(*address);
            added = true;
        }
        if added {
            self.search.restart(self.pace.rejoin_soonest);
            self.arm_rejoin(now.mono);
        }
    }

    /// Tries those that have not answered yet; and if there is nobody at all, everything.
    pub(super) fn rejoin(&mut self, now: Mono) {
        self.arm_rejoin(now);
        self.search.interval = (self.search.interval * 2).min(self.pace.rejoin_latest);
        let unmet = std::mem::take(&mut self.search.unmet);
        self.search.unmet = unmet.into_iter().filter(|address| !self.is_met(*address)).collect();
        let mut tried = self.search.unmet.clone();
        if self.is_alone() {
            if self.search.has_peers {
                self.actions.push(RingAction::ResolvePeers);
            }
            let of_old = self.search.remembered.iter().map(|remembered| remembered.address);
            let dead = self.view.iter().filter(|entry| entry.member.state == MemberState::Down);
            let candidates: Vec<SocketAddr> = of_old.chain(dead.map(|entry| entry.member.address)).collect();
            tried.extend(candidates.into_iter().sample(&mut self.rng, TRIED_AT_ONCE));
        }
        tried.sort_unstable();
        tried.dedup();
        for address in tried {
            if !self.is_met(address) {
                self.knock(address);
            }
        }
    }

    /// Has the members stored, if they changed and were not stored just before.
    pub(super) fn remember(&mut self, now: Mono) {
        let search = &self.search;
        if search.stored.is_some_and(|stored| now.since(stored) < REMEMBER_EVERY) {
            return;
        }
        // Beginning with our successor: not all nodes of a large ring remember the same few. The dead are kept while
        // there is room, since after a partition they are the ones to be found.
        let others = || self.view.after(self.me.id).map(|entry| entry.member);
        let members: Vec<Remembered> = others()
            .filter(|member| member.state.is_active())
            .chain(others().filter(|member| member.state == MemberState::Down))
            .map(|member| Remembered { id: member.id, address: member.address })
            .take(REMEMBERED_MAX)
            .collect();
        // Whoever has met nobody keeps what it was given.
        if !members.is_empty() && members != search.remembered {
            self.search.remembered.clone_from(&members);
            self.search.stored = Some(now);
            self.actions.push(RingAction::Remember(members));
        }
    }

    /// Introduces this node at an address: by stream, to exchange members; and by datagram, in case that streams do
    /// not get through.
    pub(super) fn knock(&mut self, address: SocketAddr) {
        self.send(address, RingDatagram::Hello { me: self.me });
        let members = self.living(&[]);
        self.exchange_with(address, members, Errand::Join { address });
    }

    /// Whether the address is our own, or that of a member that counts.
    fn is_met(&self, address: SocketAddr) -> bool {
        self.view.active().any(|entry| entry.member.address == address)
    }

    fn arm_rejoin(&mut self, now: Mono) {
        let jitter = self.search.interval.mul_f64(self.rng.random_range(0.75..1.25));
        self.alarms.arm(now + jitter, Round::Rejoin);
    }
}
