//! Requests that were refused for who asked: counted, and told to the log, once a minute at most.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the log is told: whoever knocks may knock a thousand times a second.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Nobody said who asks.
    NoToken,
    /// What was presented is no token, or one that gives no access.
    WrongToken,
    /// The role does not suffice.
    Role,
    /// Another user, through the local socket.
    OtherUser,
}

impl Refused {
    const ALL: [Self; 4] = [Self::NoToken, Self::WrongToken, Self::Role, Self::OtherUser];

    const fn as_str(self) -> &'static str {
        match self {
            Self::NoToken => "no-token",
            Self::WrongToken => "wrong-token",
            Self::Role => "role",
            Self::OtherUser => "other-user",
        }
    }
}

#[derive(Debug, Default)]
struct Told {
    at: Option<Instant>,
    /// How many were not told since.
    since: u64,
}

/// What was refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    counts: [AtomicU64; Refused::ALL.len()],
    told: Mutex<Told>,
}

impl Refusals {
    /// Notes one. What was presented is in no log.
    pub(super) fn note(&self, why: Refused, from: &str, path: &str) {
        self.counts[why as usize].fetch_add(1, Ordering::Relaxed);
        let untold = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.at.is_some_and(|at| at.elapsed() < TELL_EVERY) {
                told.since += 1;
                return;
            }
            told.at = Some(Instant::now());
            std::mem::take(&mut told.since)
        };
        tracing::warn!(from, path, reason = why.as_str(), untold, "a request was refused for who asked");
    }

    /// As Prometheus reads it.
    pub(super) fn metrics(&self) -> String {
        let name = "sup_api_refused_total";
        let mut text = format!("# HELP {name} Requests refused for who asked, by reason.\n# TYPE {name} counter\n");
        for why in Refused::ALL {
            let count = self.counts[why as usize].load(Ordering::Relaxed);
            // Writing to a string does not fail.
            writeln!(text, "{name}{{reason=\"{}\"}} {count}", why.as_str()).ok();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Refusals, Refused};

    #[test]
    fn all_refusals_are_counted_and_few_are_told() {
        let refusals = Refusals::default();
        for _ in 0..3 {
            refusals.note(Refused::WrongToken, "192.0.2.1:1", "/v1/node");
        }
        refusals.note(Refused::OtherUser, "uid 65534", "/v1/node");
        let page = refusals.metrics();
        for line in ["{reason=\"wrong-token\"} 3", "{reason=\"other-user\"} 1", "{reason=\"role\"} 0"] {
            assert!(page.contains(&format!("sup_api_refused_total{line}\n")), "{page}");
        }
        assert_eq!(refusals.told.lock().unwrap().since, 3, "one of four was told");
    }
}
