//! A group's rollout.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::group::{DesiredView, Holder, MemberServiceState};
use super::node::MemberState;
use super::time::Time;
use crate::base::{GroupId, Hash, NodeId};
use crate::census::{GroupView, MemberView};
use crate::records::value::{
    self as records, Aftermath, Batch, DesiredState, Health, OnFailure, OrderKind, RolloutStatus, Strategy, Target,
    TurnKind, TurnPhase,
};

/// `GET /v1/groups/G/rollout`: how the last change reaches a group's members, whatever its strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutReport {
    /// The group.
    pub group: GroupId,
    /// How changes reach its members.
    pub strategy: Strategy,
    /// What the group should be.
    pub desired: DesiredView,
    /// How the next change is rolled out.
    pub options: RolloutOptions,
    /// The last updater heard of.
    pub updater: Option<Holder>,
    /// The rollout; none if the group never had one.
    pub rollout: Option<Rollout>,
    /// The group's members, by node id.
    pub members: Vec<RolloutMember>,
    /// Why it stands as it does, where a person may wonder.
    #[serde(default)]
    pub standing: Standing,
}

impl RolloutReport {
    /// The same, without what hooks and checks had to say.
    #[must_use]
    pub fn without_output(mut self) -> Self {
        let turns = self.members.iter_mut().filter_map(|member| member.turn.as_mut());
        turns.for_each(|turn| turn.output.clear());
        if let Some(rollout) = &mut self.rollout {
            rollout.failed.iter_mut().for_each(|failure| failure.output.clear());
        }
        self
    }
}

/// Why something stands as it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// A sentence each, the most important first; empty when there is nothing to wonder about.
    pub sentences: Vec<String>,
    /// The command that helps.
    pub next: Option<String>,
}

/// A change on its way through a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Which one.
    pub id: u64,
    /// How far it is.
    pub status: RolloutStatus,
    /// Why it stands as it does; empty when there is nothing to say.
    #[serde(default)]
    pub why: String,
    /// Which change it answers, as [`super::Acted::asked`].
    #[serde(default)]
    pub asked: u64,
    /// The last order that was obeyed, as [`super::Acted::asked`].
    #[serde(default)]
    pub obeyed: u64,
    /// What the members were.
    #[serde(default)]
    pub from: TargetView,
    /// What they are to be.
    #[serde(default)]
    pub to: TargetView,
    /// How it is carried out.
    #[serde(default)]
    pub options: RolloutOptions,
    /// When it began.
    #[serde(default)]
    pub started_at: Time,
    /// When it ended; none while it has not.
    #[serde(default)]
    pub ended_at: Option<Time>,
    /// The members that are what they are to be.
    pub done: Vec<NodeId>,
    /// The members whose turn it is.
    pub in_turn: Vec<NodeId>,
    /// The members that wait for theirs.
    pub waiting: Vec<NodeId>,
    /// The members on which it failed.
    pub failed: Vec<RolloutFailure>,
}

/// What a member should be, or is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetView {
    /// The release, `NAME/VERSION/HASH`, or its hash alone where nobody tells its name; none: the plan that each
    /// member was started with.
    pub release: Option<String>,
    /// The config's revision; none for the plan's defaults.
    pub config_revision: Option<String>,
    /// Whether it runs.
    pub state: DesiredState,
}

/// A member on which a rollout failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutFailure {
    /// Which member.
    pub node_id: NodeId,
    /// Where it is reached; empty while that is not known.
    #[serde(default)]
    pub address: String,
    /// Why.
    pub reason: String,
    /// The end of what the hook or the check had to say.
    #[serde(default)]
    pub output: String,
    /// Whether the member is what it was before again.
    #[serde(default)]
    pub restored: bool,
}

/// A member in a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutMember {
    /// The node that it runs on.
    pub node_id: NodeId,
    /// Where that node is reached.
    pub address: String,
    /// Whether that node answers.
    pub node_state: MemberState,
    /// What its service is doing.
    pub state: MemberServiceState,
    /// Why it is in that state; empty when there is nothing to say.
    pub why: String,
    /// What the health check said last.
    pub health: Health,
    /// Whether it leads.
    pub leader: bool,
    /// What it goes by; none before it first went by anything.
    pub target: Option<TargetView>,
    /// How far the change is with it.
    pub progress: MemberProgress,
    /// Its turn, while it has one.
    #[serde(default)]
    pub turn: Option<MemberTurn>,
}

/// How far a change is with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberProgress {
    /// It is what it is to be.
    Done,
    /// It is its turn.
    InTurn,
    /// Its turn failed.
    Failed,
    /// It is not yet what it is to be; also what an unknown progress of a newer node reads as.
    #[serde(other)]
    Waiting,
}

impl MemberProgress {
    /// The words that are shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::InTurn => "in turn",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
        }
    }
}

/// A member's turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberTurn {
    /// Its number.
    pub number: u64,
    /// Where it leads.
    pub kind: TurnKind,
    /// How far it is.
    pub phase: TurnPhase,
    /// What it waits for, or why it failed.
    pub why: String,
    /// The end of what the hook or the check had to say.
    pub output: String,
    /// Since when it is in that phase, by the member's own clock.
    pub since: Option<Time>,
}

/// How changes are rolled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RolloutOptions {
    /// How many members may be out at once: a number, or a part of the group such as `25%`.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub batch: Batch,
    /// For how long a member must be ok before its turn is done.
    pub min_healthy_ms: u64,
    /// Within which time a member must be ok.
    pub deadline_ms: u64,
    /// What follows a turn that failed.
    pub on_failure: OnFailure,
    /// With `continue`: how many members may fail.
    pub max_failures: u32,
    /// Whether a member that failed is put back on what it was.
    pub restore_failed: bool,
    /// Whether the application leader gives its seat away before it is stopped.
    pub hand_over_leader: bool,
    /// Whether a health check that warns is not ok.
    pub strict: bool,
}

impl Default for RolloutOptions {
    fn default() -> Self {
        records::RolloutOptions::default().into()
    }
}

impl From<records::RolloutOptions> for RolloutOptions {
    fn from(options: records::RolloutOptions) -> Self {
        let records::RolloutOptions {
            batch,
            min_healthy_ms,
            deadline_ms,
            on_failure,
            max_failures,
            restore_failed,
            hand_over_leader,
            strict,
        } = options;
        Self { batch, min_healthy_ms, deadline_ms, on_failure, max_failures, restore_failed, hand_over_leader, strict }
    }
}

impl From<RolloutOptions> for records::RolloutOptions {
    fn from(options: RolloutOptions) -> Self {
        let RolloutOptions {
            batch,
            min_healthy_ms,
            deadline_ms,
            on_failure,
            max_failures,
            restore_failed,
            hand_over_leader,
            strict,
        } = options;
        Self { batch, min_healthy_ms, deadline_ms, on_failure, max_failures, restore_failed, hand_over_leader, strict }
    }
}

/// Which of the options are to be others. What is not said stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptionsChange {
    /// As [`RolloutOptions::batch`].
    #[serde(
        serialize_with = "as_optional_text",
        deserialize_with = "from_optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub batch: Option<Batch>,
    /// As [`RolloutOptions::min_healthy_ms`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_healthy_ms: Option<u64>,
    /// As [`RolloutOptions::deadline_ms`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// As [`RolloutOptions::on_failure`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// As [`RolloutOptions::max_failures`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<u32>,
    /// As [`RolloutOptions::restore_failed`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_failed: Option<bool>,
    /// As [`RolloutOptions::hand_over_leader`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand_over_leader: Option<bool>,
    /// As [`RolloutOptions::strict`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

impl OptionsChange {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The options with this change.
    #[must_use]
    pub fn over(&self, options: records::RolloutOptions) -> records::RolloutOptions {
        records::RolloutOptions {
            batch: self.batch.unwrap_or(options.batch),
            min_healthy_ms: self.min_healthy_ms.unwrap_or(options.min_healthy_ms),
            deadline_ms: self.deadline_ms.unwrap_or(options.deadline_ms),
            on_failure: self.on_failure.unwrap_or(options.on_failure),
            max_failures: self.max_failures.unwrap_or(options.max_failures),
            restore_failed: self.restore_failed.unwrap_or(options.restore_failed),
            hand_over_leader: self.hand_over_leader.unwrap_or(options.hand_over_leader),
            strict: self.strict.unwrap_or(options.strict),
        }
    }
}

/// `POST /v1/groups/G/rollout/{pause,resume,retry,rollback,abort}`: the last part of its path.
#[must_use]
pub const fn order_word(order: OrderKind) -> &'static str {
    match order {
        OrderKind::Pause => "pause",
        OrderKind::Resume => "resume",
        OrderKind::Retry => "retry",
        OrderKind::Rollback => "rollback",
        OrderKind::Abort => "abort",
    }
}

/// The word for a rollout's status.
#[must_use]
pub const fn status_word(status: RolloutStatus) -> &'static str {
    match status {
        RolloutStatus::Running => "running",
        RolloutStatus::Paused => "paused",
        RolloutStatus::Halted => "halted",
        RolloutStatus::RollingBack => "rolling back",
        RolloutStatus::Done => "done",
        RolloutStatus::RolledBack => "rolled back",
        RolloutStatus::Aborted => "aborted",
    }
}

/// The word for a turn's phase.
#[must_use]
pub const fn phase_word(phase: TurnPhase) -> &'static str {
    match phase {
        TurnPhase::Granted => "granted",
        TurnPhase::Fetching => "fetching",
        TurnPhase::Applying => "applying",
        TurnPhase::Verifying => "verifying",
        TurnPhase::Done => "done",
        TurnPhase::Failed => "failed",
    }
}

/// The name of a release of a group; its hash where nobody tells its name.
#[must_use]
pub fn release_name(view: &GroupView, manifest: Hash) -> String {
    let known = view.release.iter().flat_map(|desired| std::iter::once(&desired.release).chain(&desired.earlier));
    let mut named = known.filter(|release| release.manifest == manifest).map(ToString::to_string);
    named.next().unwrap_or_else(|| manifest.short())
}

impl TargetView {
    /// A target of a group's member.
    #[must_use]
    pub fn of(view: &GroupView, target: &Target) -> Self {
        Self {
            release: target.release.map(|manifest| release_name(view, manifest)),
            config_revision: target.config.clone(),
            state: target.state,
        }
    }
}

impl Rollout {
    /// Whether it is done, and has brought all that the group should be.
    #[must_use]
    pub fn is_done_with(&self, desired: &DesiredView) -> bool {
        let DesiredView { release, config_revision, state, asked: _ } = desired;
        let TargetView { release: to_release, config_revision: to_config, state: to_state } = &self.to;
        self.status == RolloutStatus::Done && (release, config_revision, state) == (to_release, to_config, to_state)
    }

    /// The rollout of a group; none if it never had one.
    #[must_use]
    pub fn of(view: &GroupView) -> Option<Self> {
        let (_, rollout) = view.rollout.as_ref()?;
        let in_progress = |wanted: MemberProgress| {
            view.members
                .values()
                .filter(|member| progress(view, member) == wanted)
                .map(|member| member.node.id)
                .collect()
        };
        let address =
            |id: NodeId| view.members.get(&id).map(|member| member.node.address.to_string()).unwrap_or_default();
        let failed = rollout.failed.iter().map(|failure| RolloutFailure {
            node_id: failure.member,
            address: address(failure.member),
            reason: failure.reason.clone(),
            output: failure.output.clone(),
            restored: failure.aftermath == Aftermath::Restored,
        });
        Some(Self {
            id: rollout.id,
            status: rollout.status,
            why: rollout.why.clone(),
            asked: rollout.asked,
            obeyed: rollout.obeyed,
            from: TargetView::of(view, &rollout.from),
            to: TargetView::of(view, &rollout.to),
            options: rollout.options.into(),
            started_at: rollout.started_at.into(),
            ended_at: (rollout.ended_at.0 > 0).then(|| rollout.ended_at.into()),
            done: in_progress(MemberProgress::Done),
            in_turn: rollout.in_turn.iter().map(|grant| grant.member).collect(),
            waiting: in_progress(MemberProgress::Waiting),
            failed: failed.collect(),
        })
    }
}

impl RolloutReport {
    /// How a group's change goes.
    #[must_use]
    pub fn of(view: &GroupView) -> Self {
        let members = view.members.values().map(|member| RolloutMember {
            node_id: member.node.id,
            address: member.node.address.to_string(),
            node_state: member.node.liveness.into(),
            state: member.status.state.into(),
            why: member.status.why.clone(),
            health: member.status.health,
            leader: member.leader,
            target: member.status.target.as_ref().map(|target| TargetView::of(view, target)),
            progress: progress(view, member),
            turn: turn(view, member),
        });
        let group = super::Group::summary(view);
        Self {
            group: view.group.clone(),
            strategy: view.strategy,
            desired: group.desired,
            options: view.options.unwrap_or_default().into(),
            updater: group.updater,
            rollout: group.rollout,
            members: members.collect(),
            standing: Standing::default(),
        }
    }
}

/// How far the change is with a member: that of the rollout where there is one, else what the group should be.
fn progress(view: &GroupView, member: &MemberView) -> MemberProgress {
    let (to, record) = match (&view.rollout, view.strategy) {
        (Some((_, rollout)), Strategy::Rolling) => (&rollout.to, Some(rollout)),
        (Some(_) | None, _) => (&view.target, None),
    };
    if let Some(rollout) = record {
        if rollout.turn_of(member.node.id).is_some() {
            return MemberProgress::InTurn;
        }
        if rollout.failed.iter().any(|failure| failure.member == member.node.id) {
            return MemberProgress::Failed;
        }
    }
    if member.status.target.as_ref() == Some(to) { MemberProgress::Done } else { MemberProgress::Waiting }
}

fn turn(view: &GroupView, member: &MemberView) -> Option<MemberTurn> {
    let (_, rollout) = view.rollout.as_ref()?;
    let grant = rollout.turn_of(member.node.id)?;
    // What the member says of an earlier turn is none of this one.
    let report = member.status.turn.as_ref().filter(|report| report.turn == grant.turn);
    Some(MemberTurn {
        number: grant.turn,
        kind: grant.kind,
        phase: report.map_or(TurnPhase::Granted, |report| report.phase),
        why: report.map(|report| report.why.clone()).unwrap_or_default(),
        output: report.map(|report| report.output.clone()).unwrap_or_default(),
        since: report.filter(|report| report.since.0 > 0).map(|report| report.since.into()),
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn as_text<S: Serializer>(batch: &Batch, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(batch)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn as_optional_text<S: Serializer>(batch: &Option<Batch>, serializer: S) -> Result<S::Ok, S::Error> {
    match batch {
        Some(batch) => serializer.collect_str(batch),
        None => serializer.serialize_none(),
    }
}

fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Batch, D::Error> {
    match NumberOrText::deserialize(deserializer)? {
        NumberOrText::Number(number) => number.to_string().parse(),
        NumberOrText::Text(text) => text.parse(),
    }
    .map_err(serde::de::Error::custom)
}

fn from_optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Batch>, D::Error> {
    from_text(deserializer).map(Some)
}

/// What a program is likely to send.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::{OptionsChange, RolloutOptions};
    use crate::records::value::{self as records, Batch, OnFailure};

    #[test]
    fn options_are_written_in_words_and_read_back() {
        let options =
            RolloutOptions { batch: Batch::Percent(25), on_failure: OnFailure::Continue, ..Default::default() };
        let text = serde_json::to_string(&options).unwrap();
        assert!(text.starts_with(r#"{"batch":"25%","min_healthy_ms":5000,"#), "{text}");
        assert!(text.contains(r#""on_failure":"continue""#), "{text}");
        assert_eq!(serde_json::from_str::<RolloutOptions>(&text).unwrap(), options);
    }

    #[test]
    fn a_change_of_options_leaves_what_it_does_not_say() {
        let change: OptionsChange = serde_json::from_str(r#"{"batch":3,"strict":true}"#).unwrap();
        let before = records::RolloutOptions { max_failures: 9, ..records::RolloutOptions::default() };
        let after = change.over(before);
        assert_eq!(after, records::RolloutOptions { batch: Batch::Members(3), strict: true, ..before });
        assert!(!change.is_empty() && OptionsChange::default().is_empty());
        assert_eq!(serde_json::to_string(&change).unwrap(), r#"{"batch":"3","strict":true}"#);
        for wrong in [r#"{"batch":"0"}"#, r#"{"batches":"1"}"#, r#"{"on_failure":3}"#] {
            assert!(serde_json::from_str::<OptionsChange>(wrong).is_err(), "{wrong}");
        }
    }
}
