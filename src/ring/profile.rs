//! Every number of the ring that depends on the network it runs on.

use std::fmt;
use std::num::{NonZeroU8, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::message::FOCA_PACKET_BYTES;

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

/// The periods and timeouts of one profile. The table at [`Profile`] says where they come from.
pub(super) struct Pace {
    /// How long an answer to a small datagram may take.
    pub(super) ack_timeout: Duration,
    /// How often a node pings its successor.
    pub(super) watch_period: Duration,
    /// How often foca probes a random member.
    pub(super) probe_period: Duration,
    /// How long foca waits for an acknowledgement before it asks others.
    pub(super) probe_rtt: Duration,
    /// How long a suspect has to speak up, in a ring of 10.
    suspicion: Duration,
    /// How often foca gossips while it has something to tell.
    gossip_period: Duration,
    /// How soon an exchange follows one that brought something new.
    pub(super) exchange_soonest: Duration,
    /// How often members are compared while nothing changes.
    pub(super) exchange_latest: Duration,
    /// How often a node of a small ring looks whether a dead member is back.
    pub(super) heal_period: Duration,
    /// How soon a node that is alone tries again.
    pub(super) rejoin_soonest: Duration,
    /// How often it tries after a long time alone.
    pub(super) rejoin_latest: Duration,
}

/// The smallest size that timeouts and counts are derived for. Smaller rings gain nothing from less.
pub(super) const SMALLEST_SCALE: usize = 16;
/// How often foca announces itself to one dead member. Exchanges with the dead heal partitions much sooner; this is
/// for networks that let only datagrams pass.
const ANNOUNCE_TO_DOWN_PERIOD: Duration = Duration::from_secs(30);
/// How many members foca asks for an indirect probe, and gossips to.
const INDIRECT_PROBES: NonZeroUsize = NonZeroUsize::new(3).unwrap();
const ONE: NonZeroUsize = NonZeroUsize::new(1).unwrap();

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

    /// The periods and timeouts.
    pub(super) const fn pace(self) -> Pace {
        let ms = Duration::from_millis;
        match self {
            Self::Local => Pace {
                ack_timeout: ms(100),
                watch_period: ms(500),
                probe_period: ms(1_000),
                probe_rtt: ms(300),
                suspicion: ms(2_000),
                gossip_period: ms(100),
                exchange_soonest: ms(500),
                exchange_latest: ms(10_000),
                heal_period: ms(1_000),
                rejoin_soonest: ms(100),
                rejoin_latest: ms(3_000),
            },
            Self::Lan => Pace {
                ack_timeout: ms(200),
                watch_period: ms(1_000),
                probe_period: ms(2_000),
                probe_rtt: ms(500),
                suspicion: ms(4_000),
                gossip_period: ms(200),
                exchange_soonest: ms(1_000),
                exchange_latest: ms(30_000),
                heal_period: ms(2_000),
                rejoin_soonest: ms(250),
                rejoin_latest: ms(30_000),
            },
            Self::Wan => Pace {
                ack_timeout: ms(1_000),
                watch_period: ms(5_000),
                probe_period: ms(10_000),
                probe_rtt: ms(2_000),
                suspicion: ms(20_000),
                gossip_period: ms(500),
                exchange_soonest: ms(5_000),
                exchange_latest: ms(60_000),
                heal_period: ms(5_000),
                rejoin_soonest: ms(1_000),
                rejoin_latest: ms(30_000),
            },
        }
    }

    /// How long a suspect has to speak up in a ring of this size: as foca has it, in whole numbers (log10 is about
    /// three tenths of log2).
    pub(super) fn suspicion(self, size: usize) -> Duration {
        self.pace().suspicion * (3 * log2(size)).max(10) / 10
    }

    /// What foca is given in a ring of this size.
    pub(super) fn foca_config(self, size: usize) -> foca::Config {
        let pace = self.pace();
        foca::Config {
            probe_period: pace.probe_period,
            probe_rtt: pace.probe_rtt,
            // The larger the ring, the likelier that one of those asked is in trouble itself.
            num_indirect_probes: if size < 256 { INDIRECT_PROBES } else { INDIRECT_PROBES.saturating_add(1) },
            // Foca's formula is 4 log10; a little more, so that the smallest rings do not depend on a single packet.
            max_transmissions: NonZeroU8::MIN.saturating_add(3 + u8::try_from(log2(size)).unwrap_or(u8::MAX / 2)),
            suspect_to_down_after: self.suspicion(size),
            // The view forgets the dead by age and by number, and tells foca.
            remove_down_after: None,
            max_packet_size: NonZeroUsize::MIN.saturating_add(FOCA_PACKET_BYTES - 1),
            notify_down_members: true,
            // Exchanges over streams do this better.
            periodic_announce: None,
            periodic_announce_to_down_members: Some(foca::PeriodicParams {
                frequency: ANNOUNCE_TO_DOWN_PERIOD,
                num_members: ONE,
            }),
            periodic_gossip: Some(foca::PeriodicParams { frequency: pace.gossip_period, num_members: INDIRECT_PROBES }),
        }
    }
}

/// The size that a ring of `active` members is configured for, when it was configured for `scale` before. Twofold
/// steps, so that a member that comes and goes changes nothing.
pub(super) fn rescale(scale: usize, active: usize) -> usize {
    let mut scale = scale.max(SMALLEST_SCALE);
    while active >= scale.saturating_mul(2) {
        scale *= 2;
    }
    while scale > SMALLEST_SCALE && active <= scale / 2 {
        scale /= 2;
    }
    scale
}

fn log2(size: usize) -> u32 {
    size.max(1).ilog2()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Profile, SMALLEST_SCALE, rescale};

    const ALL: [Profile; 3] = [Profile::Local, Profile::Lan, Profile::Wan];

    #[test]
    fn a_profile_reads_back_as_it_prints() {
        for profile in ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        assert!("LAN".parse::<Profile>().is_err());
    }

    #[test]
    fn each_stage_of_doubt_is_over_before_the_next_begins() {
        for profile in ALL {
            let pace = profile.pace();
            assert!(pace.ack_timeout * 2 <= pace.watch_period, "{profile}");
            assert!(pace.probe_rtt * 2 <= pace.probe_period, "{profile}");
            assert!(profile.probe_timeout() + pace.ack_timeout * 2 < profile.suspicion(2), "{profile}");
            assert_eq!(profile.lease_ttl(), pace.watch_period * 2, "{profile}");
        }
    }

    #[test]
    fn suspicion_grows_with_the_logarithm_of_the_ring() {
        assert_eq!(Profile::Lan.suspicion(2), Duration::from_secs(4));
        assert_eq!(Profile::Lan.suspicion(10), Duration::from_secs(4));
        assert_eq!(Profile::Lan.suspicion(100), Duration::from_millis(7_200));
        assert_eq!(Profile::Lan.suspicion(1_000), Duration::from_millis(10_800));
    }

    #[test]
    fn the_scale_changes_by_doubling_only() {
        assert_eq!(rescale(SMALLEST_SCALE, 1), SMALLEST_SCALE);
        assert_eq!(rescale(SMALLEST_SCALE, 31), 16);
        assert_eq!(rescale(SMALLEST_SCALE, 32), 32);
        assert_eq!(rescale(32, 31), 32, "one that left must not undo what one that came did");
        assert_eq!(rescale(32, 17), 32);
        assert_eq!(rescale(32, 16), 16);
        assert_eq!(rescale(SMALLEST_SCALE, 5_000), 4_096);
    }
}
