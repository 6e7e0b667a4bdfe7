//! The dead-man's switch.
//!
//! A leader's process must be dead when its lease is over, or two leaders take writes. Why a thread of its own: the
//! main loop writes logs, and a disk that hangs (rather than being full) would hold it up for as long. That is just
//! when the supervisor cannot renew its lease either. The guard touches no disk: it sleeps on a timer of the kernel,
//! and kills.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::Pid;

use super::{clock, descent};
use crate::base::Mono;

/// Enough for what the thread calls, and as little as the C library allows.
const STACK_BYTES: usize = 64 * 1024;

/// Watches over the lease of one process group.
pub struct Guard {
    timer: Arc<TimerFd>,
    watch: Arc<Mutex<Watch>>,
}

/// The lease is over: nothing brings the process back.
#[derive(Debug, PartialEq, Eq)]
pub struct LeaseOver;

/// What the guard watches.
#[derive(Debug)]
pub struct Watch {
    /// Whom to kill. `None` as soon as the process was waited for: from then on the number may be somebody else's.
    group: Option<Pid>,
    until: Option<Mono>,
    fired: bool,
}

impl Guard {
    /// Begins to watch over `group`.
    pub fn start(group: Pid, until: Option<Mono>) -> io::Result<Self> {
        let timer = Arc::new(TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC)?);
        let watch = Arc::new(Mutex::new(Watch { group: Some(group), until: None, fired: false }));
        let (its_timer, its_watch) = (Arc::clone(&timer), Arc::clone(&watch));
        thread::Builder::new().name("guard".to_owned()).stack_size(STACK_BYTES).spawn(move || {
            loop {
                // Fails when interrupted only. The time is asked of the clock below, so one round more does no harm.
                its_timer.wait().ok();
                lock(&its_watch).fire_if_due();
            }
        })?;
        let guard = Self { timer, watch };
        // A lease that is over has killed the process, which is all there is to do about it.
        guard.set(until).ok();
        Ok(guard)
    }

    /// Moves the lease's end. Once it has passed, it cannot be moved.
    pub fn set(&self, until: Option<Mono>) -> Result<(), LeaseOver> {
        let mut watch = lock(&self.watch);
        // The old lease first: this call may come after its end, and before the thread has woken up.
        watch.fire_if_due();
        if watch.fired {
            return Err(LeaseOver);
        }
        watch.until = until;
        watch.fire_if_due();
        let set = match until {
            Some(until) => {
                // Zero would disarm the timer.
                let at = TimeSpec::from_duration(Duration::from_micros(until.0.max(1)));
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            }
            None => self.timer.unset(),
        };
        // A timer that cannot be set guards nothing (no kernel is known to do that): better dead than two leaders.
        if set.is_err() && until.is_some() {
            watch.fire();
        }
        if watch.fired { Err(LeaseOver) } else { Ok(()) }
    }

    /// For as long as this is held, the guard kills nobody. To be held while the process is waited for.
    pub fn hold(&self) -> MutexGuard<'_, Watch> {
        lock(&self.watch)
    }

    /// Until when the lease runs.
    pub fn until(&self) -> Option<Mono> {
        lock(&self.watch).until
    }

    /// Whether it was the guard that killed the process.
    pub fn fired(&self) -> bool {
        lock(&self.watch).fired
    }
}

impl Watch {
    /// The process was waited for: its id may be somebody else's from now on.
    pub fn release(&mut self) {
        self.group = None;
    }

    fn fire_if_due(&mut self) {
        if self.until.is_some_and(|until| clock::mono() >= until) {
            self.fire();
        }
    }

    fn fire(&mut self) {
        if let Some(group) = self.group {
            descent::signal_group(group, Signal::SIGKILL);
            self.fired = true;
        }
    }
}

/// A thread that panicked with the lock cannot have left the watch half-written: its fields are independent.
fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}
