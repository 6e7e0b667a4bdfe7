//! Loading a service.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::service::Service;
use crate::base::{GroupId, GroupIdError, Name, NameError};
use crate::records::value::{Strategy, Topology};

/// `POST /v1/services`: load a service and start it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    /// The name of a service that is loaded here, an absolute path to a plan directory, or the name of a plan that the
    /// supervisor looks up.
    pub plan: String,
    /// The group's name, `default` if none is given.
    #[serde(default)]
    pub group: Option<Name>,
    /// The topology; `standalone` if none is given.
    #[serde(default)]
    pub topology: Option<Topology>,
    /// The update strategy; `none` if none is given.
    #[serde(default)]
    pub strategy: Option<Strategy>,
    /// The groups that its binds are bound to.
    #[serde(default)]
    pub binds: Vec<BindSpec>,
    /// Whether it waits for its binds before the first start.
    #[serde(default)]
    pub binding_mode: BindingMode,
    /// A directory whose templates and defaults are used in place of the plan's own.
    #[serde(default)]
    pub config_from: Option<PathBuf>,
    /// Supervisors to join first, `HOST:PORT`.
    #[serde(default)]
    pub peers: Vec<String>,
}

impl StartRequest {
    /// To start `plan` with everything else at its default.
    #[must_use]
    pub fn new(plan: impl Into<String>) -> Self {
        Self {
            plan: plan.into(),
            group: None,
            topology: None,
            strategy: None,
            binds: Vec::new(),
            binding_mode: BindingMode::Strict,
            config_from: None,
            peers: Vec::new(),
        }
    }
}

/// The answer to a [`StartRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The service, as it stands now.
    pub service: Service,
    /// Whether it was loaded before.
    pub was_loaded: bool,
    /// Whether it runs, and goes on as it was started before although its plan's directory is another one by now.
    #[serde(default)]
    pub goes_on: bool,
}

/// Whether a service waits for its binds before the first start. A bind lost later never stops it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindingMode {
    /// It waits.
    #[default]
    Strict,
    /// It starts at once.
    Relaxed,
}

/// `NAME:SERVICE.GROUP`: the group that a bind is bound to. Written as a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BindSpec {
    /// The bind's name in the plan.
    pub name: Name,
    /// The group.
    pub group: GroupId,
}

/// A text is not a bind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindSpecError {
    /// There is no colon.
    #[error("a bind is NAME:SERVICE.GROUP, such as backend:web.default, not {0:?}")]
    Shape(String),
    /// What is before the colon is not a name.
    #[error("a bind is NAME:SERVICE.GROUP")]
    Name(#[source] NameError),
    /// What is behind the colon is not a group.
    #[error("a bind is NAME:SERVICE.GROUP")]
    Group(#[source] GroupIdError),
}

impl FromStr for BindSpec {
    type Err = BindSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, group)) = text.split_once(':') else {
            return Err(BindSpecError::Shape(text.chars().take(80).collect()));
        };
        Ok(Self {
            name: name.parse().map_err(BindSpecError::Name)?,
            group: group.parse().map_err(BindSpecError::Group)?,
        })
    }
}

impl TryFrom<String> for BindSpec {
    type Error = BindSpecError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<BindSpec> for String {
    fn from(bind: BindSpec) -> Self {
        bind.to_string()
    }
}

impl fmt::Display for BindSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::{BindSpec, StartRequest};

    #[test]
    fn a_bind_reads_back_as_it_prints() {
        let bind: BindSpec = "backend:web.default".parse().unwrap();
        assert_eq!(bind.to_string(), "backend:web.default");
        for text in ["backend", "backend:", ":web.default", "backend:web", "a b:web.default"] {
            assert!(text.parse::<BindSpec>().is_err(), "{text:?} was taken for a bind");
        }
    }

    #[test]
    fn only_the_plan_must_be_said() {
        let request: StartRequest = serde_json::from_str(r#"{"plan":"redis"}"#).unwrap();
        assert_eq!(request, StartRequest::new("redis"));
    }
}
