//! A group's config.

use serde::{Deserialize, Serialize};

use super::time::Time;
use crate::base::{GroupId, NodeId};

/// `PUT /v1/groups/G/config?expect=REV&unknown-keys=allow`, the TOML as the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyRequest {
    /// The TOML text.
    pub toml: String,
    /// Refuse unless this is the revision in force; `none`, where no config was ever applied.
    pub expect: Option<String>,
    /// What to do with keys that the plan does not know.
    pub unknown: UnknownKeys,
}

/// What to do with keys that the plan does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownKeys {
    /// Refuse the config.
    #[default]
    Refuse,
    /// Take it.
    Allow,
}

/// A config was put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigApplied {
    /// The group.
    pub group: GroupId,
    /// The new revision; the one that was in force already if nothing changed.
    pub revision: String,
    /// The revision that was in force before.
    pub previous: Option<String>,
    /// Whether anything changed.
    pub changed: bool,
    /// As [`super::Acted::asked`].
    #[serde(default)]
    pub asked: u64,
}

/// `GET /v1/groups/G/config`: one revision's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The group.
    pub group: GroupId,
    /// The revision; none if no config was ever applied.
    pub revision: Option<String>,
    /// The TOML text, as it was applied.
    pub toml: String,
}

/// `GET /v1/groups/G/config/history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigHistory {
    /// The group.
    pub group: GroupId,
    /// The revisions that are kept, the newest first.
    pub revisions: Vec<Revision>,
}

/// One revision of a group's config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Its name, `SEQUENCE-HASH`.
    pub revision: String,
    /// What became of it.
    pub status: RevisionStatus,
    /// When it was applied.
    pub at: Time,
    /// The node that it was applied to.
    pub by: Option<NodeId>,
    /// The revision that it was made from.
    pub parent: Option<String>,
    /// What it is: `apply`, `rollback to 3-1a2b3c4d`, `unset`.
    pub action: String,
}

/// What became of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevisionStatus {
    /// It is in force.
    InForce,
    /// Another one was applied on another side of a partition, and won.
    Superseded,
    /// It was replaced; also what an unknown status of a newer node reads as.
    #[serde(other)]
    Replaced,
}

impl RevisionStatus {
    /// The words that are shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::Superseded => "superseded",
            Self::Replaced => "replaced",
        }
    }
}

/// `POST /v1/groups/G/config/rollback`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RollbackRequest {
    /// The revision whose text is applied again; the parent of the one in force if none is named.
    pub revision: Option<String>,
    /// As [`ApplyRequest::expect`].
    pub expect: Option<String>,
}

/// `DELETE /v1/groups/G/config?expect=REV`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnsetRequest {
    /// As [`ApplyRequest::expect`].
    pub expect: Option<String>,
}
