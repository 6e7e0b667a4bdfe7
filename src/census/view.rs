//! The shapes of the view. All of it is immutable and shared: a change makes a new [`GroupView`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::{FileName, GroupId, Hash, NodeId, Term};
use crate::records::value::{
    AskedParts, Desired, DesiredRelease, FileRevision, Health, MemberStatus, NodeFacts, Order, Rollout, RolloutOptions,
    ServiceState, Strategy, Target, Topology,
};

use super::goal::Goal;

/// Whether a node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Liveness {
    /// It answers.
    Alive,
    /// It missed a probe and has not yet refuted it.
    Suspect,
    /// It is taken for dead.
    Down,
    /// It left in good order.
    Left,
    /// It is gone for good, as a person said.
    Departed,
}

/// A node of the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// Where it is reached.
    pub address: SocketAddr,
    /// Whether it answers.
    pub liveness: Liveness,
    /// What it says of itself; the default until its record has arrived.
    pub facts: Arc<NodeFacts>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// The node that it runs on.
    pub node: NodeView,
    /// What it says of its service.
    pub status: Arc<MemberStatus>,
    /// Whether it holds the leader's seat, as far as this node knows. Of this node itself: only while its own lease
    /// runs.
    pub leader: bool,
    /// Whether it holds the updater's seat; as `leader`.
    pub updater: bool,
}

impl MemberView {
    /// Whether others may be sent to it: its node answers, its process is up, and its check does not say critical.
    #[must_use]
    pub fn serves(&self) -> bool {
        matches!(self.node.liveness, Liveness::Alive | Liveness::Suspect)
            && self.status.state == ServiceState::Up
            && self.status.health != Health::Critical
    }
}

/// Where the election of one seat stands, as seen from here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ElectionState {
    /// The group has no such seat.
    #[default]
    None,
    /// No holder is known, and one is sought.
    Running,
    /// No holder can be seated: too few members for a council, or too few voters answer.
    NoQuorum,
    /// A holder is known.
    Finished,
}

/// Who holds a seat, as last heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatView {
    /// The holder.
    pub node: NodeId,
    /// Its term.
    pub term: Term,
}

/// A group's council, as last heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CouncilView {
    /// Who votes, in the order of their ids.
    pub voters: Vec<NodeId>,
    /// The steward's term and the step within it.
    pub version: (Term, u64),
    /// How it is being changed, or why not yet, as this node sees it; empty if it is as it should be.
    pub change: String,
}

/// A group's config in force: that of its [`target`](GroupView::target).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigView {
    /// The revision's name, `SEQUENCE-HASH`.
    pub revision: String,
    /// The TOML text; empty after `unset`.
    pub toml: Arc<str>,
}

/// A file of a group, in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileView {
    /// The revision's name, `SEQUENCE-HASH`.
    pub revision: String,
    /// What was uploaded.
    pub value: Arc<FileRevision>,
}

/// A service group, as seen from one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// Which group.
    pub group: GroupId,
    /// The members' topology (the one of the lowest node id, should they differ).
    pub topology: Topology,
    /// The members' update strategy; as `topology`.
    pub strategy: Strategy,
    /// The election of the leader.
    pub election: ElectionState,
    /// Why there is no leader, for a person; empty while there is one or none is sought.
    pub election_why: String,
    /// The last leader heard of.
    pub leader: Option<SeatView>,
    /// The election of the updater.
    pub update_election: ElectionState,
    /// Why there is no updater, for a person; empty while there is one or none is sought.
    pub update_election_why: String,
    /// The last updater heard of.
    pub updater: Option<SeatView>,
    /// The council.
    pub council: Option<CouncilView>,
    /// The config in force; none if none was ever applied, or all were rolled back.
    pub config: Option<ConfigView>,
    /// The files in force.
    pub files: BTreeMap<FileName, FileView>,
    /// What the group should be; none if nobody said.
    pub desired: Option<Desired>,
    /// How changes of it are to be rolled out; none if nobody said.
    pub options: Option<RolloutOptions>,
    /// Which release it should run; none if nobody said.
    pub release: Option<DesiredRelease>,
    /// What every member is to be in the end: the newest release, config and state that were asked for, but for what was
    /// rolled back.
    pub target: Target,
    /// When the newest of them was asked for, as the records' clock has it; 0 if nothing ever was.
    pub asked: u64,
    /// When each part was asked for.
    pub asked_parts: AskedParts,
    /// The last order about the rollout, and when it was given, as the records' clock has it.
    pub order: Option<(u64, Order)>,
    /// The rollout, and the term of the updater that wrote it.
    pub rollout: Option<(Term, Arc<Rollout>)>,
    /// What this node's member is to be; none if it has none.
    pub goal: Option<Goal>,
    /// All members that were heard of and are not forgotten, by node id.
    pub members: BTreeMap<NodeId, MemberView>,
}

impl GroupView {
    /// One name for all files in force, by which to compare what members have; none if there are none.
    #[must_use]
    pub fn files_revision(&self) -> Option<String> {
        if self.files.is_empty() {
            return None;
        }
        let mut all = String::new();
        for (name, file) in &self.files {
            // A name has no line in it, and a revision no blank.
            all.extend([name.as_str(), " ", &file.revision, "\n"]);
        }
        Some(Hash::of(all.as_bytes()).short())
    }

    /// A group of which nothing is known.
    #[must_use]
    pub fn empty(group: GroupId) -> Self {
        Self {
            group,
            topology: Topology::Standalone,
            strategy: Strategy::None,
            election: ElectionState::None,
            election_why: String::new(),
            leader: None,
            update_election: ElectionState::None,
            update_election_why: String::new(),
            updater: None,
            council: None,
            config: None,
            files: BTreeMap::new(),
            desired: None,
            options: None,
            release: None,
            target: Target::default(),
            asked: 0,
            asked_parts: AskedParts::default(),
            order: None,
            rollout: None,
            goal: None,
            members: BTreeMap::new(),
        }
    }

    /// The members that others may be sent to, by node id.
    pub fn serving(&self) -> impl Iterator<Item = &MemberView> {
        self.members.values().filter(|member| member.serves())
    }
}
