//! The network: latency, loss, duplication, reordering, and cuts that may be one-way.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

use super::clock::{True, us};

/// How a link behaves.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// The shortest time that a datagram takes.
    pub latency: Duration,
    /// What chance may add to it: datagrams overtake each other.
    pub jitter: Duration,
    /// How many of a thousand datagrams are lost.
    pub loss_per_mille: u32,
    /// How many of a thousand datagrams arrive twice.
    pub duplicate_per_mille: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(200),
            jitter: Duration::from_micros(800),
            loss_per_mille: 0,
            duplicate_per_mille: 0,
        }
    }
}

/// All links. Machines are numbered.
#[derive(Debug, Default)]
pub(super) struct Network {
    pub(super) link: Link,
    /// Directions in which nothing passes, as (from, to).
    pub(super) cut: BTreeSet<(usize, usize)>,
}

impl Network {
    pub(super) fn passes(&self, from: usize, to: usize) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// When the copies of a datagram that is sent now arrive: none, one or two of them.
    pub(super) fn deliveries(&self, rng: &mut StdRng, from: usize, to: usize) -> Vec<True> {
        if !self.passes(from, to) || hits(rng, self.link.loss_per_mille) {
            return Vec::new();
        }
        let mut delays = vec![self.delay(rng)];
        if hits(rng, self.link.duplicate_per_mille) {
            delays.push(self.delay(rng));
        }
        delays
    }

    /// How long one direction takes this time.
    pub(super) fn delay(&self, rng: &mut StdRng) -> True {
        us(self.link.latency) + rng.random_range(0..=us(self.link.jitter))
    }
}

/// Whether something happens that happens `per_mille` of a thousand times.
pub(super) fn hits(rng: &mut impl Rng, per_mille: u32) -> bool {
    per_mille > 0 && rng.random_range(0..1000) < per_mille
}
