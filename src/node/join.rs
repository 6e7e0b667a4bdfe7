//! From start to ready. A member learns the ring's state *before* it starts a service or takes part in a genesis:
//! join, one full sync, then ready. A node that finds nobody goes on alone after the join timeout, and says so.

use std::time::Duration;

use crate::base::{Mono, NodeId, Now};

/// How far a node has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joining {
    /// It looks for somebody.
    Seeking { until: Mono },
    /// It has found somebody and exchanges all records with it.
    Syncing { with: NodeId, until: Mono },
    /// It is ready.
    Over,
}

impl Joining {
    pub(super) fn new(now: Now, seeks: bool, timeout: Duration) -> Self {
        if seeks { Self::Seeking { until: now.mono + timeout } } else { Self::Over }
    }

    pub(super) fn deadline(self) -> Option<Mono> {
        match self {
            Self::Seeking { until } | Self::Syncing { until, .. } => Some(until),
            Self::Over => None,
        }
    }

    pub(super) fn is_over(self) -> bool {
        self == Self::Over
    }
}
