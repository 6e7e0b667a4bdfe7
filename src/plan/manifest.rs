//! `plan.toml`, typed.

mod parse;

use std::collections::BTreeMap;
use std::time::Duration;

pub use parse::parse;

use super::hook::HookName;
use super::signal::StopSignal;
use crate::base::{Name, Version};

/// How long a hook may take unless its plan says otherwise.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(60);
/// How long `pre-stop` may take unless the plan says otherwise: somebody waits for the stop.
pub const PRE_STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The origin of a plan that names none.
pub const LOCAL: &str = "local";

/// What `plan.toml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The service's name.
    pub name: Name,
    /// The version of what it runs.
    pub version: Version,
    /// Who made the plan, if it says so.
    pub origin: Option<Name>,
    /// One line for people.
    pub description: String,
    /// What a value that is missing renders as.
    pub missing: Missing,
    /// How the process runs.
    pub service: ServiceSpec,
    /// What binds and other members see.
    pub exports: Exports,
    /// The groups that it cannot run without, by the plan's own name for them.
    pub binds: BTreeMap<Name, BindSpec>,
    /// The groups that it uses if told which.
    pub binds_optional: BTreeMap<Name, BindSpec>,
    /// Whether and how it is checked.
    pub health: Health,
    /// What follows an exit that nobody asked for.
    pub restart: Restart,
    /// What must be on the machine.
    pub requires: Requires,
    /// How long hooks may take, where the plan says so.
    pub hook_timeouts: BTreeMap<HookName, Duration>,
    /// How its leader is elected.
    pub election: ElectionSpec,
}

/// What a value that is missing renders as (`strict-templates`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missing {
    /// As nothing, as in Habitat.
    #[default]
    Empty,
    /// It is an error.
    Error,
}

/// `[service]`: how the process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpec {
    /// The command line, a template, given to `/bin/sh`; `hooks/run` goes before it.
    pub run: Option<String>,
    /// The user to run as, where the supervisor may switch.
    pub user: Option<String>,
    /// The group to run as; the user's own if there is none.
    pub group: Option<String>,
    /// How the process is asked to stop.
    pub shutdown_signal: StopSignal,
    /// How long it may take to stop before it is killed.
    pub shutdown_timeout: Duration,
    /// Environment of the process and of hooks; the values are templates.
    pub env: BTreeMap<String, String>,
    /// Resource limits, soft and hard alike.
    pub rlimits: BTreeMap<Resource, u64>,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self {
            run: None,
            user: None,
            group: None,
            shutdown_signal: StopSignal::default(),
            shutdown_timeout: Duration::from_secs(8),
            env: BTreeMap::new(),
            rlimits: BTreeMap::new(),
        }
    }
}

/// A resource that `[service.rlimits]` can limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Open files.
    Nofile,
    /// Processes of the user.
    Nproc,
    /// Size of a core dump, in bytes.
    Core,
    /// Locked memory, in bytes.
    Memlock,
    /// Address space, in bytes.
    As,
    /// Stack, in bytes.
    Stack,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Nofile, Self::Nproc, Self::Core, Self::Memlock, Self::As, Self::Stack];

    /// The name in `plan.toml`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nofile => "nofile",
            Self::Nproc => "nproc",
            Self::Core => "core",
            Self::Memlock => "memlock",
            Self::As => "as",
            Self::Stack => "stack",
        }
    }
}

/// `[exports]`: what binds and other members see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exports {
    /// The exported name, and the dotted key of the config whose value it has.
    pub keys: BTreeMap<String, String>,
    /// Which of them are ports to be reached from outside.
    pub exposes: Vec<String>,
}

/// What the other side of a bind must export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BindSpec {
    /// Names of exports.
    pub exports: Vec<String>,
}

/// `[health]`: whether and how a service is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is asked.
    pub check: HealthCheck,
    /// From one check to the next.
    pub interval: Duration,
    /// How long a check may take before it counts as failed.
    pub timeout: Duration,
    /// How many failures in a row turn ok into critical.
    pub failures: u32,
}

/// What a health check asks. The texts are templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheck {
    /// Nothing: up means ok.
    None,
    /// `GET` this URL: ok if it answers 2xx or 3xx.
    Http(String),
    /// Connect to this `HOST:PORT`.
    Tcp(String),
    /// Run this command line: its exit status means what the hook's does.
    Exec(String),
    /// Run `hooks/health-check`.
    Hook,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            check: HealthCheck::None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(3),
            failures: 3,
        }
    }
}

/// `[restart]`: what follows an exit that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// The first delay; it doubles with each exit.
    pub min_backoff: Duration,
    /// The longest delay.
    pub max_backoff: Duration,
    /// Up for this long, and the next delay is the first again.
    pub cooldown: Duration,
    /// After so many exits in a row the service is failed; 0: never.
    pub give_up_after: u32,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(30),
            cooldown: Duration::from_secs(60),
            give_up_after: 0,
        }
    }
}

/// `[requires]`: what must be on the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requires {
    /// Commands on the `PATH`, and how to get each.
    pub commands: BTreeMap<String, String>,
}

/// `[election]`: how a leader is elected. What is not said here, the supervisor's settings say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ElectionSpec {
    /// A leader that is critical for longer than this resigns; none: never.
    pub resign_after_critical: Option<Duration>,
    /// How many members must be alive before the first leader is elected.
    pub min_members: Option<usize>,
    /// How many members vote: odd.
    pub council_size: Option<usize>,
    /// For how long a voter may be silent before another member takes its place.
    pub replace_voter_after: Option<Duration>,
}

impl Manifest {
    /// A plan of this name that says nothing else.
    #[must_use]
    pub fn new(name: Name, version: Version) -> Self {
        Self {
            name,
            version,
            origin: None,
            description: String::new(),
            missing: Missing::default(),
            service: ServiceSpec::default(),
            exports: Exports::default(),
            binds: BTreeMap::new(),
            binds_optional: BTreeMap::new(),
            health: Health::default(),
            restart: Restart::default(),
            requires: Requires::default(),
            hook_timeouts: BTreeMap::new(),
            election: ElectionSpec::default(),
        }
    }

    /// Who made the plan; [`LOCAL`] if it does not say.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.origin.as_ref().map_or(LOCAL, Name::as_str)
    }

    /// `ORIGIN/NAME/VERSION`.
    #[must_use]
    pub fn ident(&self) -> String {
        format!("{}/{}/{}", self.origin(), self.name, self.version)
    }

    /// How long a hook may take; none for `run`, which has no end.
    #[must_use]
    pub fn hook_timeout(&self, hook: HookName) -> Option<Duration> {
        match hook {
            HookName::Run => None,
            HookName::PreStop => Some(self.hook_timeouts.get(&hook).copied().unwrap_or(PRE_STOP_TIMEOUT)),
            HookName::Install
            | HookName::Uninstall
            | HookName::Init
            | HookName::PostRun
            | HookName::HealthCheck
            | HookName::Reconfigure
            | HookName::FileUpdated
            | HookName::Suitability
            | HookName::PostStop => Some(self.hook_timeouts.get(&hook).copied().unwrap_or(HOOK_TIMEOUT)),
        }
    }

    /// Every bind of the plan, and whether it is required.
    pub fn all_binds(&self) -> impl Iterator<Item = (&Name, &BindSpec, Need)> {
        let required = self.binds.iter().map(|(name, spec)| (name, spec, Need::Required));
        required.chain(self.binds_optional.iter().map(|(name, spec)| (name, spec, Need::Optional)))
    }
}

/// Whether a service can run without a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It cannot.
    Required,
    /// It can.
    Optional,
}

#[cfg(test)]
mod tests;
