//! Every number of the ring that depends on the network it runs on.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What kind of network the ring runs on.
///
/// | | `local` | `lan` | `wan` | derived from |
/// | --- | --- | --- | --- | --- |
/// | ack timeout | 100 ms | 200 ms | 1 s | several times the round trip that the network has on a bad day (loopback under load 20 ms, LAN 50 ms, WAN 300 ms) |
/// | watch period | 500 ms | 1 s | 5 s | two packets of about 65 bytes per period: 130 B/s in a LAN. A crash is noticed within a period and an ack timeout, 0.7 s on average |
/// | probe period | 1 s | 2 s | 10 s | foca's own random probing, the backstop of the watch: two packets of about 115 bytes per period |
/// | probe timeout | 300 ms | 1 s | 3 s | a TCP connect; one lost SYN is sent again after 1 s |
/// | suspicion | 2 s | 4 s | 20 s | two probe periods, times log10 of the ring's size from 10 members on, so that the suspect hears of it and its refutation crosses the ring |
/// | lease | 1 s | 2 s | 10 s | two watch periods: a lease must outlast a lost renewal, and is what a failover waits for |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// All nodes on one machine: development, tests.
    Local,
    /// One data centre, one building.
    #[default]
    Lan,
    /// Between sites.
    Wan,
}

/// A text is not a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a profile is local, lan or wan, not {0:?}")]
pub struct ProfileError(String);

/// The smallest size that timeouts and counts are derived for. Smaller rings gain nothing from less.
#[allow(dead_code)]
const SMALLEST_SCALE: usize = 16;

impl Profile {
    /// How long a leader's lease lasts unless it is renewed.
    #[must_use]
    pub const fn lease_ttl(self) -> Duration {
        match self {
            Self::Local => Duration::from_secs(1),
            Self::Lan => Duration::from_secs(2),
            Self::Wan => Duration::from_secs(10),
        }
    }

    /// How long a TCP connect that asks whether a member lives may take.
    #[must_use]
    pub const fn probe_timeout(self) -> Duration {
        match self {
            Self::Local => Duration::from_millis(300),
            Self::Lan => Duration::from_secs(1),
            Self::Wan => Duration::from_secs(3),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Local => "local",
            Self::Lan => "lan",
            Self::Wan => "wan",
        })
    }
}

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "local" => Ok(Self::Local),
            "lan" => Ok(Self::Lan),
            "wan" => Ok(Self::Wan),
            other => Err(ProfileError(other.chars().take(40).collect())),
        }
    }
}
