//! The names of hooks.

use std::fmt;
use std::str::FromStr;

/// A moment in a service's life at which a plan may run a script of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookName {
    /// The first time that a release is put on a node.
    Install,
    /// When the last release of a plan is taken off a node.
    Uninstall,
    /// Before every start of the process.
    Init,
    /// The process itself.
    Run,
    /// Once the process is up.
    PostRun,
    /// At once, then each interval: does it work?
    HealthCheck,
    /// The rendered config changed.
    Reconfigure,
    /// An uploaded file arrived.
    FileUpdated,
    /// How suited is this member to lead?
    Suitability,
    /// Before a running process is stopped on request: the moment to drain it.
    PreStop,
    /// After the process is gone.
    PostStop,
}

/// A text is not the name of a hook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no hook {0:?}")]
pub struct HookNameError(pub String);

impl HookName {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Install,
        Self::Uninstall,
        Self::Init,
        Self::Run,
        Self::PostRun,
        Self::HealthCheck,
        Self::Reconfigure,
        Self::FileUpdated,
        Self::Suitability,
        Self::PreStop,
        Self::PostStop,
    ];

    /// The name, with dashes: also the name of the rendered file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Uninstall => "uninstall",
            Self::Init => "init",
            Self::Run => "run",
            Self::PostRun => "post-run",
            Self::HealthCheck => "health-check",
            Self::Reconfigure => "reconfigure",
            Self::FileUpdated => "file-updated",
            Self::Suitability => "suitability",
            Self::PreStop => "pre-stop",
            Self::PostStop => "post-stop",
        }
    }
}

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for HookName {
    type Err = HookNameError;

    /// Takes `health-check` as well as `health_check`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let dashed = text.replace('_', "-");
        let found = Self::ALL.into_iter().find(|hook| hook.as_str() == dashed);
        found.ok_or_else(|| HookNameError(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::HookName;

    #[test]
    fn a_hook_is_known_by_dash_and_by_underscore() {
        for hook in HookName::ALL {
            assert_eq!(hook.as_str().parse(), Ok(hook));
            assert_eq!(hook.as_str().replace('-', "_").parse(), Ok(hook));
        }
    }

    #[test]
    fn other_names_are_no_hooks() {
        for text in ["", "Run", "healthcheck", "health check", "run.sh"] {
            assert!(text.parse::<HookName>().is_err(), "{text:?} was taken for a hook");
        }
    }
}
