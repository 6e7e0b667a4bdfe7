//! The commands, as they are typed.

mod ring;
mod token;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::settings::SupervisorArgs;
use super::wait::Condition;
use crate::api::client::ServerUrl;
use crate::api::shape::{BindSpec, BindingMode, OptionsChange, Scope, Target};
use crate::base::{FileName, GroupId, Name};
use crate::plan::period;
use crate::records::value::{Batch, OnFailure, Strategy, Topology};
use crate::release::Query;
use crate::ring::Profile;

pub(super) use ring::{InstallRingKeyArgs, NewRingKeyArgs, RingCommand, RingKeyArgs, RingKeyCommand, ShowRingKeyArgs};
use token::TOKEN_HELP;
pub(super) use token::{NewTokenArgs, RevokeTokenArgs, TokenCommand};

/// Keeps services running on a ring of machines without a master.
#[derive(Debug, Parser)]
#[command(name = "sup", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out, 4 refused.")]
pub(super) struct Cli {
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Globals {
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// The supervisor's local socket (SUP_SOCKET) [default: sup.sock in the data directory]
    #[arg(long, global = true, value_name = "PATH", hide_short_help = true)]
    pub socket: Option<String>,
    /// The supervisor's data directory (SUP_DATA_DIR) [default: /var/lib/sup for root]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Ask this supervisor, not the one of this machine: http://HOST[:PORT] or https://HOST[:PORT]
    #[arg(long, global = true, value_name = "URL", env = "SUP_SERVER", hide_env = true, hide_short_help = true)]
    pub server: Option<ServerUrl>,
    /// File with the token to use (or the token itself in SUP_TOKEN)
    #[arg(long, global = true, value_name = "FILE", env = "SUP_TOKEN_FILE", hide_env = true, hide_short_help = true)]
    pub token_file: Option<PathBuf>,
    /// Authority of the supervisor's certificate, in PEM [default: those of this machine]
    #[arg(long, global = true, value_name = "FILE", env = "SUP_TLS_CA", hide_env = true, hide_short_help = true)]
    pub tls_ca: Option<PathBuf>,
    /// Certificate to show to the supervisor, in PEM
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SUP_TLS_CLIENT_CERT",
        hide_env = true,
        hide_short_help = true
    )]
    pub tls_client_cert: Option<PathBuf>,
    /// Key of that certificate
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SUP_TLS_CLIENT_KEY",
        hide_env = true,
        hide_short_help = true
    )]
    pub tls_client_key: Option<PathBuf>,
    /// File of settings (SUP_CONFIG) [default: /etc/sup/sup.toml]
    #[arg(long = "config", global = true, value_name = "FILE", id = "settings", hide_short_help = true)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start a service: in the supervisor that runs here, or else in one that this becomes
    Start(StartArgs),
    /// Run a supervisor without a service yet
    Run(RunArgs),
    /// Stop a service, and keep it stopped
    Stop(ActArgs),
    /// Stop a service and start it again
    Restart(ActArgs),
    /// Stop a service and forget it
    Unload(ActArgs),
    /// Show the services of this node
    Status(StatusArgs),
    /// Show the nodes of the ring
    Members,
    /// Show all service groups of the ring
    Groups,
    /// Look at one service group
    #[command(subcommand)]
    Group(GroupCommand),
    /// Show what a service and its hooks write
    Logs(LogsArgs),
    /// Change and show a group's config
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Give files to the members of a group
    #[command(subcommand)]
    File(FileCommand),
    /// Bring a new release to a group
    Update(UpdateArgs),
    /// See how a change goes, and say how it is to go on
    #[command(subcommand)]
    Rollout(RolloutCommand),
    /// Wait for a group to reach a condition
    Wait(WaitArgs),
    /// Say why a service is not up, who leads a group and why, why a rollout stands still
    Explain(ExplainArgs),
    /// Stop the services of this node, leave the ring and end the supervisor
    Shutdown(ShutdownArgs),
    /// Say that a node is gone for good: it counts for nothing any more, and is not let in
    Depart(DepartArgs),
    /// Let a node back in that was said to be gone for good
    Undepart(UndepartArgs),
    /// Run a whole ring on this machine, to try a plan
    Dev(DevArgs),
    /// Write plans
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Look after the releases of this node
    #[command(subcommand)]
    Release(ReleaseCommand),
    /// Encrypt the ring's traffic
    #[command(subcommand)]
    Ring(RingCommand),
    /// Let programs and people in by HTTP
    #[command(subcommand, after_long_help = TOKEN_HELP)]
    Token(TokenCommand),
}

/// How long is waited, unless it is said.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long is waited for what goes from member to member.
const LONG_PATIENCE: Duration = Duration::from_secs(3600);

/// How long to wait for what was asked for.
#[derive(Debug, Clone, Args)]
pub(super) struct Patience {
    /// Do not wait until it is done
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = period::parse, conflicts_with = "no_wait")]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// A plan's directory, the name of a plan, or of a service that was stopped
    #[arg(value_name = "SVC")]
    pub service: String,
    /// Group to be a member of [default: default]
    #[arg(long, value_name = "NAME")]
    pub group: Option<Name>,
    /// How the members relate [default: standalone]
    #[arg(long, value_enum)]
    pub topology: Option<TopologyArg>,
    /// How changes reach the members [default: none]
    #[arg(long, value_enum)]
    pub strategy: Option<StrategyArg>,
    /// Bind a name of the plan to a group; may be repeated
    #[arg(long = "bind", value_name = "NAME:SVC.GROUP")]
    pub binds: Vec<BindSpec>,
    /// Whether to wait for the binds before the first start
    #[arg(long, value_enum, default_value = "strict")]
    pub binding_mode: BindingModeArg,
    /// Take templates, hooks and defaults from this directory instead of the plan's
    #[arg(long, value_name = "DIR")]
    pub config_from: Option<PathBuf>,
    /// Let the group's members run again, on all nodes
    #[arg(long)]
    pub everywhere: bool,
    #[command(flatten)]
    pub patience: ChangePatience,
    #[command(flatten)]
    pub supervisor: SupervisorArgs,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub supervisor: SupervisorArgs,
}

#[derive(Debug, Args)]
pub(super) struct ActArgs {
    /// A service of this node, or its group
    #[arg(value_name = "SVC")]
    pub target: Target,
    /// On every member of the group, those included that come later
    #[arg(long)]
    pub everywhere: bool,
    #[command(flatten)]
    pub patience: ChangePatience,
}

impl ActArgs {
    pub(super) const fn scope(&self) -> Scope {
        if self.everywhere { Scope::Everywhere } else { Scope::Here }
    }
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Only this one, with its hooks and files
    #[arg(value_name = "SVC")]
    pub service: Option<Name>,
}

#[derive(Debug, Subcommand)]
pub(super) enum GroupCommand {
    /// Show a group: members, health, leader and term, council, config
    Show(GroupArgs),
    /// Give up a council of which a majority is lost for good
    Recover(RecoverArgs),
}

#[derive(Debug, Args)]
pub(super) struct RecoverArgs {
    /// Which group, such as redis.default
    #[arg(value_name = "GROUP")]
    pub group: GroupId,
    /// The lost voters are off for good: if they are not, two members will lead
    #[arg(long = "accept-split-brain-risk", alias = "yes")]
    pub yes: bool,
    #[command(flatten)]
    pub patience: Patience,
}

#[derive(Debug, Args)]
pub(super) struct DepartArgs {
    /// Which node: its id or the beginning of it, its address, or its host name
    #[arg(value_name = "NODE")]
    pub node: String,
    /// Although it answers
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub(super) struct UndepartArgs {
    /// Which node: its id or the beginning of it, its address, or its host name
    #[arg(value_name = "NODE")]
    pub node: String,
}

#[derive(Debug, Args)]
pub(super) struct GroupArgs {
    /// Which group, such as redis.default
    #[arg(value_name = "GROUP")]
    pub group: GroupId,
}

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Which service
    #[arg(value_name = "SVC")]
    pub service: Name,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub follow: bool,
    /// How many lines of the past
    #[arg(short = 'n', long, value_name = "N", default_value = "100")]
    pub lines: usize,
    /// Only lines that are not older
    #[arg(long, value_name = "TIME", value_parser = period::parse)]
    pub since: Option<Duration>,
    /// Show when each line was written
    #[arg(short, long)]
    pub timestamps: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Validate a config, and put it in force on all members
    Apply(Box<ApplyArgs>),
    /// Print the config in force, or an earlier revision
    Show(ShowArgs),
    /// Show what is different between two revisions
    Diff(DiffArgs),
    /// Show the revisions that are kept
    History(GroupArgs),
    /// Put an earlier revision in force again
    Rollback(RollbackArgs),
    /// Take the group's config away: the plan's defaults remain
    Unset(UnsetArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum FileCommand {
    /// Put a file on all members
    Upload(UploadArgs),
    /// Show the files in force
    List(GroupArgs),
    /// Show the revisions of a file that are kept
    History(FileArgs),
    /// Put an earlier revision of a file in force again
    Rollback(RollbackFileArgs),
    /// Take a file away from all members
    Remove(RemoveFileArgs),
}

#[derive(Debug, Args)]
pub(super) struct UploadArgs {
    /// Which group, such as redis.default
    #[arg(value_name = "GROUP")]
    pub group: GroupId,
    /// A file of up to 64 MiB
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What it is called there [default: as it is here]
    #[arg(long, value_name = "NAME")]
    pub name: Option<FileName>,
    /// Refuse unless this revision is in force (none: there never was such a file)
    #[arg(long, value_name = "REV")]
    pub expect: Option<String>,
    #[command(flatten)]
    pub patience: Patience,
}

#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// Which group, such as redis.default
    #[arg(value_name = "GROUP")]
    pub group: GroupId,
    /// Which of its files
    #[arg(value_name = "NAME")]
    pub name: FileName,
}

#[derive(Debug, Args)]
pub(super) struct RollbackFileArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// Which revision [default: the one before]
    #[arg(value_name = "REV")]
    pub revision: Option<String>,
    /// Refuse unless this revision is in force
    #[arg(long, value_name = "REV")]
    pub expect: Option<String>,
    #[command(flatten)]
    pub patience: Patience,
}

#[derive(Debug, Args)]
pub(super) struct RemoveFileArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// Refuse unless this revision is in force
    #[arg(long, value_name = "REV")]
    pub expect: Option<String>,
    #[command(flatten)]
    pub patience: Patience,
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// Which group, such as redis.default
    #[arg(value_name = "GROUP")]
    pub group: GroupId,
    /// A TOML file, or - for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    /// Refuse unless this revision is in force (none: no config was ever applied)
    #[arg(long, value_name = "REV")]
    pub expect: Option<String>,
    /// Take keys that the plan does not know
    #[arg(long)]
    pub allow_unknown: bool,
    /// Only show which files it would change on each member, and how
    #[arg(long, conflicts_with_all = ["no_wait", "timeout"])]
    pub dry_run: bool,
    #[command(flatten)]
    pub patience: ChangePatience,
    #[command(flatten)]
    pub options: OptionsArgs,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// Which group, such as redis.default
    #[arg(value_name = "GROUP")]
    pub group: GroupId,
    /// From which revision [default: the one before]
    #[arg(value_name = "FROM")]
    pub from: Option<String>,
    /// To which revision [default: the one in force]
    #[arg(value_name = "TO")]
    pub to: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Which group, such as redis.default
    #[arg(value_name = "GROUP")]
    pub group: GroupId,
    /// Which revision [default: the one in force]
    #[arg(value_name = "REV")]
    pub revision: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// Which group, such as redis.default
    #[arg(value_name = "GROUP")]
    pub group: GroupId,
    /// Which revision [default: the one before]
    #[arg(value_name = "REV")]
    pub revision: Option<String>,
    /// Refuse unless this revision is in force
    #[arg(long, value_name = "REV")]
    pub expect: Option<String>,
    #[command(flatten)]
    pub patience: ChangePatience,
}

#[derive(Debug, Args)]
pub(super) struct UnsetArgs {
    /// Which group, such as redis.default
    #[arg(value_name = "GROUP")]
    pub group: GroupId,
    /// Refuse unless this revision is in force
    #[arg(long, value_name = "REV")]
    pub expect: Option<String>,
    #[command(flatten)]
    pub patience: ChangePatience,
}

/// How long to wait for what may take its time where members change one after the other.
#[derive(Debug, Clone, Args)]
pub(super) struct ChangePatience {
    /// Do not wait until it is done
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait [default: 60s; 1h where members change one after the other]
    #[arg(long, value_name = "TIME", value_parser = period::parse, conflicts_with = "no_wait")]
    pub timeout: Option<Duration>,
}

impl ChangePatience {
    /// How long to wait for what all members do at once.
    pub(super) fn at_once(&self) -> Duration {
        self.timeout.unwrap_or(PATIENCE)
    }

    /// How long to wait for what goes from member to member.
    pub(super) fn rolling(&self) -> Duration {
        self.timeout.unwrap_or(LONG_PATIENCE)
    }
}

/// How long to wait for what may take long by its nature.
#[derive(Debug, Clone, Args)]
pub(super) struct LongPatience {
    /// Do not wait until it is done
    #[arg(long)]
    pub no_wait: bool,
    /// Wait until it is done: so it is anyway
    #[arg(long, conflicts_with = "no_wait", hide = true)]
    pub wait: bool,
    /// How long to wait; it goes on all the same
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = period::parse, conflicts_with = "no_wait")]
    pub timeout: Duration,
}

/// How changes are rolled out, as it is typed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How changes are rolled out, from now on")]
pub(super) struct OptionsArgs {
    /// How many members may be out at once: a number, or a part of the group [at first: 1]
    #[arg(long, value_name = "N|P%")]
    pub batch: Option<Batch>,
    /// For how long a member must be ok before the next one begins [at first: 5s]
    #[arg(long, value_name = "TIME", value_parser = period::parse)]
    pub min_healthy: Option<Duration>,
    /// Within which time a member must be ok [at first: 5m]
    #[arg(long, value_name = "TIME", value_parser = period::parse)]
    pub deadline: Option<Duration>,
    /// What follows a member that failed [at first: halt]
    #[arg(long, value_enum)]
    pub on_failure: Option<OnFailureArg>,
    /// With `--on-failure continue`: how many members may fail [at first: 1]
    #[arg(long, value_name = "N")]
    pub max_failures: Option<u32>,
    /// Leave a member that failed as it is
    #[arg(long, overrides_with = "restore_failed")]
    pub no_restore_failed: bool,
    /// Put a member that failed back on what it was
    #[arg(long, overrides_with = "no_restore_failed", hide_short_help = true)]
    pub restore_failed: bool,
    /// Do not have the leader give its seat to another member before it is stopped
    #[arg(long, overrides_with = "hand_over")]
    pub no_hand_over: bool,
    /// Have the leader give its seat to another member before it is stopped
    #[arg(long, overrides_with = "no_hand_over", hide_short_help = true)]
    pub hand_over: bool,
    /// Take a health check that warns for one that fails
    #[arg(long, overrides_with = "no_strict")]
    pub strict: bool,
    /// Take a health check that warns for ok
    #[arg(long, overrides_with = "strict", hide_short_help = true)]
    pub no_strict: bool,
}

impl OptionsArgs {
    /// What of it was typed.
    pub(super) fn change(&self) -> OptionsChange {
        let flag = |yes: bool, no: bool| if yes || no { Some(yes) } else { None };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        OptionsChange {
            batch: self.batch,
            min_healthy_ms: self.min_healthy.map(millis),
            deadline_ms: self.deadline.map(millis),
            on_failure: self.on_failure.map(Into::into),
            max_failures: self.max_failures,
            restore_failed: flag(self.restore_failed, self.no_restore_failed),
            hand_over_leader: flag(self.hand_over, self.no_hand_over),
            strict: flag(self.strict, self.no_strict),
        }
    }
}

/// [`OnFailure`], as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnFailureArg {
    /// Nobody else is touched.
    Halt,
    /// Every member done so far goes back.
    Rollback,
    /// The others take their turns all the same.
    Continue,
}

impl From<OnFailureArg> for OnFailure {
    fn from(on_failure: OnFailureArg) -> Self {
        match on_failure {
            OnFailureArg::Halt => Self::Halt,
            OnFailureArg::Rollback => Self::Rollback,
            OnFailureArg::Continue => Self::Continue,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// Which group, such as redis.default
    #[arg(value_name = "GROUP")]
    pub group: GroupId,
    /// The plan's directory, or a release packed by sup plan pack
    #[arg(value_name = "DIR|FILE.sup")]
    pub release: PathBuf,
    /// Sign what is packed with the key in this file [default: the setting signing-key]
    #[arg(long, value_name = "KEY")]
    pub sign: Option<PathBuf>,
    #[command(flatten)]
    pub patience: LongPatience,
    #[command(flatten)]
    pub options: OptionsArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum RolloutCommand {
    /// Show who has the change, whose turn it is, who waits and who failed
    Status(GroupArgs),
    /// Let nobody else begin; turns under way end
    Pause(OrderArgs),
    /// Go on with one that is paused
    Resume(OrderArgs),
    /// Give those that failed another turn, and go on
    Retry(OrderArgs),
    /// Bring all members that have the change back to what they were
    Rollback(OrderArgs),
    /// End it as it stands
    Abort(OrderArgs),
}

#[derive(Debug, Args)]
pub(super) struct OrderArgs {
    /// Which group, such as redis.default
    #[arg(value_name = "GROUP")]
    pub group: GroupId,
    #[command(flatten)]
    pub patience: LongPatience,
}

#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    /// Which group, such as redis.default
    #[arg(value_name = "GROUP")]
    pub group: GroupId,
    /// leader, healthy, members=N, release=NAME/VERSION/HASH, or rollout=done
    #[arg(long = "for", value_name = "CONDITION")]
    pub condition: Condition,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = period::parse)]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A service of this node, or a group
    #[arg(value_name = "SVC|GROUP")]
    pub target: Target,
}

#[derive(Debug, Args)]
pub(super) struct ShutdownArgs {
    #[command(flatten)]
    pub patience: Patience,
}

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// The plan's directory [default: the built-in demo service]
    #[arg(value_name = "DIR")]
    pub plan: Option<PathBuf>,
    /// How many nodes
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u8).range(1..=20))]
    pub nodes: u8,
    /// How the members relate [default: leader for the demo service, else standalone]
    #[arg(long, value_enum)]
    pub topology: Option<TopologyArg>,
    /// Which network the ring takes itself to be on
    #[arg(long, value_name = "PROFILE", default_value = "local")]
    pub profile: Profile,
    /// Bind a name of the plan to a group; may be repeated
    #[arg(long = "bind", value_name = "NAME:SVC.GROUP")]
    pub binds: Vec<BindSpec>,
    /// Keep the nodes' data and logs
    #[arg(long)]
    pub keep: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum PlanCommand {
    /// Check everything that can be known before start
    Check(CheckArgs),
    /// Render a plan's templates and hooks
    Render(RenderArgs),
    /// Pack a plan into one file, a release
    Pack(PackArgs),
}

#[derive(Debug, Args)]
pub(super) struct PackArgs {
    /// The plan's directory
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Where to write the release [default: NAME-VERSION-HASH.sup here, or beside DIR if this is within it]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Sign it with the key in this file [default: the setting signing-key]
    #[arg(long, value_name = "KEY")]
    pub sign: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ReleaseCommand {
    /// Show the releases of this node, and who needs them
    List,
    /// Verify a release of this node, and show its files
    Show(ReleaseArgs),
    /// Remove the releases that no group needs, but for the newest of each plan
    Gc,
    /// Make a key to sign releases with
    Key(KeyArgs),
}

#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    /// Which one, by its hash or its name
    #[arg(value_name = "HASH|NAME/VERSION/HASH")]
    pub release: Query,
}

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// Where to write the secret key: a file that is not there yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The plan's directory
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct RenderArgs {
    /// The plan's directory
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// JSON that is merged into the context that templates see
    #[arg(long, value_name = "FILE")]
    pub context: Option<PathBuf>,
}

/// [`Topology`], as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TopologyArg {
    Standalone,
    Leader,
}

impl From<TopologyArg> for Topology {
    fn from(topology: TopologyArg) -> Self {
        match topology {
            TopologyArg::Standalone => Self::Standalone,
            TopologyArg::Leader => Self::Leader,
        }
    }
}

/// [`Strategy`], as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StrategyArg {
    None,
    AtOnce,
    Rolling,
}

impl From<StrategyArg> for Strategy {
    fn from(strategy: StrategyArg) -> Self {
        match strategy {
            StrategyArg::None => Self::None,
            StrategyArg::AtOnce => Self::AtOnce,
            StrategyArg::Rolling => Self::Rolling,
        }
    }
}

/// [`BindingMode`], as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BindingModeArg {
    Strict,
    Relaxed,
}

impl From<BindingModeArg> for BindingMode {
    fn from(mode: BindingModeArg) -> Self {
        match mode {
            BindingModeArg::Strict => Self::Strict,
            BindingModeArg::Relaxed => Self::Relaxed,
        }
    }
}
