//! Deaths and departures, told directly and passed on.
//!
//! Gossip alone carries a death through the ring in several gossip periods. News goes to everybody at once while the
//! ring is small, and to many when it is large; whoever did not know passes it on to a few, so that it crosses a ring
//! of any size in a handful of hops. Gossip goes on beside it, and reaches those who missed it.

use std::net::SocketAddr;

use foca::State;

use super::action::{DownHow, MemberState, RingEvent};
use super::alarm::Alarm;
use super::identity::Identity;
use super::machine::{Cause, Ring, Standing};
use super::message::{News, NewsKind, RingDatagram};
use crate::base::{Mono, Now};

/// How many members are told directly by whoever finds out.
const TOLD_DIRECTLY: usize = 64;
/// How many members are told directly by a node that leaves. More than of a death: it happens once, in quiet, and
/// whoever hears of it by gossip first takes it for a death at first.
const GOODBYES: usize = 512;
/// How many members are told by each that did not know: with 4, 98 of 100 members hear of it within log4(n) hops.
const PASSED_ON_TO: usize = 4;
/// Most news datagrams that may leave at once, and per second. When half of the ring is cut off, each of the other
/// half finds hundreds dead; gossip, which packs dozens into a packet, carries what is over.
const BURST: u32 = 256;

/// How much news may still be sent: refilled with time.
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    refilled: Mono,
}

impl Budget {
    pub(super) fn new(now: Mono) -> Self {
        Self { left: BURST, refilled: now }
    }

    /// How many of `wanted` datagrams may be sent now.
    pub(super) fn take(&mut self, now: Mono, wanted: usize) -> usize {
        let gained = now.since(self.refilled).as_millis() * u128::from(BURST) / 1000;
        if gained > 0 {
            let gained = u32::try_from(gained).unwrap_or(BURST);
            self.left = self.left.saturating_add(gained).min(BURST);
            self.refilled = now;
        }
        let granted = self.left.min(u32::try_from(wanted).unwrap_or(u32::MAX));
        self.left -= granted;
        granted as usize
    }
}

impl Ring {
    /// Says goodbye to all members. The node goes on answering until it is dropped, and never joins again.
    pub fn leave(&mut self, now: Now) {
        if self.standing != Standing::Member {
            return;
        }
        self.standing = Standing::Left;
        // Nobody is probed, asked or looked for any more; what comes in is answered, never taken up.
        self.alarms.clear();
        self.opinions.clear();
        self.view.set_state(now.mono, self.me.id, MemberState::Left);
        self.tell(News { about: self.me, kind: NewsKind::Left }, GOODBYES);
        self.alarms.set(now.mono + self.pace.ack_timeout, Alarm::Goodbye);
    }

    /// Says goodbye once more: datagrams get lost, and a goodbye that is missed looks like a death. Foca's own comes
    /// with it and not before, since it knows only deaths, and would overtake the first goodbye here and there.
    pub(super) fn say_goodbye_again(&mut self, now: Mono) {
        self.tell(News { about: self.me, kind: NewsKind::Left }, GOODBYES);
        let result = self.swim.leave();
        self.take_up(now, result, Cause::Goodbye);
        self.alarms.clear();
    }

    pub(super) fn handle_news(&mut self, now: Mono, from: SocketAddr, news: News) {
        let about = news.about;
        if about.id == self.me.id {
            if about == self.me {
                // We live. The dead cannot be argued with in SWIM: begin a new life.
                self.apply(now, vec![foca::Member::down(about)], Cause::Dead(DownHow::Told));
            }
            if !about.is_newer_than(&self.me) {
                self.send(from, RingDatagram::Hello { me: self.me });
            }
            return;
        }
        let Some(known) = self.view.get(about.id).copied() else { return };
        if known.identity().is_newer_than(&about) {
            return;
        }
        let cause = match news.kind {
            NewsKind::Dead => Cause::Dead(DownHow::Told),
            NewsKind::Left => Cause::Goodbye,
        };
        if known.member.state.is_active() || about.is_newer_than(&known.identity()) {
            let incarnation = self.swim.standing(&about).map_or(0, |(incarnation, _)| incarnation);
            self.apply(now, vec![foca::Member::new(about, incarnation, State::Down)], cause);
        } else if known.member.state == MemberState::Down && news.kind == NewsKind::Left {
            // Gossip of its end overtook its goodbye.
            self.view.set_state(now, about.id, MemberState::Left);
            self.event(RingEvent::Left { id: about.id });
        } else {
            return;
        }
        let allowed = self.budget.take(now, PASSED_ON_TO);
        self.tell(news, allowed);
    }

    /// Tells what this node found out.
    pub(super) fn publish(&mut self, now: Mono, news: News) {
        let allowed = self.budget.take(now, TOLD_DIRECTLY);
        self.tell(news, allowed);
        let result = self.swim.gossip();
        self.take_up(now, result, Cause::Dead(DownHow::Told));
    }

    fn tell(&mut self, news: News, amount: usize) {
        let told = self.pick(amount, |entry| entry.member.state.is_active() && entry.member.id != news.about.id);
        for Identity { address, .. } in told {
            self.send(address, RingDatagram::News(news));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, Budget};
    use crate::base::Mono;

    #[test]
    fn the_budget_grants_a_burst_and_not_one_beyond_until_time_passes() {
        let mut budget = Budget::new(Mono(0));
        assert_eq!(budget.take(Mono(0), BURST as usize + 1), BURST as usize);
        assert_eq!(budget.take(Mono(0), 1), 0);
        assert_eq!(budget.take(Mono(500_000), 1_000), BURST as usize / 2);
        assert_eq!(budget.take(Mono(60_000_000), 1_000), BURST as usize);
    }
}
