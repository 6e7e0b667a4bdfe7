//! What goes into the machine and what comes out of it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::handle::{Command, RingState};
use super::super::spec::BindingMode;
use crate::base::{Hash, Term, Wall};
use crate::census::{Turn, When};
use crate::plan::HookName;
use crate::records::value::{Health, Target, Topology, TurnReport};

/// What the machine needs to know of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How the group's members relate.
    pub topology: Topology,
    /// Whether binds are waited for.
    pub binding_mode: BindingMode,
    /// The hooks that the plan has; `run` and `health-check` are not asked for here.
    pub hooks: BTreeSet<HookName>,
    /// Whether the `install` hook has gone through for this release on this node.
    pub installed: bool,
    /// What follows an exit that nobody asked for.
    pub restart: RestartPolicy,
    /// The health check; none if the plan has none.
    pub health: Option<HealthPolicy>,
}

/// What follows an exit that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// The first delay.
    pub min_backoff: Duration,
    /// The delay doubles up to this.
    pub max_backoff: Duration,
    /// After being up for this long, the delay starts over.
    pub cooldown: Duration,
    /// After this many failed runs in a row it is left; 0: never.
    pub give_up_after: u32,
}

/// When health is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthPolicy {
    /// From the end of one check to the begin of the next.
    pub interval: Duration,
    /// How many failures in a row turn ok to critical.
    pub failures: u32,
}

/// What this member is in its group, as the ring has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// The group has no leader, and needs none.
    Standalone,
    /// No leader is known; why, for a person.
    Leaderless(String),
    /// Another member leads.
    Follower,
    /// This member leads.
    Leader(Term),
}

impl Role {
    /// What a process under this role is told of it: one that knows of no leader does not lead.
    #[must_use]
    pub fn told(&self) -> Told {
        match self {
            Role::Standalone | Role::Leaderless(_) | Role::Follower => Told::Follows,
            Role::Leader(term) => Told::Leads(*term),
        }
    }
}

/// What a process was told of its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// It does not lead.
    Follows,
    /// It leads, in this term.
    Leads(Term),
}

/// What the member is told to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Goal {
    /// What.
    pub target: Target,
    /// Whether a release that does not run yet can wait.
    pub release_when: When,
    /// The turn in which it gets there; none outside of turns.
    pub turn: Option<Turn>,
}

/// What a member was before this task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earlier {
    /// What it counted as.
    pub target: Option<Target>,
    /// What it went by, which is something else in a turn and after one that failed.
    pub goes_by: Option<Target>,
    /// The last turn that ended.
    pub turn: Option<TurnReport>,
    /// The release that its process ran, if it had one; the plan is read for this one first, for the sake of a process
    /// that may still run.
    pub release: Option<Hash>,
}

/// Whether another member could take the leader's seat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Successor {
    /// None could.
    #[default]
    None,
    /// One is ready to.
    Ready,
}

/// Whose output tells why a turn failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nobody's: the reason says it all.
    Nothing,
    /// That of a hook's last run.
    Hook(HookName),
    /// The process's own.
    Process,
}

/// What a process goes by: hashes of everything rendered whose change asks for something, and its role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The release; none: the plan that the service was started from.
    #[serde(default)]
    pub release: Option<Hash>,
    /// The revision of the group's config.
    #[serde(default)]
    pub revision: Option<String>,
    /// Of the files under `config`. A change asks for a reconfiguration.
    pub config: String,
    /// Of the text of `reconfigure`: what it does may name the leader. Likewise.
    pub reconfigure: String,
    /// Of the texts of `run`, `init` and `post-run`. A change asks for a restart.
    pub run: String,
    /// The role.
    pub told: Told,
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum HookEnd {
    /// It exited with 0.
    Done,
    /// It did not; how, for a person.
    Failed(String),
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessEnd {
    /// Exit code or signal, for a person: `exited with 1`, `killed by SIGKILL`.
    pub how: String,
    /// Who ended it.
    pub by: EndedBy,
}

/// Who ended a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// It was asked to stop.
    Request,
    /// The shim, because the lease of the leader's seat was not renewed.
    Lease,
    /// Nobody that we know.
    Itself,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The plan was read, and everything that it requires is there.
    PlanRead(Settings),
    /// It was not; why.
    PlanFailed(String),
    /// The release whose plan it is is not on this node.
    ReleaseMissing(Hash),
    /// An earlier task's process still runs.
    Adopted {
        /// Its process id.
        pid: u32,
        /// Since when it runs.
        since: Wall,
        /// What it goes by; none if that is not known.
        applied: Option<Applied>,
    },
    /// No earlier task's process runs. Follows on what was said of the plan wherever `Adopted` does not.
    NothingToAdopt,
    /// Whether the ring's state is known.
    Ring(RingState),
    /// The reasons for which required binds are not met; empty when they are.
    Binds(Vec<String>),
    /// What this member is in its group.
    Role(Role),
    /// What this member is to be.
    Goal(Goal),
    /// This target is on the disk, and from now on what the member goes by.
    Accepted(Target),
    /// The last target could not be written down; why.
    NotAccepted(String),
    /// This release is here.
    Fetched(Hash),
    /// It is not, and why.
    NotFetched(Hash, String),
    /// The config of the accepted target is not one that the plan takes; why.
    ConfigRefused(String),
    /// Whether another member could take the leader's seat.
    Successor(Successor),
    /// Something that templates show has changed.
    ContextChanged,
    /// All files are rendered and written.
    Rendered(Applied),
    /// They are not; why. The previous ones are in place.
    RenderFailed(String),
    /// A hook ended.
    HookEnded {
        /// Which.
        hook: HookName,
        /// How.
        end: HookEnd,
    },
    /// The process runs.
    Launched {
        /// Its process id.
        pid: u32,
    },
    /// It could not be launched; why.
    LaunchFailed(String),
    /// The process and its whole group are gone.
    Exited(ProcessEnd),
    /// A health check ended; its verdict, and what it said.
    Checked(Health, String),
    /// How suited this member is to lead.
    Suitability(u64),
    /// Somebody asked for something.
    Command(Command),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read the plan of this release (none: the one that the service was started from), and look for a process of an
    /// earlier task: `PlanRead`, `PlanFailed` or `ReleaseMissing`, then `Adopted` or `NothingToAdopt`.
    Load(Option<Hash>),
    /// Get this release: `Fetched` or `NotFetched`.
    Fetch(Hash),
    /// Write down what the member goes by from now on, and whether that is an attempt of this turn: `Accepted` or
    /// `NotAccepted`.
    Accept(Target, Option<Turn>),
    /// The turn has ended like this: keep that, with the output of whoever is to blame.
    EndTurn {
        /// How.
        report: TurnReport,
        /// Whose output belongs to it.
        blame: Blame,
    },
    /// Render everything: `Rendered` or `RenderFailed`.
    Render,
    /// Run a hook: `HookEnded`.
    RunHook(HookName),
    /// Kill a hook that runs; its `HookEnded` still comes.
    CancelHook(HookName),
    /// Launch the process: `Launched` or `LaunchFailed`.
    Launch(Applied),
    /// Stop the process and its group: `Exited`.
    StopProcess,
    /// What the process goes by now, to be kept for the next task.
    Remember(Applied),
    /// The process does not act as a leader (any more): the shim need not stop it when the lease ends.
    ReleaseSwitch,
    /// Check health: `Checked`.
    CheckHealth,
    /// Ask for the suitability: `Suitability`.
    MeasureSuitability,
    /// The service was uninstalled: forget that it ever was installed.
    ForgetInstallation,
    /// The service was installed: remember it.
    RememberInstallation,
    /// Nothing is left to do: end the task.
    End,
}
