//! Records of nodes that nobody here has heard of.
//!
//! What a node says of itself goes when the ring forgets it. But who joins later is told the records by others, and not of
//! every node that they speak of: those that have long been dead are not told. Nothing would ever take such records away
//! again here, and everybody who has forgotten their node would find them new in each comparison.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Node;
use crate::base::{Mono, NodeId, Now};

/// How often such records are looked for.
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(60);
/// For how long their node may be unknown. Members and records come by different ways, a few seconds apart; when many
/// join, or a partition heals, some more.
const UNKNOWN_FOR: Duration = Duration::from_secs(5 * 60);

/// The nodes that have records here and are no members.
#[derive(Debug)]
pub(super) struct Strays {
    /// Since when each is known to be one.
    since: BTreeMap<NodeId, Mono>,
    look_at: Mono,
}

impl Strays {
    pub(super) fn new(now: Mono) -> Self {
        Self { since: BTreeMap::new(), look_at: now + LOOKED_FOR_EVERY }
    }

    pub(super) const fn deadline(&self) -> Mono {
        self.look_at
    }

    pub(super) fn len(&self) -> usize {
        self.since.len()
    }
}

impl Node {
    /// Forgets the nodes that have been strays for long.
    pub(super) fn tick_strays(&mut self, now: Now) {
        if self.strays.look_at > now.mono {
            return;
        }
        self.strays.look_at = now.mono + LOOKED_FOR_EVERY;
        let is_stray = |owner: &NodeId| *owner != self.me && self.ring.member(*owner).is_none();
        let known = std::mem::take(&mut self.strays.since);
        let since = |owner: NodeId| (owner, known.get(&owner).copied().unwrap_or(now.mono));
        let (over, waiting): (BTreeMap<NodeId, Mono>, BTreeMap<NodeId, Mono>) = self
            .records
            .owners()
            .filter(is_stray)
            .map(since)
            .partition(|(_, since)| now.mono.since(*since) >= UNKNOWN_FOR);
        self.strays.since = waiting;
        for owner in over.into_keys() {
            self.census.forget_node(owner);
            self.records.forget_node(now, owner);
        }
    }
}
