//! How far a node may be trusted about what is *not*.
//!
//! A deletion is remembered for a day only. So a node that was away for longer may have shared records that were deleted
//! meanwhile, and would bring them back to life by telling them. On the other hand a whole ring may have been switched off
//! over a weekend; then what its nodes have on disk is all there is, and must not be dropped.

use std::collections::BTreeSet;
use std::time::Duration;

use super::engine::Records;
use super::key::Key;
use crate::base::{Mono, Now};

/// A newcomer that met nobody who was here all along takes itself for current after this time: all are newcomers then.
const GRACE: Duration = Duration::from_secs(10 * 60);

/// Whether a node was here all along.
#[derive(Debug)]
pub(super) enum Standing {
    /// It was: what it does not have is not.
    Current,
    /// It was away for longer than deletions are remembered, or is new.
    Newcomer {
        /// The end of the grace; none before the first tick.
        until: Option<Mono>,
        /// Shared records that nobody who is current has told or confirmed.
        doubtful: BTreeSet<Key>,
    },
}

impl Standing {
    pub(super) fn is_current(&self) -> bool {
        match self {
            Self::Current => true,
            Self::Newcomer { .. } => false,
        }
    }

    pub(super) fn doubts(&self, key: &Key) -> bool {
        match self {
            Self::Current => false,
            Self::Newcomer { doubtful, .. } => doubtful.contains(key),
        }
    }

    /// The key was written just now.
    pub(super) fn vouch_for(&mut self, key: &Key) {
        match self {
            Self::Current => {}
            Self::Newcomer { doubtful, .. } => {
                doubtful.remove(key);
            }
        }
    }

    /// The key was told by a newcomer.
    pub(super) fn doubt(&mut self, key: Key) {
        match self {
            Self::Current => {}
            Self::Newcomer { doubtful, .. } => {
                doubtful.insert(key);
            }
        }
    }
}

impl Records {
    /// All was compared with a member that is current.
    pub(super) fn become_current(&mut self) {
        self.standing = Standing::Current;
    }

    pub(super) fn settle_standing(&mut self, now: Now) {
        match &mut self.standing {
            Standing::Current => {}
            Standing::Newcomer { until: Some(until), .. } => {
                if *until <= now.mono {
                    self.standing = Standing::Current;
                }
            }
            Standing::Newcomer { until, .. } => *until = Some(now.mono + GRACE),
        }
    }

    /// A member that is current has not heard of these keys.
    pub(super) fn drop_doubtful(&mut self, keys: &[Key]) {
        for key in keys {
            if self.standing.doubts(key) {
                self.standing.vouch_for(key);
                self.drop_record(key);
            }
        }
    }
}
