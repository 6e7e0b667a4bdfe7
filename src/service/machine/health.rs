//! What a row of verdicts says of a service's health.

use std::time::Duration;

use super::event::HealthPolicy;
use crate::base::Mono;
use crate::records::value::Health;

/// After a start, checks follow each other this soon at first; the pause doubles from check to check, so that a
/// service that takes a minute to start is not asked a thousand times, up to the interval.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// Health as told, from verdicts as they come.
#[derive(Debug)]
pub(super) struct HealthTrack {
    policy: HealthPolicy,
    health: Health,
    said: String,
    failures: u32,
    started: Mono,
    pause: Duration,
}

impl HealthTrack {
    /// Nothing is known: the process has just started, or was just adopted.
    pub(super) fn new(policy: HealthPolicy, now: Mono) -> Self {
        Self { policy, health: Health::Unknown, said: String::new(), failures: 0, started: now, pause: FIRST_PAUSE }
    }

    pub(super) fn health(&self) -> Health {
        self.health
    }

    pub(super) fn policy(&self) -> HealthPolicy {
        self.policy
    }

    /// What the last check said.
    pub(super) fn said(&self) -> &str {
        &self.said
    }

    /// Takes a verdict. A failure counts once there have been `failures` of them in a row: at once would make one
    /// lost packet take a member out of every load balancer. Right after a start they must also have lasted for as
    /// long as that many intervals, since a service that is not yet up fails its checks.
    pub(super) fn observe(&mut self, verdict: Health, said: String, now: Mono) {
        self.said = said;
        match verdict {
            Health::Ok | Health::Warning => {
                self.failures = 0;
                self.health = verdict;
            }
            Health::Unknown => {
                if self.is_known() {
                    self.health = Health::Unknown;
                }
            }
            Health::Critical => {
                self.failures = self.failures.saturating_add(1);
                let patience = self.policy.interval.saturating_mul(self.policy.failures);
                let starting = self.health == Health::Unknown && now.since(self.started) < patience;
                if self.failures >= self.policy.failures && !starting {
                    self.health = Health::Critical;
                }
            }
        }
    }

    fn is_known(&self) -> bool {
        self.health != Health::Unknown
    }

    /// How long to wait before the next check.
    pub(super) fn pause(&mut self) -> Duration {
        if self.is_known() {
            return self.policy.interval;
        }
        let pause = self.pause.min(self.policy.interval);
        self.pause = self.pause.saturating_mul(2);
        pause
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{FIRST_PAUSE, HealthTrack};
    use crate::base::Mono;
    use crate::records::value::Health::{self, Critical, Ok, Unknown, Warning};
    use crate::service::machine::HealthPolicy;

    const POLICY: HealthPolicy = HealthPolicy { interval: Duration::from_secs(5), failures: 3 };

    fn after(track: &mut HealthTrack, seconds: u64, verdict: Health) -> Health {
        track.observe(verdict, String::new(), Mono(seconds * 1_000_000));
        track.health()
    }

    #[test]
    fn ok_turns_critical_at_the_third_failure_in_a_row_and_back_at_the_first_success() {
        let mut track = HealthTrack::new(POLICY, Mono(0));
        let steps = [
            (Ok, Ok),
            (Critical, Ok),
            (Critical, Ok),
            (Ok, Ok),
            (Critical, Ok),
            (Critical, Ok),
            (Critical, Critical),
            (Warning, Warning),
            (Critical, Warning),
        ];
        for (step, (verdict, expected)) in steps.into_iter().enumerate() {
            assert_eq!(after(&mut track, 1, verdict), expected, "step {step}");
        }
    }

    #[test]
    fn failures_right_after_the_start_leave_health_unknown() {
        let mut track = HealthTrack::new(POLICY, Mono(0));
        for second in 0..15 {
            assert_eq!(after(&mut track, second, Critical), Unknown);
        }
        assert_eq!(after(&mut track, 15, Critical), Critical);
    }

    #[test]
    fn checks_follow_quickly_until_health_is_known_and_then_at_the_interval() {
        let mut track = HealthTrack::new(POLICY, Mono(0));
        let pauses: Vec<_> = (0..4).map(|_| track.pause()).collect();
        assert_eq!(pauses, [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4, FIRST_PAUSE * 8]);
        for _ in 0..20 {
            track.pause();
        }
        assert_eq!(track.pause(), POLICY.interval);
        after(&mut track, 0, Ok);
        assert_eq!(track.pause(), POLICY.interval);
    }

    #[test]
    fn a_check_that_cannot_tell_makes_health_unknown_at_once() {
        let mut track = HealthTrack::new(POLICY, Mono(0));
        after(&mut track, 0, Ok);
        assert_eq!(after(&mut track, 1, Unknown), Unknown);
    }
}
