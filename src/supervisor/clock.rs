//! The clocks of this machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use crate::base::{Mono, Now, Wall};

/// Both clocks now. `mono` is `CLOCK_BOOTTIME`: a machine that was suspended knows that time has passed.
#[must_use]
pub(super) fn now() -> Now {
    // Linux has this clock since 2.6.39, and the call has no other way to fail.
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { mono: Mono(0) + boot, wall: Wall(0) + day }
}
