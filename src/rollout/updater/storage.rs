//! Which voters have which version of the record on disk, as they said.

use std::collections::BTreeMap;

use crate::base::{Mono, NodeId};

use super::super::action::RolloutAction;
use super::super::message::{RolloutMessage, Version};
use super::ASK_EVERY;

/// What the voters said.
#[derive(Debug, Default)]
pub(super) struct Storage {
    seen: BTreeMap<NodeId, Version>,
    next_ask: Option<Mono>,
}

impl Storage {
    pub(super) fn seen(&mut self, voter: NodeId, version: Version) {
        let known = self.seen.entry(voter).or_default();
        *known = version.max(*known);
    }

    /// Whether more than half of the voters have this version, or a later one, on disk.
    pub(super) fn has_majority(&self, voters: &[NodeId], version: Version) -> bool {
        let stored = voters.iter().filter(|voter| self.has(**voter, version)).count();
        stored > voters.len() / 2
    }

    /// Asks those who have not said that they have the wanted version, every so often, until a majority has.
    pub(super) fn ask(
        &mut self,
        now: Mono,
        voters: &[NodeId],
        wanted: Option<Version>,
        actions: &mut Vec<RolloutAction>,
    ) {
        let Some(wanted) = wanted.filter(|wanted| !self.has_majority(voters, *wanted)) else {
            self.next_ask = None;
            return;
        };
        match self.next_ask {
            // They say so by themselves as soon as it is on disk: a question is due only when that was lost.
            None => self.next_ask = Some(now + ASK_EVERY),
            Some(at) if at <= now => {
                self.next_ask = Some(now + ASK_EVERY);
                let missing = voters.iter().filter(|voter| !self.has(**voter, wanted));
                actions.extend(missing.map(|voter| RolloutAction::Send { to: *voter, msg: RolloutMessage::Ask }));
            }
            Some(_) => {}
        }
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.next_ask
    }

    fn has(&self, voter: NodeId, version: Version) -> bool {
        self.seen.get(&voter).is_some_and(|seen| *seen >= version)
    }
}
