//! Groups and their members.

use serde::{Deserialize, Serialize};

use super::node::MemberState;
use super::rollout::Rollout;
use super::time::Time;
use crate::base::{GroupId, NodeId, Term};
use crate::census::{CouncilView, ElectionState, GroupView, MemberView, SeatView};
use crate::records::value::{DesiredState, Health, ServiceState, Strategy, Topology};

/// `POST /v1/groups/G/recover`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecoverRequest {
    /// That whoever asks knows what it may cost: if the lost voters live and cannot be reached, there are two leaders.
    pub accept_split_brain_risk: bool,
}

/// What a recovery that has begun does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The group.
    pub group: GroupId,
    /// The voters that are given up.
    pub lost: Vec<NodeId>,
    /// The council that is given up, as [`Council::version`] has it.
    pub version: (Term, u64),
}

/// `GET /v1/groups`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// All groups, by name, without their members.
    pub groups: Vec<Group>,
}

/// `GET /v1/groups/G`: a group as seen from the node that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Which group.
    pub group: GroupId,
    /// How its members relate.
    pub topology: Topology,
    /// How changes reach them.
    pub strategy: Strategy,
    /// Where the leader's election stands.
    pub election: ElectionState,
    /// Why there is no leader; empty while there is one or none is sought.
    #[serde(default)]
    pub election_why: String,
    /// The last leader heard of.
    pub leader: Option<Holder>,
    /// The last updater heard of.
    pub updater: Option<Holder>,
    /// Who votes.
    pub council: Option<Council>,
    /// What the group should be.
    pub desired: DesiredView,
    /// The change that is being rolled out.
    #[serde(default)]
    pub rollout: Option<Rollout>,
    /// How many members it has, those that do not answer included.
    #[serde(default)]
    pub members_total: usize,
    /// How many of them serve: the node answers, the process is up, the check does not say critical.
    #[serde(default)]
    pub members_serving: usize,
    /// Its members by node id; absent in the list of groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<GroupMember>>,
}

/// Who holds a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The holder.
    pub node_id: NodeId,
    /// Where it is reached; empty while that is not known.
    pub address: String,
    /// Its term.
    pub term: Term,
}

/// Who votes on a group's seats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Council {
    /// The voters, in the order of their ids.
    pub voters: Vec<NodeId>,
    /// The steward's term and the step within it.
    pub version: (Term, u64),
    /// How it is being changed, or why not yet, as the node that was asked sees it; empty if it is as it should be.
    #[serde(default)]
    pub change: String,
}

/// What a group should be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredView {
    /// The release; none if nobody set one.
    pub release: Option<String>,
    /// The config's revision; none for the plan's defaults.
    pub config_revision: Option<String>,
    /// Whether its members should run.
    pub state: DesiredState,
    /// When the newest of these was asked for, as [`super::Acted::asked`].
    #[serde(default)]
    pub asked: u64,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMember {
    /// The node that it runs on.
    pub node_id: NodeId,
    /// Where that node is reached.
    pub address: String,
    /// What its service is doing.
    pub state: MemberServiceState,
    /// Why it is in that state; empty when there is nothing to say.
    pub why: String,
    /// What the health check said last.
    pub health: Health,
    /// Whether it leads.
    pub leader: bool,
    /// How suited it is to lead; none while not known.
    pub suitability: Option<u64>,
    /// The release that it runs.
    pub release: String,
    /// The config revision that it has rendered; none for the plan's defaults.
    pub config_revision: Option<String>,
    /// What the group's files came to when all of them were last in place on it, as [`super::Files::revision`] names it;
    /// none for no files.
    #[serde(default)]
    pub files_revision: Option<String>,
    /// The process, while there is one.
    pub pid: Option<u32>,
    /// Since when it is in this state.
    pub since: Time,
    /// Restarts since it was loaded.
    pub restarts: u32,
    /// Whether its node answers.
    #[serde(default = "alive")]
    pub node_state: MemberState,
}

const fn alive() -> MemberState {
    MemberState::Alive
}

/// What a member's service is doing: [`ServiceState`] with all kinds of waiting taken together, since `why` tells them
/// apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberServiceState {
    /// The process runs.
    Up,
    /// It is being prepared or launched.
    Starting,
    /// It was asked to stop.
    Stopping,
    /// Stopped on request.
    Down,
    /// It ended unasked, and is started again after a delay.
    Backoff,
    /// It cannot run until a person changes something.
    Failed,
    /// It waits for the ring, a bind or a leader; also what an unknown state of a newer node reads as.
    #[serde(other)]
    Waiting,
}

impl MemberServiceState {
    /// The word that is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Down => "down",
            Self::Backoff => "backoff",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
        }
    }
}

impl From<ServiceState> for MemberServiceState {
    fn from(state: ServiceState) -> Self {
        match state {
            ServiceState::Up => Self::Up,
            ServiceState::Initializing | ServiceState::Starting => Self::Starting,
            ServiceState::Stopping => Self::Stopping,
            ServiceState::Down => Self::Down,
            ServiceState::Backoff => Self::Backoff,
            ServiceState::Failed => Self::Failed,
            ServiceState::Loaded
            | ServiceState::WaitingForRing
            | ServiceState::WaitingForBinds
            | ServiceState::WaitingForLeader => Self::Waiting,
        }
    }
}

impl From<&MemberView> for GroupMember {
    fn from(view: &MemberView) -> Self {
        let status = &view.status;
        Self {
            node_id: view.node.id,
            address: view.node.address.to_string(),
            state: status.state.into(),
            why: status.why.clone(),
            health: status.health,
            leader: view.leader,
            suitability: status.suitability,
            release: status.release.clone(),
            config_revision: status.config_revision.clone(),
            files_revision: status.files_revision.clone(),
            pid: status.pid,
            since: status.since.into(),
            restarts: status.restarts,
            node_state: view.node.liveness.into(),
        }
    }
}

impl From<&CouncilView> for Council {
    fn from(view: &CouncilView) -> Self {
        Self { voters: view.voters.clone(), version: view.version, change: view.change.clone() }
    }
}

impl Group {
    /// The group as a line of the list of groups: without its members.
    #[must_use]
    pub fn summary(view: &GroupView) -> Self {
        let holder = |seat: &SeatView| Holder {
            node_id: seat.node,
            address: view.members.get(&seat.node).map(|member| member.node.address.to_string()).unwrap_or_default(),
            term: seat.term,
        };
        Self {
            group: view.group.clone(),
            topology: view.topology,
            strategy: view.strategy,
            election: view.election,
            election_why: view.election_why.clone(),
            leader: view.leader.as_ref().map(holder),
            updater: view.updater.as_ref().map(holder),
            council: view.council.as_ref().map(Council::from),
            desired: DesiredView {
                release: view.release.as_ref().map(|desired| desired.release.to_string()),
                config_revision: view.config.as_ref().map(|config| config.revision.clone()),
                state: view.desired.as_ref().map(|desired| desired.state).unwrap_or_default(),
                asked: view.asked,
            },
            rollout: Rollout::of(view),
            members_total: view.members.len(),
            members_serving: view.serving().count(),
            members: None,
        }
    }

    /// The group with its members.
    #[must_use]
    pub fn full(view: &GroupView) -> Self {
        Self { members: Some(view.members.values().map(GroupMember::from).collect()), ..Self::summary(view) }
    }
}
