//! Giving up a council of which a majority is lost for good.
//!
//! Nobody but a person can know that voters which do not answer will never answer again; so a person says it, and this
//! node founds another council from who is there, by the rules of any genesis: all of its voters accept it. It supersedes
//! the lost one, so that a lost voter which is back after all gives way as soon as it hears of it.
//!
//! **Terms** are never used twice. The lost majority may have seated holders that nobody here has heard of; so the terms
//! of the new council begin beyond all that it can have used: at the next multiple of [`RECOVERY_STEP`]. The attempt at
//! such a genesis is numbered like the term that it begins with.
//!
//! **Leases** of the lost council run out before the new one seats anybody: its voters grant nothing for the longest ttl
//! after they learned of it.
//!
//! What it cannot do is what nobody can: keep a lost majority, which lives where none of this can reach it, from leading
//! on by itself. That is why a person has to accept that.

use std::collections::BTreeSet;

use crate::base::{Mono, NodeId, Now};

use super::council::{Council, RECOVERY_STEP};
use super::machine::{Election, Standing};
use super::message::Refusal;
use super::voter::millis;

/// Why a council is not given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// This node has no part in the group's elections.
    #[error("this node has no part in its elections")]
    NoPart,
    /// There is no council to give up.
    #[error("it has none yet, and founds one by itself when enough members are there")]
    NoCouncil,
    /// The service is not loaded here, or its node is leaving, or not let in.
    #[error("its service is not loaded here, or this node is no full member of its ring")]
    NotLoaded,
    /// A majority may still be there.
    #[error("{} of its {voters} voters answer, or are only suspected not to: that is a majority", reachable.len())]
    NotLost {
        /// Who answers, or may.
        reachable: Vec<NodeId>,
        /// How many voters there are.
        voters: usize,
    },
}

impl Election {
    /// Gives up the council, of which a majority is lost for good, as a person says. `reachable` are all nodes that
    /// answer, or are only suspected not to.
    ///
    /// # Errors
    /// It is not lost, or this node cannot do it; nothing has changed.
    pub fn recover(&mut self, now: Now, reachable: &BTreeSet<NodeId>) -> Result<(), RecoverError> {
        let council = self.council().ok_or(RecoverError::NoCouncil)?.clone();
        if self.config.rules.is_none() || self.standing != Standing::Stands || !self.view.ready {
            return Err(RecoverError::NotLoaded);
        }
        let me = self.config.me;
        let there: Vec<NodeId> =
            council.voters.iter().copied().filter(|voter| *voter == me || reachable.contains(voter)).collect();
        if there.len() >= council.majority() {
            return Err(RecoverError::NotLost { reachable: there, voters: council.voters.len() });
        }
        self.begin_recovery(now.mono, council.genesis);
        self.tick(now);
        Ok(())
    }

    /// The number of an attempt to found what takes the place of `lost`.
    pub(super) fn recovery_attempt(&self, lost: &Council, attempted: u64) -> u64 {
        let heard = self.stands.values().map(|stand| stand.highest).max().unwrap_or_default();
        let published = self.view.published.values().map(|holder| holder.term).max().unwrap_or_default();
        let terms = [heard, published, self.voter.highest(), lost.floor, lost.version.0];
        let highest = terms.into_iter().map(|term| term.0).max().unwrap_or_default();
        if attempted > highest && attempted >= RECOVERY_STEP {
            // Another try of the same recovery.
            return attempted.saturating_add(1);
        }
        (highest.max(attempted) / RECOVERY_STEP + 1).saturating_mul(RECOVERY_STEP)
    }

    /// Whether what the lost council lent may still run.
    pub(super) fn recovered_just_now(&self, now: Mono) -> Result<(), Refusal> {
        let settled = self.council_since + self.config.longest_ttl;
        if self.council().is_some_and(Council::is_recovered) && settled > now {
            return Err(Refusal::Settling { remaining_ms: millis(settled.since(now)) });
        }
        Ok(())
    }
}
