//! A node's own clocks. They run on true time with a drift, and begin anywhere.

use std::time::Duration;

use crate::base::{Mono, Now, Wall};

/// True time in microseconds since the run began. Only the simulator knows it.
pub(super) type True = u64;

const MILLION: u128 = 1_000_000;
/// Any date will do; this one is plausible, so that stamps look as they do in life.
const EPOCH_MS: u64 = 1_790_000_000_000;

/// How one machine's clocks differ from true time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// Where the monotonic clock stood when the run began, in microseconds.
    pub(super) offset_us: u64,
    /// How much faster than true time it runs, in millionths.
    pub(super) drift_ppm: i64,
    /// How far ahead the time of day is, in milliseconds.
    pub(super) skew_ms: i64,
}

impl Clock {
    pub(super) fn now(&self, at: True) -> Now {
        let ran = self.scaled(at);
        let wall = i64::try_from(EPOCH_MS + at / 1000).unwrap_or(i64::MAX).saturating_add(self.skew_ms);
        Now { mono: Mono(self.offset_us + ran), wall: Wall(u64::try_from(wall).unwrap_or(0)) }
    }

    /// The first true time at which this clock shows at least `mono`.
    pub(super) fn when(&self, mono: Mono) -> True {
        let ran = u128::from(mono.0.saturating_sub(self.offset_us));
        let guess = u64::try_from((ran * MILLION).div_ceil(self.rate())).unwrap_or(u64::MAX);
        // Rounding of the two directions may differ by one.
        if self.scaled(guess) + self.offset_us < mono.0 { guess.saturating_add(1) } else { guess }
    }

    fn scaled(&self, at: True) -> u64 {
        u64::try_from(u128::from(at) * self.rate() / MILLION).unwrap_or(u64::MAX)
    }

    fn rate(&self) -> u128 {
        u128::try_from(1_000_000 + self.drift_ppm).unwrap_or(MILLION)
    }
}

/// Microseconds of a duration.
pub(super) fn us(duration: Duration) -> True {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use crate::base::Mono;

    #[test]
    fn a_deadline_is_reached_at_the_time_that_the_clock_names_and_not_before() {
        for drift_ppm in [-9_000, 0, 9_000] {
            let clock = Clock { offset_us: 12_345, drift_ppm, skew_ms: 0 };
            for mono in [12_345, 12_346, 1_000_000, 77_777_777] {
                let at = clock.when(Mono(mono));
                assert!(clock.now(at).mono >= Mono(mono));
                assert!(at == 0 || clock.now(at - 1).mono < Mono(mono));
            }
        }
    }
}
