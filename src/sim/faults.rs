//! What goes wrong and when, drawn from a seed.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::base::{NodeId, Seat};
use crate::node::Command;
use crate::records::value::Health;

use super::clock::{True, us};
use super::cluster::{Cluster, fake_group};
use super::host::Existence;
use super::network::hits;
use super::service::ServiceEvent;

/// One thing that goes wrong, or one that a user does meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A process is killed, and started again after a time.
    Crash {
        /// Whose.
        host: usize,
        /// After how long it is started again.
        down: Duration,
    },
    /// A process is stopped for a time.
    Pause {
        /// Whose.
        host: usize,
        /// For how long.
        length: Duration,
    },
    /// Nothing passes in these directions for a time.
    Cut {
        /// From and to whom.
        links: Vec<(usize, usize)>,
        /// For how long.
        length: Duration,
    },
    /// Writes to a disk fail for a time.
    DiskFull {
        /// Whose.
        host: usize,
        /// For how long.
        length: Duration,
    },
    /// The service ends by itself.
    ServiceExit {
        /// Whose.
        host: usize,
    },
    /// The service's health check changes its mind.
    ServiceHealth {
        /// Whose.
        host: usize,
        /// What it says from now on.
        health: Health,
    },
    /// A user applies a config.
    ApplyConfig {
        /// On which node.
        host: usize,
        /// Its text.
        toml: String,
    },
    /// A user puts the config before the current one in force again.
    RollbackConfig {
        /// On which node.
        host: usize,
    },
    /// A user goes back to the plan's own config.
    UnsetConfig {
        /// On which node.
        host: usize,
    },
    /// The leader gives its seat back; nothing, if nobody leads.
    Resign,
    /// A supervisor is stopped in good order, and started again after a time.
    Leave {
        /// Whose.
        host: usize,
        /// After how long it is started again.
        away: Duration,
    },
    /// The time of day jumps.
    WallJump {
        /// Whose.
        host: usize,
        /// How far, in milliseconds.
        by_ms: i64,
    },
}

/// A change of who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A machine that nobody had heard of is switched on.
    Born(usize),
    /// A machine is lost for good.
    Lost(usize),
}

/// How many of a thousand faults are such a change.
const CHANGE_PER_MILLE: u32 = 80;

impl Change {
    /// Draws one, where there may be one now.
    pub(super) fn draw(rng: &mut StdRng, cluster: &Cluster) -> Option<Self> {
        if !hits(rng, CHANGE_PER_MILLE) {
            return None;
        }
        let unborn = (0..cluster.hosts.len()).find(|host| cluster.hosts[*host].existence == Existence::Unborn);
        let victim = rng.random_range(1..cluster.hosts.len());
        match unborn {
            Some(host) if hits(rng, 500) => Some(Self::Born(host)),
            Some(_) | None => may_be_lost(cluster, victim).then_some(Self::Lost(victim)),
        }
    }

    /// Makes it happen.
    pub(super) fn begin(self, cluster: &mut Cluster) -> Option<(True, Repair)> {
        cluster.trace.say(cluster.at, &format!("fault: {self:?}"));
        match self {
            Self::Born(host) => cluster.bear(host),
            Self::Lost(host) => cluster.lose(host),
        }
        None
    }
}

/// Whether the group gets over the loss of a machine by itself: a majority of its council does, whatever change of it is
/// under way. Where a majority is lost for good, a person has to say how to go on.
fn may_be_lost(cluster: &Cluster, host: usize) -> bool {
    if cluster.hosts[host].existence != Existence::There || cluster.there().count() <= 3 {
        return false;
    }
    let group = fake_group();
    let councils = cluster.there().filter_map(|host| cluster.node(host)?.census().council(&group).cloned());
    let Some(newest) = councils.max_by_key(|council| council.version) else { return false };
    let gone = |voter: &NodeId| cluster.hosts.iter().any(|host| host.id == *voter && host.existence == Existence::Gone);
    // Of five, two may be out of reach and be struck at this very moment: three are left then, and one of them may go.
    newest.voters.len() >= 5 && !newest.voters.iter().any(gone)
}

/// How long a process that has said goodbye goes on answering.
const LINGER: Duration = Duration::from_millis(500);

/// The second half of a fault that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Repair {
    Start(usize),
    /// The process that said goodbye in this epoch ends.
    End {
        host: usize,
        epoch: u64,
        away: Duration,
    },
    Uncut(Vec<(usize, usize)>),
    DiskRoom(usize),
}

impl Fault {
    /// Draws one. It hits the leader more often than others: that is where most can go wrong.
    pub(super) fn draw(rng: &mut StdRng, hosts: usize, number: usize, leader: Option<usize>) -> Self {
        let host = match leader {
            Some(leader) if hits(rng, 250) => leader,
            Some(_) | None => rng.random_range(0..hosts),
        };
        match rng.random_range(0..100) {
            0..18 => Self::Crash { host, down: millis(rng, 50, 8_000) },
            18..33 => Self::Pause { host, length: millis(rng, 100, 6_000) },
            33..58 => Self::Cut { links: draw_cut(rng, hosts, host), length: millis(rng, 200, 12_000) },
            58..62 => Self::DiskFull { host, length: millis(rng, 200, 5_000) },
            62..68 => Self::Leave { host, away: millis(rng, 50, 8_000) },
            68..74 => Self::ServiceExit { host },
            74..80 => {
                let health = if hits(rng, 500) { Health::Critical } else { Health::Ok };
                Self::ServiceHealth { host, health }
            }
            80..90 => Self::ApplyConfig { host, toml: format!("change = {number}\n") },
            90..93 => Self::RollbackConfig { host },
            93..95 => Self::UnsetConfig { host },
            95..97 => Self::Resign,
            _ => Self::WallJump { host, by_ms: rng.random_range(-60_000..60_000) },
        }
    }

    /// Makes it happen. Returns what ends it, and when.
    pub(super) fn begin(self, cluster: &mut Cluster) -> Option<(True, Repair)> {
        cluster.trace.say(cluster.at, &format!("fault: {self:?}"));
        match self {
            Self::Crash { host, down } => {
                cluster.node(host)?;
                cluster.crash(host);
                Some((cluster.at + us(down), Repair::Start(host)))
            }
            Self::Pause { host, length } => {
                cluster.pause(host, length);
                None
            }
            Self::Cut { links, length } => {
                cluster.network.cut.extend(links.iter().copied());
                Some((cluster.at + us(length), Repair::Uncut(links)))
            }
            Self::DiskFull { host, length } => {
                cluster.hosts[host].disk.failing = true;
                Some((cluster.at + us(length), Repair::DiskRoom(host)))
            }
            Self::ServiceExit { host } => {
                cluster.service(host, ServiceEvent::Exit);
                None
            }
            Self::ServiceHealth { host, health } => {
                cluster.service(host, ServiceEvent::Health(health));
                None
            }
            Self::ApplyConfig { host, toml } => {
                cluster.tell(host, Command::ApplyConfig { group: fake_group(), toml, expect: None });
                None
            }
            Self::RollbackConfig { host } => {
                cluster.tell(host, Command::RollbackConfig { group: fake_group(), revision: None, expect: None });
                None
            }
            Self::UnsetConfig { host } => {
                cluster.tell(host, Command::UnsetConfig { group: fake_group(), expect: None });
                None
            }
            Self::Resign => {
                let (host, _) = cluster.leader()?;
                cluster.tell(host, Command::Resign { group: fake_group(), seat: Seat::Leader });
                None
            }
            Self::Leave { host, away } => {
                cluster.command(host, Command::Leave)?.ok()?;
                let epoch = cluster.hosts[host].epoch;
                Some((cluster.at + us(LINGER), Repair::End { host, epoch, away }))
            }
            Self::WallJump { host, by_ms } => {
                let clock = &mut cluster.hosts[host].clock;
                // Within what the ring tolerates: a clock that is further ahead is refused, and that is another test.
                clock.skew_ms = (clock.skew_ms + by_ms).clamp(-120_000, 120_000);
                None
            }
        }
    }
}

impl Repair {
    /// Makes it happen. Returns what follows, and when.
    pub(super) fn carry_out(self, cluster: &mut Cluster) -> Option<(True, Self)> {
        match self {
            Self::Start(host) => cluster.start(host),
            Self::End { host, epoch, away } => {
                // Unless it was killed meanwhile.
                if cluster.hosts[host].epoch == epoch {
                    cluster.end(host);
                    return Some((cluster.at + us(away), Self::Start(host)));
                }
            }
            Self::Uncut(links) => {
                for link in links {
                    cluster.network.cut.remove(&link);
                }
            }
            Self::DiskRoom(host) => cluster.hosts[host].disk.failing = false,
        }
        None
    }
}

/// Every shape: two sides, one node alone, one direction only, a bridge that both sides reach.
fn draw_cut(rng: &mut StdRng, hosts: usize, alone: usize) -> Vec<(usize, usize)> {
    let side: Vec<bool> = if hits(rng, 250) {
        (0..hosts).map(|host| host == alone).collect()
    } else {
        (0..hosts).map(|_| hits(rng, 500)).collect()
    };
    let bridge = hits(rng, 200).then(|| rng.random_range(0..hosts));
    let one_way = hits(rng, 300);
    let mut links = Vec::new();
    for from in 0..hosts {
        for to in 0..hosts {
            let apart = side[from] != side[to] && Some(from) != bridge && Some(to) != bridge;
            if from != to && apart && (!one_way || side[from]) {
                links.push((from, to));
            }
        }
    }
    links
}

fn millis(rng: &mut StdRng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.random_range(from..to))
}
