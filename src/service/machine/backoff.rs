//! How long to wait before the next start.

use std::time::Duration;

use super::event::RestartPolicy;
use crate::base::Mono;

/// Failed runs in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failed: u32,
}

/// What follows a failed run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Start again after this delay.
    After(Duration),
    /// Leave it: so many runs failed in a row.
    GiveUp(u32),
}

impl Backoff {
    /// A run that began at `up_since` (none: it never got up) has failed.
    pub(super) fn failed(&mut self, policy: &RestartPolicy, up_since: Option<Mono>, now: Mono) -> Next {
        if up_since.is_some_and(|since| now.since(since) >= policy.cooldown) {
            self.failed = 0;
        }
        self.failed = self.failed.saturating_add(1);
        if policy.give_up_after > 0 && self.failed > policy.give_up_after {
            return Next::GiveUp(self.failed);
        }
        let doublings = (self.failed - 1).min(31);
        Next::After(policy.min_backoff.saturating_mul(1 << doublings).min(policy.max_backoff))
    }

    /// A person intervened.
    pub(super) fn reset(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, Next};
    use crate::base::Mono;
    use crate::service::machine::RestartPolicy;

    const POLICY: RestartPolicy = RestartPolicy {
        min_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_millis(500),
        cooldown: Duration::from_secs(60),
        give_up_after: 0,
    };

    #[test]
    fn the_delay_doubles_up_to_its_limit_and_never_overflows() {
        let mut backoff = Backoff::default();
        for expected in [100, 200, 400, 500, 500] {
            assert_eq!(backoff.failed(&POLICY, None, Mono(0)), Next::After(Duration::from_millis(expected)));
        }
        for _ in 0..100 {
            assert_eq!(backoff.failed(&POLICY, None, Mono(0)), Next::After(Duration::from_millis(500)));
        }
    }

    #[test]
    fn being_up_for_the_cooldown_starts_the_delay_over_and_a_moment_less_does_not() {
        let up = |millis: u64| (Some(Mono(0)), Mono(millis * 1000));
        let mut backoff = Backoff::default();
        backoff.failed(&POLICY, None, Mono(0));
        let (since, now) = up(59_999);
        assert_eq!(backoff.failed(&POLICY, since, now), Next::After(Duration::from_millis(200)));
        let (since, now) = up(60_000);
        assert_eq!(backoff.failed(&POLICY, since, now), Next::After(Duration::from_millis(100)));
    }

    #[test]
    fn it_gives_up_one_failure_beyond_the_limit() {
        let policy = RestartPolicy { give_up_after: 2, ..POLICY };
        let mut backoff = Backoff::default();
        assert!(matches!(backoff.failed(&policy, None, Mono(0)), Next::After(_)));
        assert!(matches!(backoff.failed(&policy, None, Mono(0)), Next::After(_)));
        assert_eq!(backoff.failed(&policy, None, Mono(0)), Next::GiveUp(3));
        backoff.reset();
        assert!(matches!(backoff.failed(&policy, None, Mono(0)), Next::After(_)));
    }
}
