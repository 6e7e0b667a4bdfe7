//! Notices of changes.

use serde::{Deserialize, Serialize};

use super::time::Time;
use crate::base::{GroupId, NodeId};

/// `GET /v1/events`: something changed. It says what for a person; a program looks at the state again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Time,
    /// What kind of thing changed.
    pub kind: EventKind,
    /// The group that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// The node that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeId>,
    /// What happened, for a person; empty when only some detail changed.
    #[serde(default)]
    pub message: String,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A node came, was suspected, went down or left.
    Member,
    /// A group's view: its members' states, its election, its config.
    Group,
    /// A seat was taken or lost.
    Seat,
    /// A service of this node changed its state.
    Service,
    /// A rollout that this node drives came further, or did not.
    Rollout,
    /// The supervisor has something to say.
    Log,
    /// Some notices were lost because the reader was slow: everything is to be looked at again.
    Missed,
    /// A kind that a newer supervisor knows.
    #[serde(other)]
    Other,
}

impl EventKind {
    /// The word that is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Group => "group",
            Self::Seat => "seat",
            Self::Service => "service",
            Self::Rollout => "rollout",
            Self::Log => "log",
            Self::Missed => "missed",
            Self::Other => "other",
        }
    }
}
