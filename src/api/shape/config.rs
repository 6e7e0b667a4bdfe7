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

/// `POST /v1/groups/G/config/preview?expect=REV&unknown-keys=allow`, the TOML as the body: what it would change. Nothing
/// is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigPreview {
    /// The group.
    pub group: GroupId,
    /// The plan that it was rendered with, `origin/name/version`.
    pub plan: String,
    /// The revision in force, which it was compared with; none for the plan's defaults.
    pub revision: Option<String>,
    /// What would change. Members with the same changes are together.
    pub changes: Vec<ConfigChange>,
    /// The members of which no file would change.
    pub unchanged: Vec<MemberName>,
    /// The members whose nodes do not answer: they would render it when they are back.
    pub away: Vec<MemberName>,
    /// The member whose `user.toml` and environment were taken into account: that of the node that was asked. Those of
    /// other nodes are not known there, and keep what they set.
    pub layers_known_of: Option<MemberName>,
}

/// What a config would change of some members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// The members.
    pub members: Vec<MemberName>,
    /// The files that would change.
    pub files: Vec<FileDiff>,
    /// What would become of their processes.
    #[serde(default)]
    pub effect: ConfigEffect,
    /// Why nothing can be rendered for them, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What becomes of a member's process when its files change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigEffect {
    /// Nothing: it need not know.
    #[default]
    Nothing,
    /// It is told by the hook `reconfigure`, and runs on.
    Reconfigure,
    /// It is restarted.
    Restart,
    /// None runs; the next one starts with it.
    NextStart,
}

/// How a file would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDiff {
    /// Its path below the service's directory.
    pub path: String,
    /// The unified diff.
    pub diff: String,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberName {
    /// The node that it runs on.
    pub node_id: NodeId,
    /// Where that node is reached.
    pub address: String,
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
    /// It is the newest, and a rollout went back from it.
    RolledBack,
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
            Self::RolledBack => "rolled back",
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
