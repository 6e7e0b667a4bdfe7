//! CLOCK_BOOTTIME and the time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use crate::base::{Mono, Wall};

/// Now, on the clock that leases are told in.
pub fn mono() -> Mono {
    // The clock exists since Linux 2.6.39 and the call cannot fail otherwise. Were it to: time zero never kills a
    // service early, and the timer of the kernel, not this number, is what ends a lease.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Mono(0), |time| Mono(0) + Duration::from(time))
}

/// Now, as people say it.
pub fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
