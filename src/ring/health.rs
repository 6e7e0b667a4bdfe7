//! How well this node keeps up itself (Lifeguard, arXiv 1707.00788: local health).
//!
//! A node that is starved or was paused sees everybody else fall silent: pongs wait in its sockets, or were lost while
//! its machine stood still, and all of its timeouts have passed when it runs again. So it doubts itself first. What
//! speaks against it raises a score: its own timers that fire late, which nobody else can be blamed for; that others
//! suspect it; that none of those whom it asks says anything. Each watch that is answered in time lowers it. The higher
//! the score, the longer it waits for answers, and the longer are the suspicions that it decides.
//!
//! After a standstill time did not pass for this node: what it was waiting for, it waits for again as long as it would
//! have, and it listens for a while before it declares anybody dead whom it just did not hear.
//!
//! A ring without starved nodes is none the slower: at a score of zero nothing is stretched.

use std::time::Duration;

use super::action::{DownHow, RingEvent};
use super::alarm::Alarm;
use super::exchange::Errand;
use super::identity::Identity;
use super::machine::{Cause, Ring, Standing};
use crate::base::Mono;

/// The highest score.
pub(super) const SCORE_MAX: u8 = 8;
/// How far the silence of those who are asked raises the score. A partition looks the same to those in the smaller part,
/// and they must not wait for ever to see that the others are gone.
const SILENCE_MAX: u8 = 2;
/// A standstill of so many ack timeouts is told to people.
const TOLD_FROM: u32 = 5;
/// Most suspects that are asked to speak up after a standstill.
const ASKED_MAX: usize = 8;

/// Whether a node heeds its own health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Awareness {
    /// It does.
    #[default]
    On,
    /// It does not: to measure what that costs.
    Off,
}

/// This node's opinion of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    awareness: Awareness,
    score: u8,
    /// Until when nobody is declared dead for mere silence.
    listens_until: Mono,
}

impl Health {
    pub(super) const fn new(awareness: Awareness) -> Self {
        Self { awareness, score: 0, listens_until: Mono(0) }
    }

    /// From 0, well, to [`SCORE_MAX`].
    pub(super) const fn score(&self) -> u8 {
        self.score
    }

    fn worsen(&mut self, by: u8, most: u8) {
        if self.awareness == Awareness::On && self.score < most {
            self.score = self.score.saturating_add(by).min(most);
        }
    }

    /// A watch was answered in time.
    pub(super) const fn good(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    /// Others took this node for silent, and it refuted that.
    pub(super) fn blamed(&mut self) {
        self.worsen(1, SCORE_MAX);
    }

    /// Nobody who was asked said anything.
    pub(super) fn unanswered(&mut self) {
        self.worsen(1, SILENCE_MAX);
    }

    /// How long to wait for an answer that should come within `length`.
    pub(super) fn stretch(&self, length: Duration) -> Duration {
        length.saturating_mul(u32::from(self.score) + 1)
    }

    /// How long a suspect has to speak up that would have `length`: up to three times as long.
    pub(super) fn patience(&self, length: Duration) -> Duration {
        length.saturating_mul(u32::from(self.score) + 4) / 4
    }
}

/// What a timer that fired so late adds to the score: one for half an ack timeout, and one for each doubling.
fn penalty(late: Duration, ack_timeout: Duration) -> u8 {
    let halves = late.as_micros() * 2 / ack_timeout.as_micros().max(1);
    halves.checked_ilog2().map_or(0, |doublings| u8::try_from(doublings + 1).unwrap_or(SCORE_MAX))
}

/// Whether what follows from this alarm is that somebody was silent.
const fn accuses(alarm: &Alarm) -> bool {
    match alarm {
        Alarm::WatchAgain { .. }
        | Alarm::WatchDue { .. }
        | Alarm::OpinionSecond { .. }
        | Alarm::OpinionEnd { .. }
        | Alarm::Suspicion { .. }
        | Alarm::Doubt { .. }
        | Alarm::Foca(foca::Timer::ProbeRandomMember(_) | foca::Timer::SendIndirectProbe { .. }) => true,
        Alarm::Foca(_) | Alarm::Round(_) | Alarm::Goodbye => false,
    }
}

impl Ring {
    /// How badly this node keeps up: 0 is well, 8 the worst.
    #[must_use]
    pub const fn local_health(&self) -> u8 {
        self.health.score()
    }

    /// Looks how late this node is with its own timers, before it does what they are for.
    pub(super) fn look_at_myself(&mut self, now: Mono) {
        if self.health.awareness == Awareness::Off || self.standing != Standing::Member {
            return;
        }
        let Some(due) = self.alarms.deadline().filter(|due| *due < now) else { return };
        let late = now.since(due);
        self.health.worsen(penalty(late, self.pace.ack_timeout), SCORE_MAX);
        if late >= self.pace.ack_timeout {
            self.wake_up(now, late);
        }
    }

    /// This node stood still for about so long.
    fn wake_up(&mut self, now: Mono, late: Duration) {
        self.health.listens_until = now + self.pace.watch_period;
        self.alarms.postpone(late, accuses);
        // A suspect may have refuted the suspicion meanwhile, which is not gossiped for long.
        let doubted: Vec<(Identity, u16)> = self.swim.suspects().take(ASKED_MAX).collect();
        for (suspect, incarnation) in doubted {
            self.ask_to_refute(suspect, incarnation, Errand::Plead { suspect });
        }
        if late >= self.pace.probe_rtt {
            self.speak_up(now);
        }
        if late >= self.pace.ack_timeout * TOLD_FROM {
            self.event(RingEvent::StoodStill { length: late });
        }
    }

    /// Tells the others that it lives, before they say that they suspect it: what they said meanwhile is lost.
    fn speak_up(&mut self, now: Mono) {
        let suspected = foca::Member::new(self.me, self.swim.incarnation(), foca::State::Suspect);
        self.apply(now, vec![suspected], Cause::Dead(DownHow::Told));
        let result = self.swim.gossip();
        self.take_up(now, result, Cause::Dead(DownHow::Told));
    }

    /// Until when a suspicion that began then is to last, as this node feels now; none if it is over.
    pub(super) fn suspicion_goes_on(&self, now: Mono, began: Mono) -> Option<Mono> {
        let length = self.health.patience(self.profile.suspicion(self.swim.scale()));
        let until = (began + length).max(self.health.listens_until);
        (self.health.awareness == Awareness::On && until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Awareness, Health, SCORE_MAX, SILENCE_MAX, penalty};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_timer_counts_against_this_node_by_how_late_it_is() {
        let ack = Duration::from_millis(200);
        for (late, points) in [(0, 0), (99, 0), (100, 1), (199, 1), (200, 2), (400, 3), (3_000, 5), (3_600_000, 16)] {
            assert_eq!(penalty(Duration::from_millis(late), ack), points, "{late} ms");
        }
    }

    #[test]
    fn the_score_ends_at_its_limits_and_goes_back_one_by_one() {
        let mut health = Health::new(Awareness::On);
        for _ in 0..=SILENCE_MAX {
            health.unanswered();
        }
        assert_eq!(health.score(), SILENCE_MAX, "a partition is not mistaken for a starved node");
        health.worsen(SCORE_MAX, SCORE_MAX);
        assert_eq!(health.score(), SCORE_MAX);
        health.unanswered();
        assert_eq!(health.score(), SCORE_MAX, "and never makes it look better");
        health.good();
        assert_eq!(health.score(), SCORE_MAX - 1);
        for _ in 0..=SCORE_MAX {
            health.good();
        }
        assert_eq!(health.score(), 0);
    }

    #[test]
    fn a_node_that_is_well_waits_no_longer_than_it_has_to() {
        let mut health = Health::new(Awareness::On);
        assert_eq!((health.stretch(SECOND), health.patience(SECOND)), (SECOND, SECOND));
        health.worsen(SCORE_MAX, SCORE_MAX);
        assert_eq!((health.stretch(SECOND), health.patience(SECOND)), (SECOND * 9, SECOND * 3));
    }

    #[test]
    fn without_awareness_nothing_counts() {
        let mut health = Health::new(Awareness::Off);
        health.blamed();
        health.worsen(SCORE_MAX, SCORE_MAX);
        assert_eq!(health.score(), 0);
    }
}
