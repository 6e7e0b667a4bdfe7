//! What the updater before this one did last.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{Mono, NodeId};

use super::super::action::RolloutAction;
use super::super::message::{RolloutMessage, Version};
use super::ASK_EVERY;

/// How long a sync has before another is begun.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The answers of the voters.
#[derive(Debug)]
pub(super) struct Recovery {
    answers: BTreeMap<NodeId, Version>,
    next_ask: Mono,
    next_sync: Mono,
}

impl Recovery {
    pub(super) fn new(now: Mono) -> Self {
        Self { answers: BTreeMap::new(), next_ask: now, next_sync: now }
    }

    pub(super) fn seen(&mut self, voter: NodeId, version: Version) {
        let known = self.answers.entry(voter).or_default();
        *known = version.max(*known);
    }

    /// Returns whether this node, which knows the version `own`, knows what was done last.
    pub(super) fn advance(
        &mut self,
        now: Mono,
        own: Version,
        voters: &[NodeId],
        actions: &mut Vec<RolloutAction>,
    ) -> bool {
        let answered = voters.iter().filter(|voter| self.answers.contains_key(voter)).count();
        if answered > voters.len() / 2 {
            let latest = voters.iter().filter_map(|voter| Some((*self.answers.get(voter)?, *voter))).max();
            match latest {
                Some((version, voter)) if version > own => {
                    if self.next_sync <= now {
                        self.next_sync = now + SYNC_EVERY;
                        actions.push(RolloutAction::Sync(voter));
                    }
                    // Another voter may know as much, and be reached more easily.
                    self.ask(now, voters, actions);
                    return false;
                }
                Some(_) => return true,
                None => {}
            }
        }
        self.ask(now, voters, actions);
        false
    }

    fn ask(&mut self, now: Mono, voters: &[NodeId], actions: &mut Vec<RolloutAction>) {
        if self.next_ask > now {
            return;
        }
        self.next_ask = now + ASK_EVERY;
        let silent = voters.iter().filter(|voter| !self.answers.contains_key(voter));
        actions.extend(silent.map(|voter| RolloutAction::Send { to: *voter, msg: RolloutMessage::Ask }));
    }

    pub(super) fn deadline(&self) -> Mono {
        self.next_ask
    }
}
