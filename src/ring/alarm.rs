//! The one queue of timers, foca's and ours.

use std::collections::BTreeMap;
use std::time::Duration;

use super::identity::Identity;
use crate::base::Mono;

/// Something that is due at some time.
#[derive(Clone, Debug)]
pub(super) enum Alarm {
    /// Foca wants to be called back.
    Foca(foca::Timer<Identity>),
    /// A round that comes again and again.
    Round(Round),
    /// The watched member has not answered the first ping yet: ping once more.
    WatchAgain { target: Identity, asked: Mono },
    /// The watched member should have answered by now.
    WatchDue { target: Identity, asked: Mono },
    /// Those who were asked for an opinion should have answered by now: ask others.
    OpinionSecond { about: Identity },
    /// An opinion that nobody could settle ends.
    OpinionEnd { about: Identity },
    /// The suspect's time is up, if it is still suspect at this incarnation.
    Suspicion { suspect: Identity, incarnation: u16, began: Mono },
    /// Whoever has our id should have answered by now, if it lived.
    Doubt { other: Identity },
    /// Say goodbye once more, to those who did not hear it.
    Goodbye,
}

/// A thing done periodically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Round {
    /// Ping the successor.
    Watch,
    /// Compare members with somebody alive.
    Exchange,
    /// Look whether somebody dead is back.
    Heal,
    /// Look for the ring, or for peers that have not answered yet.
    Rejoin,
    /// House-keeping: bring the view in line with foca, bounds, what is to be remembered.
    Survey,
}

/// Alarms by when they are due; those due at the same time in the order in which they were set.
///
/// Unbounded: foca loses its way if a timer of its own is dropped. What it sets is bounded by its members, and each
/// kind of ours by what it is about.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    queue: BTreeMap<(Mono, u64), Alarm>,
    /// Where in the queue the next of each round is: a round has one alarm at most.
    rounds: BTreeMap<Round, (Mono, u64)>,
    seq: u64,
}

impl Alarms {
    /// Sets an alarm.
    pub(super) fn set(&mut self, at: Mono, alarm: Alarm) {
        self.insert(at, alarm);
    }

    /// Sets when the next of a round is, instead of when it was.
    pub(super) fn arm(&mut self, at: Mono, round: Round) {
        if let Some(old) = self.rounds.remove(&round) {
            self.queue.remove(&old);
        }
        let key = self.insert(at, Alarm::Round(round));
        self.rounds.insert(round, key);
    }

    /// The next alarm that is due.
    pub(super) fn due(&mut self, now: Mono) -> Option<Alarm> {
        let entry = self.queue.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let alarm = entry.remove();
        if let Alarm::Round(round) = &alarm {
            self.rounds.remove(round);
        }
        Some(alarm)
    }

    /// How many are set.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// When the next alarm is due.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Puts off those alarms that are `wanted`, without changing their order.
    pub(super) fn postpone(&mut self, by: Duration, wanted: impl Fn(&Alarm) -> bool) {
        let keys: Vec<(Mono, u64)> =
            self.queue.iter().filter(|(_, alarm)| wanted(alarm)).map(|(key, _)| *key).collect();
        // From the last to the first: a moved one never takes the place of one that is still to be moved.
        for (at, seq) in keys.into_iter().rev() {
            if let Some(alarm) = self.queue.remove(&(at, seq)) {
                if let Alarm::Round(round) = &alarm {
                    self.rounds.insert(*round, (at + by, seq));
                }
                self.queue.insert((at + by, seq), alarm);
            }
        }
    }

    /// Forgets all alarms.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.rounds.clear();
    }

    fn insert(&mut self, at: Mono, alarm: Alarm) -> (Mono, u64) {
        self.seq += 1;
        self.queue.insert((at, self.seq), alarm);
        (at, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Alarm, Alarms, Round};
    use crate::base::Mono;

    #[test]
    fn alarms_are_due_by_time_then_in_the_order_they_were_set() {
        let mut alarms = Alarms::default();
        alarms.arm(Mono(2), Round::Watch);
        alarms.set(Mono(1), Alarm::Goodbye);
        alarms.arm(Mono(1), Round::Heal);
        assert_eq!(alarms.deadline(), Some(Mono(1)));
        assert!(matches!(alarms.due(Mono(1)), Some(Alarm::Goodbye)));
        assert!(matches!(alarms.due(Mono(1)), Some(Alarm::Round(Round::Heal))));
        assert!(alarms.due(Mono(1)).is_none());
        assert!(matches!(alarms.due(Mono(9)), Some(Alarm::Round(Round::Watch))));
    }

    #[test]
    fn what_is_put_off_keeps_its_order_and_the_rest_its_time() {
        let mut alarms = Alarms::default();
        alarms.set(Mono(1), Alarm::Goodbye);
        alarms.arm(Mono(2), Round::Heal);
        alarms.arm(Mono(3), Round::Watch);
        alarms.postpone(Duration::from_micros(5), |alarm| matches!(alarm, Alarm::Goodbye | Alarm::Round(Round::Watch)));
        assert!(matches!(alarms.due(Mono(5)), Some(Alarm::Round(Round::Heal))));
        assert!(alarms.due(Mono(5)).is_none());
        assert!(matches!(alarms.due(Mono(8)), Some(Alarm::Goodbye)));
        alarms.arm(Mono(9), Round::Watch);
        assert_eq!(alarms.deadline(), Some(Mono(9)), "a round that was put off has one alarm still");
    }

    #[test]
    fn a_round_has_one_alarm() {
        let mut alarms = Alarms::default();
        alarms.arm(Mono(1), Round::Watch);
        alarms.arm(Mono(5), Round::Watch);
        assert!(alarms.due(Mono(4)).is_none());
        assert!(alarms.due(Mono(5)).is_some());
        assert_eq!(alarms.deadline(), None);
    }
}
