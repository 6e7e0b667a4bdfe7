//! What the records about releases and rollouts say.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::value::{DesiredState, is_default};
use crate::base::{Hash, NodeId, ReleaseRef, Wall};

/// What a member of a group should be, or is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// The release, by the hash of its manifest; none: the plan that the member was started with.
    #[serde(skip_serializing_if = "is_default")]
    pub release: Option<Hash>,
    /// The revision of the group's config; none: the plan's defaults.
    #[serde(skip_serializing_if = "is_default")]
    pub config: Option<String>,
    /// Whether it runs.
    #[serde(skip_serializing_if = "is_default")]
    pub state: DesiredState,
}

/// Which release a group should run (key [`super::Key::release`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredRelease {
    /// The release.
    pub release: ReleaseRef,
    /// The releases that it may have to go back to, newest first, so that a member that lacks one knows where to look
    /// for it. At most [`DesiredRelease::EARLIER_MAX`].
    #[serde(default)]
    pub earlier: Vec<ReleaseRef>,
    /// When it was set.
    #[serde(default)]
    pub at: Wall,
    /// The node that it was set on.
    #[serde(default)]
    pub by: Option<NodeId>,
}

impl DesiredRelease {
    /// How many earlier releases are named.
    pub const EARLIER_MAX: usize = 5;
}

/// How changes of a group are rolled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct RolloutOptions {
    /// How many members may be out at once.
    pub batch: Batch,
    /// For how long a member must be ok before its turn is done, in milliseconds.
    pub min_healthy_ms: u64,
    /// Within which time a member must be ok, in milliseconds.
    pub deadline_ms: u64,
    /// What follows a turn that failed.
    pub on_failure: OnFailure,
    /// With [`OnFailure::Continue`]: how many members may fail.
    pub max_failures: u32,
    /// Whether a member that failed is put back on what it was.
    pub restore_failed: bool,
    /// Whether the application leader gives its seat to another member before it is stopped for its turn.
    pub hand_over_leader: bool,
    /// Whether a health check that warns is not ok.
    pub strict: bool,
}

impl Default for RolloutOptions {
    fn default() -> Self {
        Self {
            batch: Batch::default(),
            min_healthy_ms: 5_000,
            deadline_ms: 300_000,
            on_failure: OnFailure::Halt,
            max_failures: 1,
            restore_failed: true,
            hand_over_leader: true,
            strict: false,
        }
    }
}

/// How many members may be out at once because of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Batch {
    /// This many.
    Members(u32),
    /// This part of the group, rounded down.
    Percent(u32),
}

impl Default for Batch {
    fn default() -> Self {
        Self::Members(1)
    }
}

impl Batch {
    /// How many that is of a group of this size: at least one.
    #[must_use]
    pub fn of(self, members: usize) -> usize {
        match self {
            Self::Members(number) => usize::try_from(number).unwrap_or(usize::MAX),
            Self::Percent(percent) => members.saturating_mul(usize::try_from(percent).unwrap_or(usize::MAX)) / 100,
        }
        .max(1)
    }
}

/// A text does not say how many members may be out at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a batch is a number of members, such as 2, or a part of the group, such as 25%: not {0:?}")]
pub struct BatchError(String);

impl FromStr for Batch {
    type Err = BatchError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Nobody could ever have a turn in a batch of none.
        let number = |digits: &str| digits.parse::<u32>().ok().filter(|number| *number > 0);
        let batch = match text.strip_suffix('%') {
            Some(digits) => number(digits).filter(|percent| *percent <= 100).map(Self::Percent),
            None => number(text).map(Self::Members),
        };
        batch.ok_or_else(|| BatchError(text.to_owned()))
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members(number) => f.pad(&number.to_string()),
            Self::Percent(percent) => f.pad(&format!("{percent}%")),
        }
    }
}

/// What follows a turn that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Every member done so far goes back.
    Rollback,
    /// The others take their turns all the same.
    Continue,
    /// Nobody else is touched.
    #[default]
    #[serde(other)]
    Halt,
}

/// How far a group's rollout is (key [`super::Key::rollout`], fenced by the updater's term).
///
/// Who is done and who waits is not in it: that is what each member's own [`Target`] says. So it stays small however
/// large the group is, and nobody is updated twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rollout {
    /// One more than that of the rollout before.
    pub id: u64,
    /// Grows with every version of the record, over all rollouts of the group.
    pub step: u64,
    /// The time of the newest record that asked for `to`, as the records' clock has it.
    pub asked: u64,
    /// When each part of `to` was asked for. What was asked for by then comes to this rollout, however that ended; what
    /// was asked for later supersedes it.
    pub asked_parts: AskedParts,
    /// What the group was before: the last state that is known to be good.
    pub from: Target,
    /// What it is to be.
    pub to: Target,
    /// How.
    pub options: RolloutOptions,
    /// How it stands.
    pub status: RolloutStatus,
    /// Who may be changing at this moment.
    pub in_turn: Vec<Grant>,
    /// Whose turns failed.
    pub failed: Vec<Failure>,
    /// The number of the next turn. Grows over all rollouts of the group.
    pub next_turn: u64,
    /// The time of the last order that was obeyed, as the records' clock has it.
    pub obeyed: u64,
    /// When it began.
    pub started_at: Wall,
    /// When it ended; zero while it has not.
    pub ended_at: Wall,
    /// Why it stands as it does, for a person; empty when there is nothing to say.
    pub why: String,
}

/// When each part of a target was asked for, as the records' clock has it; 0 if it never was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct AskedParts {
    /// The release.
    pub release: u64,
    /// The config.
    pub config: u64,
    /// Whether it runs.
    pub state: u64,
}

impl AskedParts {
    /// When the newest part was asked for.
    #[must_use]
    pub fn newest(self) -> u64 {
        self.release.max(self.config).max(self.state)
    }

    /// Whether a part was asked for since.
    #[must_use]
    pub fn is_newer_than(self, earlier: Self) -> bool {
        self.release > earlier.release || self.config > earlier.config || self.state > earlier.state
    }

    /// Of each part the later time.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            release: self.release.max(other.release),
            config: self.config.max(other.config),
            state: self.state.max(other.state),
        }
    }
}

impl Rollout {
    /// What everything comes to that was asked for up to now: what it brings, or what the group went back to. A release
    /// that was rolled back does not come back with the next config.
    #[must_use]
    pub fn outcome(&self) -> &Target {
        match self.status {
            RolloutStatus::RollingBack | RolloutStatus::RolledBack => &self.from,
            RolloutStatus::Running
            | RolloutStatus::Paused
            | RolloutStatus::Halted
            | RolloutStatus::Done
            | RolloutStatus::Aborted => &self.to,
        }
    }

    /// What a member that has no turn is to be.
    #[must_use]
    pub fn base(&self) -> &Target {
        match self.status {
            RolloutStatus::Done => &self.to,
            RolloutStatus::Running
            | RolloutStatus::Paused
            | RolloutStatus::Halted
            | RolloutStatus::RollingBack
            | RolloutStatus::RolledBack
            | RolloutStatus::Aborted => &self.from,
        }
    }

    /// The turn of a member, if it has one.
    #[must_use]
    pub fn turn_of(&self, member: NodeId) -> Option<&Grant> {
        self.in_turn.iter().find(|grant| grant.member == member)
    }
}

/// How a rollout stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutStatus {
    /// Members take their turns.
    Running,
    /// A person wants nobody to begin.
    Paused,
    /// A turn failed: nobody begins until a person says how to go on.
    Halted,
    /// Members that were done go back.
    RollingBack,
    /// Every member that is there is what it should be.
    Done,
    /// All that were done have gone back.
    RolledBack,
    /// A person ended it; also what an unknown status of a newer node reads as, since that touches nobody.
    #[default]
    #[serde(other)]
    Aborted,
}

/// The turn of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whose.
    pub member: NodeId,
    /// Its number.
    pub turn: u64,
    /// Where it leads.
    pub kind: TurnKind,
}

/// Where a turn leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TurnKind {
    /// To what the group is to be.
    Forward,
    /// Back, since this member's turn forward failed.
    Restore,
    /// Back, since the whole group goes back; also an unknown kind of a newer node.
    #[default]
    #[serde(other)]
    Back,
}

/// A turn that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose turn.
    pub member: NodeId,
    /// Its number.
    pub turn: u64,
    /// Why, for a person.
    #[serde(default)]
    pub reason: String,
    /// The end of what the hook or the check had to say.
    #[serde(default)]
    pub output: String,
    /// What became of the member then.
    #[serde(default)]
    pub aftermath: Aftermath,
    /// Whether it takes another turn.
    #[serde(default)]
    pub again: bool,
}

impl Failure {
    /// Of a member that is yet to be put back.
    #[must_use]
    pub const fn new(member: NodeId, turn: u64, reason: String, output: String) -> Self {
        Self { member, turn, reason, output, aftermath: Aftermath::Waits, again: false }
    }
}

/// What becomes of a member whose turn failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aftermath {
    /// It is what it was before, and has shown it.
    Restored,
    /// Putting it back failed, too.
    Stuck,
    /// It does not answer, and a person went on without it.
    WrittenOff,
    /// It is yet to be put back, and taken for out until then; also what an unknown word of a newer node reads as.
    #[default]
    #[serde(other)]
    Waits,
}

/// How far a member is in its turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnReport {
    /// Of which rollout.
    #[serde(skip_serializing_if = "is_default")]
    pub rollout: u64,
    /// Which turn.
    #[serde(skip_serializing_if = "is_default")]
    pub turn: u64,
    /// How far.
    #[serde(skip_serializing_if = "is_default")]
    pub phase: TurnPhase,
    /// Why, for a person: what it waits for, or why it failed.
    #[serde(skip_serializing_if = "is_default")]
    pub why: String,
    /// The end of what the hook or the check had to say, at most [`TurnReport::OUTPUT_BYTES`].
    #[serde(skip_serializing_if = "is_default")]
    pub output: String,
    /// Since when it is in this phase, by the member's own clock; zero if it does not say.
    #[serde(skip_serializing_if = "is_default")]
    pub since: Wall,
}

impl TurnReport {
    /// Most bytes of a hook's or check's output that go round the ring.
    pub const OUTPUT_BYTES: usize = 2048;
}

/// A phase of a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TurnPhase {
    /// It may begin.
    Granted,
    /// The release is on its way.
    Fetching,
    /// The process is being changed, or stopped and started.
    Applying,
    /// It is up and has to prove that it stays ok.
    Verifying,
    /// It is what it should be.
    Done,
    /// It is not; also what an unknown phase of a newer node reads as.
    #[default]
    #[serde(other)]
    Failed,
}

/// What a person wants of a rollout (key [`super::Key::order`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Order {
    /// What.
    pub what: OrderKind,
    /// Of which rollout.
    pub rollout: u64,
    /// When it was given.
    pub at: Wall,
    /// The node that it was given to.
    pub by: Option<NodeId>,
}

/// What can be wanted of a rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderKind {
    /// Go on.
    Resume,
    /// Give those that failed another turn, and go on.
    Retry,
    /// Bring all that are done back.
    Rollback,
    /// End it as it stands.
    Abort,
    /// Turns under way end, and nobody else begins. Also what an unknown order of a newer node reads as.
    #[default]
    #[serde(other)]
    Pause,
}

#[cfg(test)]
mod tests {
    use super::{Batch, Rollout, RolloutOptions, RolloutStatus, Target};

    #[test]
    fn a_part_of_a_group_is_rounded_down_and_never_nobody() {
        assert_eq!(Batch::Members(3).of(2), 3);
        assert_eq!(Batch::Members(0).of(10), 1);
        assert_eq!(Batch::Percent(25).of(10), 2);
        assert_eq!(Batch::Percent(5).of(10), 1);
    }

    #[test]
    fn a_batch_is_read_as_it_is_shown_and_nobody_is_no_batch() {
        for text in ["1", "30", "1%", "100%"] {
            assert_eq!(text.parse::<Batch>().unwrap().to_string(), text);
        }
        for text in ["", "0", "0%", "101%", "-1", "1.5", "%", "half", "4294967296"] {
            assert!(text.parse::<Batch>().is_err(), "{text:?} was taken for a batch");
        }
    }

    #[test]
    fn only_a_rollout_that_is_done_makes_the_new_state_the_one_to_start_with() {
        let to = Target { config: Some("2-b".to_owned()), ..Target::default() };
        let rollout = |status| Rollout { to: to.clone(), status, ..Rollout::default() };
        assert_eq!(rollout(RolloutStatus::Done).base(), &to);
        for status in [RolloutStatus::Running, RolloutStatus::Halted, RolloutStatus::RolledBack] {
            assert_eq!(rollout(status).base(), &Target::default());
        }
    }

    #[test]
    fn options_that_are_not_said_have_their_defaults() {
        let options: RolloutOptions = serde_json::from_str(r#"{"batch":{"percent":20}}"#).unwrap();
        assert_eq!(options, RolloutOptions { batch: Batch::Percent(20), ..RolloutOptions::default() });
    }
}
