//! What can be asked of a service or a group.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::rollout::OptionsChange;
use super::time::Time;
use crate::base::{GroupId, GroupIdError, Name, NameError};
use crate::records::value::DesiredState;

/// A service of this node, by its name or its group's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By its name, whatever its group.
    Service(Name),
    /// By its group.
    Group(GroupId),
}

/// A text is neither a service nor a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It has no dot and is not a service's name.
    #[error("neither a service nor a group")]
    Service(#[source] NameError),
    /// It has a dot and is not a group.
    #[error("neither a service nor a group")]
    Group(#[source] GroupIdError),
}

impl Target {
    /// The service's name.
    #[must_use]
    pub const fn service(&self) -> &Name {
        match self {
            Self::Service(service) => service,
            Self::Group(group) => &group.service,
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('.') {
            text.parse().map(Self::Group).map_err(TargetError::Group)
        } else {
            text.parse().map(Self::Service).map_err(TargetError::Service)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service) => service.fmt(f),
            Self::Group(group) => group.fmt(f),
        }
    }
}

/// `POST /v1/services/SVC/{stop,restart,unload}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Stop it, and keep it stopped.
    Stop,
    /// Stop it and start it again.
    Restart,
    /// Stop it and forget it.
    Unload,
}

impl Action {
    /// The last part of its path.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Unload => "unload",
        }
    }
}

/// How an [`Action`] is to be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActionRequest {
    /// Where.
    pub scope: Scope,
}

/// Where an action is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// On this node.
    #[default]
    Here,
    /// On every member of the group, those included that come later.
    Everywhere,
}

/// `PUT /v1/groups/G/desired`: what is not said stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DesiredRequest {
    /// Whether the group's members should run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<DesiredState>,
    /// The release that they should run, by its name `NAME/VERSION/HASH` or its hash. The node that is asked has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// How changes are rolled out, from now on.
    #[serde(skip_serializing_if = "OptionsChange::is_empty")]
    pub options: OptionsChange,
}

impl DesiredRequest {
    /// That the group's members should run, or should not.
    #[must_use]
    pub fn state(state: DesiredState) -> Self {
        Self { state: Some(state), ..Self::default() }
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An action was accepted. Who wants to see it done watches for changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// The group that it was taken on.
    pub group: GroupId,
    /// When it was accepted.
    pub at: Time,
    /// The change that was asked for, as the records' clock has it: a rollout whose `asked` is not smaller answers it.
    #[serde(default)]
    pub asked: u64,
    /// Whether anything was asked for that was not asked for before.
    #[serde(default)]
    pub changed: bool,
}

/// `GET /v1/explain/TARGET`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What is explained.
    pub target: String,
    /// What is the case and why, a sentence each, the most important first.
    pub sentences: Vec<String>,
    /// The command that helps, or shows more.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn a_target_is_a_service_or_a_group() {
        assert_eq!("redis".parse(), Ok(Target::Service("redis".parse().unwrap())));
        assert_eq!("redis.default".parse(), Ok(Target::Group("redis.default".parse().unwrap())));
        for text in ["", "redis.", "a.b.c", "../etc", "Redis"] {
            assert!(text.parse::<Target>().is_err(), "{text:?} was taken for a target");
        }
    }
}
