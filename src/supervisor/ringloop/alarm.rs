//! A timer on `CLOCK_BOOTTIME`: the clock of the node's deadlines. Those of tokio stand still while a machine is
//! suspended, and tick in milliseconds.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::base::Mono;

/// Goes off at an instant.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: AsyncFd<Timer>,
    set: Option<Mono>,
}

/// The kernel's timer, as tokio wants to see it.
#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = Timer(TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?);
        #[expect(
            deprecated,
            reason = "its successor is unsafe to call; what it asks for holds: a Timer owns its descriptor"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self { timer, set: None })
    }

    /// From now on it goes off at `at`, and at no other time.
    pub(super) fn set(&mut self, at: Option<Mono>) -> io::Result<()> {
        if self.set == at {
            return Ok(());
        }
        match at {
            Some(at) => {
                // An instant of zero would disarm it; one microsecond after boot is long past, too.
                let at = Duration::from_micros(at.0.max(1));
                let at = TimeSpec::from_duration(at);
                self.timer.get_ref().0.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            None => self.timer.get_ref().0.unset()?,
        }
        self.set = at;
        Ok(())
    }

    /// Waits until it goes off. Cancel safe.
    pub(super) async fn rings(&mut self) -> io::Result<()> {
        let mut ready = self.timer.readable().await?;
        // Reading the number of expirations makes it unreadable again. That there is none is a wake-up for nothing.
        match ready.try_io(|timer| timer.get_ref().0.wait().map_err(io::Error::from)) {
            Ok(Ok(())) => self.set = None,
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Alarm;
    use crate::base::Mono;
    use crate::supervisor::clock;

    async fn rings_by(alarm: &mut Alarm, at: Mono) {
        while clock::now().mono < at {
            tokio::time::timeout(Duration::from_secs(5), alarm.rings()).await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn it_goes_off_at_its_instant_and_not_before() {
        let mut alarm = Alarm::new().unwrap();
        let at = clock::now().mono + Duration::from_millis(20);
        alarm.set(Some(at)).unwrap();
        rings_by(&mut alarm, at).await;
        assert!(clock::now().mono >= at);
    }

    #[tokio::test]
    async fn an_instant_that_is_past_goes_off_at_once_and_a_later_one_replaces_an_earlier() {
        let mut alarm = Alarm::new().unwrap();
        alarm.set(Some(Mono(0))).unwrap();
        tokio::time::timeout(Duration::from_secs(5), alarm.rings()).await.unwrap().unwrap();
        alarm.set(Some(clock::now().mono + Duration::from_secs(3600))).unwrap();
        let at = clock::now().mono + Duration::from_millis(10);
        alarm.set(Some(at)).unwrap();
        rings_by(&mut alarm, at).await;
    }

    #[tokio::test]
    async fn one_that_is_not_set_stays_silent() {
        let mut alarm = Alarm::new().unwrap();
        alarm.set(Some(clock::now().mono + Duration::from_millis(5))).unwrap();
        alarm.set(None).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(50), alarm.rings()).await.is_err());
    }
}
