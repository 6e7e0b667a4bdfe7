//! What this node's own member of a group is to be now.

use super::view::ConfigView;
use crate::records::value::{RolloutOptions, Target, TurnKind};

/// What a member is to be now. Under strategy `rolling` that may be something else than what its group is to be in the
/// end: it waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// What it is to be.
    pub target: Target,
    /// The config of the target; none for the plan's defaults.
    pub config: Option<ConfigView>,
    /// Whether a release that it does not run yet can wait.
    pub release_when: When,
    /// The turn in which it gets there; none outside of turns.
    pub turn: Option<Turn>,
}

/// When a change is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum When {
    /// At once.
    #[default]
    Now,
    /// When the service is started next, for whatever reason.
    NextStart,
}

/// A turn that a member may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Of which rollout.
    pub rollout: u64,
    /// Its number.
    pub number: u64,
    /// Where it leads.
    pub kind: TurnKind,
    /// How it is judged.
    pub options: RolloutOptions,
}
