//! Nodes and the ring.

use serde::{Deserialize, Serialize};

use super::time::Time;
use crate::base::NodeId;
use crate::census::{Liveness, NodeView};

/// `GET /v1/node`: this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub node_id: NodeId,
    /// Where others reach it.
    pub address: String,
    /// The machine's host name.
    pub hostname: String,
    /// The ring's name, where it has one.
    pub ring: Option<String>,
    /// The version of `sup`.
    pub version: String,
    /// When the supervisor started.
    pub started_at: Time,
    /// Whether the ring's traffic is encrypted.
    pub encrypted: bool,
    /// Nodes that were refused lately, and that refuse this one: what they are and what to do, in sentences.
    #[serde(default)]
    pub strangers: Vec<String>,
    /// The supervisor's process id.
    #[serde(default)]
    pub pid: u32,
    /// Where HTTP is served; none where it is switched off.
    #[serde(default)]
    pub http_address: Option<String>,
    /// Where it keeps its data.
    #[serde(default)]
    pub data_dir: String,
    /// The file of the key that releases are signed with that are packed on this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
    /// How badly it keeps up itself, from 0 (well) to 8: the longer it waits before it doubts others.
    #[serde(default)]
    pub local_health: u8,
    /// Who said that this node is gone for good and does not let it in; none if it is let in.
    #[serde(default)]
    pub banned_by: Option<String>,
    /// Why its store cannot be written just now: it makes no new promise in elections until it can. None if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_trouble: Option<String>,
    /// That what was stored could not be read when it started, what became of that, and who it is since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_lost: Option<String>,
}

/// `GET /v1/members`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The nodes of the ring, by id.
    pub members: Vec<Member>,
}

/// `POST /v1/members/NODE/depart`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DepartRequest {
    /// Whether the node is departed although it answers.
    pub force: bool,
}

/// What came of `depart` and `undepart`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departed {
    /// The node.
    pub node_id: NodeId,
    /// Where it was last.
    pub address: String,
    /// Whether anything is other than before.
    pub changed: bool,
}

/// A node of the ring, as seen from the one that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub node_id: NodeId,
    /// Where it is reached.
    pub address: String,
    /// The machine's host name; empty until it is known.
    pub hostname: String,
    /// Whether it answers.
    pub state: MemberState,
    /// The version of `sup` there; empty until it is known.
    pub version: String,
}

/// Whether a node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberState {
    /// It answers.
    Alive,
    /// It missed a probe and has not yet refuted it.
    Suspect,
    /// It left in good order.
    Left,
    /// It is gone for good, as a person said.
    Departed,
    /// It is taken for dead; also what an unknown state of a newer node reads as.
    #[serde(other)]
    Down,
}

impl MemberState {
    /// The word that is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Left => "left",
            Self::Departed => "departed",
            Self::Down => "down",
        }
    }
}

impl From<Liveness> for MemberState {
    fn from(liveness: Liveness) -> Self {
        match liveness {
            Liveness::Alive => Self::Alive,
            Liveness::Suspect => Self::Suspect,
            Liveness::Down => Self::Down,
            Liveness::Left => Self::Left,
            Liveness::Departed => Self::Departed,
        }
    }
}

impl From<&NodeView> for Member {
    fn from(view: &NodeView) -> Self {
        Self {
            node_id: view.id,
            address: view.address.to_string(),
            hostname: view.facts.hostname.clone(),
            state: view.liveness.into(),
            version: view.facts.version.clone(),
        }
    }
}
