//! Each node pings its successor.
//!
//! Foca probes members at random: a given member is looked at once per period on average, and one time in twenty not
//! for three periods. Here every member has one watcher, the member before it in the circle of ids, so that it is
//! looked at exactly once per period, by packets half the size. A watcher that dies is noticed by its own watcher,
//! which then watches the next one. Foca's probing goes on beside it, slower: it asks over many ways, and does not
//! depend on a common view of the circle.

use super::alarm::{Alarm, Round};
use super::identity::Identity;
use super::machine::{Ring, Standing};
use super::message::RingDatagram;
use super::view::Entry;
use crate::base::Mono;

impl Ring {
    /// Pings the successor.
    pub(super) fn watch(&mut self, now: Mono) {
        if self.standing != Standing::Member {
            return;
        }
        self.alarms.arm(now + self.pace.watch_period, Round::Watch);
        let successor = self.view.after(self.me.id).find(|entry| entry.member.state.is_active()).map(Entry::identity);
        let Some(target) = successor else { return };
        self.ping(target);
        let wait = self.health.stretch(self.pace.ack_timeout);
        self.alarms.set(now + wait / 2, Alarm::WatchAgain { target, asked: now });
        self.alarms.set(now + wait, Alarm::WatchDue { target, asked: now });
    }

    /// Pings once more: a single lost datagram must not cause a TCP connect.
    pub(super) fn watch_again(&mut self, target: Identity, asked: Mono) {
        if self.is_silent(&target, asked) {
            self.ping(target);
        }
    }

    /// Asks for a second opinion if the successor is silent.
    pub(super) fn watch_due(&mut self, now: Mono, target: Identity, asked: Mono) {
        if self.is_silent(&target, asked) {
            self.open_opinion(now, target);
        } else if self.view.life(&target).is_some_and(|entry| entry.heard_since(asked)) {
            self.health.good();
        }
    }

    /// Whether that life of a member counts as alive, but was not heard since.
    pub(super) fn is_silent(&mut self, target: &Identity, since: Mono) -> bool {
        self.view.life(target).is_some_and(|entry| entry.member.state.is_active() && !entry.heard_since(since))
    }

    fn ping(&mut self, target: Identity) {
        self.send(target.address, RingDatagram::Ping { to: target.id });
    }
}
