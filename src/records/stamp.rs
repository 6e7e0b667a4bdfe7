//! Stamps of records, and the clock that they are drawn from.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uhlc::NTP64;

use crate::base::{NodeId, Wall};

/// Which of two versions of a record is the later one: compared field by field, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The term of the writer's seat, for fenced keys; 0 for all others.
    pub term: u64,
    /// The hybrid logical time of writing: NTP64, whose last four bits count writes within one reading of the clock.
    pub time: u64,
    /// The writer.
    pub node: NodeId,
}

impl Stamp {
    /// When it was drawn, by the writer's clock.
    #[must_use]
    pub fn wall(&self) -> Wall {
        to_wall(self.time)
    }

    /// How far ahead of `wall` it was drawn; zero if it was not.
    #[must_use]
    pub fn ahead_of(&self, wall: Wall) -> Duration {
        Duration::from_millis(self.wall().0.saturating_sub(wall.0))
    }
}

/// The bits of a time that count writes within one reading of the clock.
const COUNTER: u64 = (1 << uhlc::CSIZE) - 1;

/// The wall clock's reading as NTP64.
pub(super) fn from_wall(wall: Wall) -> u64 {
    // Seconds beyond 2^32 (the year 2106) do not fit the format; `NTP64::from` would panic on them.
    let last = Duration::from_secs(u64::from(u32::MAX));
    NTP64::from(Duration::from_millis(wall.0).min(last)).as_u64()
}

/// An NTP64 as the wall clock would have read it.
pub(super) fn to_wall(time: u64) -> Wall {
    Wall(u64::try_from(NTP64(time).to_duration().as_millis()).unwrap_or(u64::MAX))
}

/// A hybrid logical clock: follows the wall clock, and never goes back or repeats itself, whatever that does.
///
/// uhlc's own `HLC` reads the time through a plain function pointer, so that it cannot be told the time by a
/// simulator; so only its format is used, and the few lines of its algorithm are here.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The latest time that was drawn or seen.
    last: u64,
}

impl Clock {
    /// A new time, after everything that was drawn or seen before.
    pub(super) fn draw(&mut self, wall: Wall) -> u64 {
        let physical = from_wall(wall) & !COUNTER;
        self.last = physical.max(self.last.saturating_add(1));
        self.last
    }

    /// A stamp of somebody else was seen: what is drawn from now on is later.
    pub(super) fn see(&mut self, time: u64) {
        self.last = self.last.max(time);
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, from_wall, to_wall};
    use crate::base::Wall;

    #[test]
    fn a_clock_never_repeats_itself_nor_goes_back_when_the_wall_clock_does() {
        let mut clock = Clock::default();
        let mut last = 0;
        for wall in [1_000_000, 1_000_000, 2_000_000, 5, 0, 2_000_000, u64::MAX, u64::MAX] {
            let drawn = clock.draw(Wall(wall));
            assert!(drawn > last, "{drawn} after {last}");
            last = drawn;
        }
    }

    #[test]
    fn what_was_seen_is_before_what_is_drawn_next() {
        let mut clock = Clock::default();
        let ahead = from_wall(Wall(9_000_000));
        clock.see(ahead);
        assert!(clock.draw(Wall(1_000_000)) > ahead);
    }

    #[test]
    fn a_stamp_says_the_wall_time_that_it_was_drawn_at() {
        let wall = Wall(1_790_000_000_123);
        let read = to_wall(Clock::default().draw(wall));
        assert!(read.0.abs_diff(wall.0) <= 1, "{read:?} for {wall:?}");
    }
}
