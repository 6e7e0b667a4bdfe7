//! Services of one node.

use serde::{Deserialize, Serialize};

use super::group::GroupMember;
use super::time::Time;
use crate::base::{GroupId, Name};
use crate::records::value::{Health, Strategy, Topology};

/// `GET /v1/services`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {
    /// The services that are loaded here, by name.
    pub services: Vec<Service>,
}

/// `GET /v1/services/SVC`: a service of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub service: Name,
    /// The group that it is a member of.
    pub group: GroupId,
    /// Its plan, `origin/name/version`.
    pub ident: String,
    /// The directory that it was started from, if it goes by that and not by a release that its group was told of: by a
    /// copy of it, which is made anew when a person starts or restarts the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// How the group's members relate.
    pub topology: Topology,
    /// How changes reach them.
    pub strategy: Strategy,
    /// The member that it is of its group.
    #[serde(flatten)]
    pub member: GroupMember,
    /// The groups that it is bound to.
    #[serde(default)]
    pub binds: Vec<Bind>,
    /// What is wrong without keeping it from running: a `user.toml` that does not parse, a template that does not
    /// render.
    #[serde(default)]
    pub problems: Vec<String>,
    /// The last run of each hook, the newest first; empty in the list of services.
    #[serde(default)]
    pub hooks: Vec<HookReport>,
    /// The rendered files; empty in the list of services.
    #[serde(default)]
    pub files: Vec<FileHash>,
}

impl Service {
    /// The same, without what its hooks wrote.
    #[must_use]
    pub fn without_output(mut self) -> Self {
        self.hooks.iter_mut().for_each(|hook| hook.output.clear());
        self
    }
}

/// A bind of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Its name in the plan.
    pub name: Name,
    /// The group that it is bound to.
    pub group: GroupId,
    /// Whether the group has a member that serves.
    pub satisfied: bool,
}

/// The last run of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookReport {
    /// Which hook.
    pub hook: String,
    /// When it ended.
    pub at: Time,
    /// How long it ran.
    pub took_ms: u64,
    /// How it ended: `exit 0`, `killed after 60 s`.
    pub outcome: String,
    /// The last of what it wrote.
    pub output: String,
}

/// A rendered file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    /// The file's path.
    pub path: String,
    /// The BLAKE3 hash of its content, in hex.
    pub hash: String,
}

/// `GET /services/SVC/GROUP/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// What the check said.
    pub health: Health,
    /// When it last ran; none if it never did.
    pub checked_at: Option<Time>,
    /// The last of what it wrote.
    pub output: String,
}
