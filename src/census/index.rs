//! The index of membership and records by group, from which the views are built.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::base::{BlobRef, FileName, GroupId, NodeId, Seat, Term};
use crate::records::value::{
    self, ConfigRevision, CouncilFacts, Departure, Desired, DesiredOptions, DesiredRelease, FileContent, FileRevision,
    MemberStatus, NodeFacts, Order, Rollout, RolloutOptions, SeatHolder, ValueError,
};
use crate::records::{Key, Kind, Record, Stamp};

use super::build;
use super::goal::Goal;
use super::history::{self, ConfigEntry, FileEntry, Revisions};
use super::view::{ConfigView, ElectionState, GroupView, Liveness, NodeView, SeatView};

/// The view of the ring, kept up to date as membership and records change.
#[derive(Debug, Clone)]
pub struct Census {
    pub(super) me: NodeId,
    pub(super) nodes: BTreeMap<NodeId, NodeView>,
    /// What nodes say of themselves that the ring does not know yet: a record may outrun the membership.
    pub(super) facts: BTreeMap<NodeId, Arc<NodeFacts>>,
    pub(super) groups: BTreeMap<GroupId, GroupEntry>,
    /// Who is gone for good.
    pub(super) departed: BTreeMap<NodeId, Departure>,
    /// The groups that a node is a member of: what has to be rebuilt when the node changes.
    memberships: BTreeMap<NodeId, BTreeSet<GroupId>>,
    views: BTreeMap<GroupId, Arc<GroupView>>,
    watched: BTreeSet<GroupId>,
    /// The groups of which something changed since the last refresh, with the members concerned.
    dirty: BTreeMap<GroupId, BTreeSet<NodeId>>,
    nodes_changed: bool,
}

/// All that is known of one group.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupEntry {
    pub(super) members: BTreeMap<NodeId, Arc<MemberStatus>>,
    pub(super) seats: BTreeMap<Seat, SeatHolder>,
    /// The last holder that each seat had: shown until the next one is known, so that a hand-over does not make
    /// everybody render a config without a leader in between.
    pub(super) last_holder: BTreeMap<Seat, SeatView>,
    pub(super) council: Option<CouncilFacts>,
    pub(super) council_change: String,
    pub(super) configs: Revisions<ConfigRevision>,
    pub(super) files: BTreeMap<FileName, Revisions<FileRevision>>,
    pub(super) desired: Option<(Stamp, Desired)>,
    pub(super) options: Option<RolloutOptions>,
    pub(super) release: Option<(Stamp, DesiredRelease)>,
    /// The last order about the rollout.
    pub(super) order: Option<(Stamp, Order)>,
    pub(super) rollout: Option<(Stamp, Arc<Rollout>)>,
    /// What this node's member of the group is to be; none if it has none.
    pub(super) goal: Option<Goal>,
    /// What this node's own election of a seat says; none for groups in whose elections it has no part.
    pub(super) elections: BTreeMap<Seat, (ElectionState, String)>,
    /// The seats that this node holds.
    pub(super) held: BTreeMap<Seat, Term>,
}

impl GroupEntry {
    /// Nothing is known of it. What is dropped then does not come again: records tell only of their changes.
    fn is_empty(&self) -> bool {
        !self.is_shown()
            && self.seats.is_empty()
            && self.council.is_none()
            && self.rollout.is_none()
            && self.order.is_none()
    }

    /// There is something about it that people want to see.
    fn is_shown(&self) -> bool {
        !(self.members.is_empty()
            && self.configs.is_empty()
            && self.files.is_empty()
            && self.desired.is_none()
            && self.options.is_none()
            && self.release.is_none()
            && self.elections.is_empty())
    }
}

/// What [`Census::refresh`] found changed.
#[must_use]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whether the list of nodes changed.
    pub nodes: bool,
    /// The watched groups whose views changed, each with the members that are shown otherwise than before, came, or
    /// went: in a large group each of them changes often, and whoever follows it need not look at all of them.
    pub groups: BTreeMap<GroupId, BTreeSet<NodeId>>,
}

/// A record cannot be read. It is ignored here, and carried along for those who can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {key} cannot be read: {why}")]
pub struct Unreadable {
    /// Which record.
    pub key: String,
    /// Why.
    pub why: String,
}

impl Unreadable {
    fn of(record: &Record, error: &ValueError) -> Self {
        let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        Self { key: record.key.to_string(), why: format!("{error}{cause}") }
    }
}

/// Of two revisions that were made at the same time, this one lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    /// Of which group.
    pub group: GroupId,
    /// Of which of its files; none: of its config.
    pub file: Option<FileName>,
    /// The revision that lost.
    pub revision: String,
    /// The one in force.
    pub by: String,
}

impl Census {
    /// An empty view, as seen from `me`.
    #[must_use]
    pub fn new(me: NodeId) -> Self {
        Self {
            me,
            nodes: BTreeMap::new(),
            facts: BTreeMap::new(),
            groups: BTreeMap::new(),
            departed: BTreeMap::new(),
            memberships: BTreeMap::new(),
            views: BTreeMap::new(),
            watched: BTreeSet::new(),
            dirty: BTreeMap::new(),
            nodes_changed: false,
        }
    }

    /// The ring knows this of a node.
    pub fn set_node(&mut self, id: NodeId, address: SocketAddr, liveness: Liveness) {
        let facts = self.facts.get(&id).cloned().unwrap_or_default();
        let liveness = match liveness {
            _ if self.departed.contains_key(&id) => Liveness::Departed,
            // It said goodbye before it fell silent: that silence is not a death.
            Liveness::Down | Liveness::Suspect if facts.left => Liveness::Left,
            Liveness::Alive | Liveness::Suspect | Liveness::Down | Liveness::Left | Liveness::Departed => liveness,
        };
        let view = NodeView { id, address, liveness, facts };
        if self.nodes.get(&id) != Some(&view) {
            self.nodes.insert(id, view);
            self.touch_node(id);
        }
    }

    /// Nothing is known of a node any more.
    pub fn forget_node(&mut self, id: NodeId) {
        self.facts.remove(&id);
        if self.nodes.remove(&id).is_some() {
            self.touch_node(id);
        }
    }

    /// Takes in a record that was added, changed, deleted (`record.value` is none) or dropped.
    ///
    /// # Errors
    /// Its value cannot be read. Then the view keeps what it had.
    pub fn apply(&mut self, record: &Record) -> Result<Option<Superseded>, Unreadable> {
        let unreadable = |error: ValueError| Unreadable::of(record, &error);
        match record.key.kind() {
            Kind::Node(id) => {
                let facts: Option<NodeFacts> = value::decode(record).map_err(unreadable)?;
                self.set_facts(id, facts);
            }
            Kind::Service(group, id) => {
                let status: Option<MemberStatus> = value::decode(record).map_err(unreadable)?;
                self.set_member(&group, id, status);
            }
            Kind::Config(group, revision) => {
                let value: Option<ConfigRevision> = value::decode(record).map_err(unreadable)?;
                return Ok(self.set_config(&group, revision, record.stamp, value));
            }
            Kind::File(group, name, revision) => {
                let value: Option<FileRevision> = value::decode(record).map_err(unreadable)?;
                return Ok(self.set_file(&group, &name, revision, record.stamp, value));
            }
            Kind::Desired(group) => {
                let desired: Option<Desired> = value::decode(record).map_err(unreadable)?;
                self.change(&group, |entry| entry.desired = desired.map(|desired| (record.stamp, desired)));
            }
            Kind::Options(group) => {
                let options: Option<DesiredOptions> = value::decode(record).map_err(unreadable)?;
                self.change(&group, |entry| entry.options = options.map(|options| options.options));
            }
            Kind::Release(group) => {
                let release: Option<DesiredRelease> = value::decode(record).map_err(unreadable)?;
                self.change(&group, |entry| entry.release = release.map(|release| (record.stamp, release)));
            }
            Kind::Order(group) => {
                let order: Option<Order> = value::decode(record).map_err(unreadable)?;
                self.change(&group, |entry| entry.order = order.map(|order| (record.stamp, order)));
            }
            Kind::Departed(id) => {
                let departure: Option<Departure> = value::decode(record).map_err(unreadable)?;
                self.set_departure(id, departure);
            }
            Kind::Rollout(group) => {
                let rollout: Option<Rollout> = value::decode(record).map_err(unreadable)?;
                self.change(&group, |entry| entry.rollout = rollout.map(|rollout| (record.stamp, Arc::new(rollout))));
            }
            Kind::Seat(group, seat) => {
                let holder: Option<SeatHolder> = value::decode(record).map_err(unreadable)?;
                self.change(&group, |entry| entry.set_seat(seat, holder));
            }
            Kind::Council(group) => {
                let council = value::decode(record).map_err(unreadable)?;
                self.change(&group, |entry| entry.council = council);
            }
            // Who may ask for what is no business of the view.
            Kind::Token(_) | Kind::Unknown => {}
        }
        Ok(None)
    }

    /// A record is gone from this node without a tombstone.
    pub fn forget(&mut self, key: &Key) {
        match key.kind() {
            Kind::Node(id) => self.set_facts(id, None),
            Kind::Service(group, id) => self.set_member(&group, id, None),
            Kind::Config(group, revision) => self.change(&group, |entry| {
                entry.configs.remove(&revision);
            }),
            Kind::File(group, name, revision) => self.change(&group, |entry| entry.remove_file(&name, &revision)),
            Kind::Desired(group) => self.change(&group, |entry| entry.desired = None),
            Kind::Options(group) => self.change(&group, |entry| entry.options = None),
            Kind::Release(group) => self.change(&group, |entry| entry.release = None),
            Kind::Order(group) => self.change(&group, |entry| entry.order = None),
            Kind::Departed(id) => self.set_departure(id, None),
            Kind::Rollout(group) => self.change(&group, |entry| entry.rollout = None),
            Kind::Seat(group, seat) => self.change(&group, |entry| entry.set_seat(seat, None)),
            Kind::Council(group) => self.change(&group, |entry| entry.council = None),
            Kind::Token(_) | Kind::Unknown => {}
        }
    }

    /// What this node's own election of a seat says.
    pub fn set_election(&mut self, group: &GroupId, seat: &Seat, state: ElectionState, why: &str) {
        let known = self.groups.get(group).and_then(|entry| entry.elections.get(seat));
        if known.is_some_and(|(s, w)| *s == state && w == why) {
            return;
        }
        self.change(group, |entry| {
            entry.elections.insert(seat.clone(), (state, why.to_owned()));
        });
    }

    /// How the council of a group is being changed, or why not yet.
    pub fn set_council_change(&mut self, group: &GroupId, change: &str) {
        if self.groups.get(group).map_or("", |entry| entry.council_change.as_str()) != change {
            self.change(group, |entry| change.clone_into(&mut entry.council_change));
        }
    }

    /// Whether this node holds a seat, and in which term.
    pub fn set_held(&mut self, group: &GroupId, seat: &Seat, term: Option<Term>) {
        self.change(group, |entry| match term {
            Some(term) => {
                entry.held.insert(seat.clone(), term);
            }
            None => {
                entry.held.remove(seat);
            }
        });
    }

    /// What this node's member of a group is to be; none if it has none.
    pub fn set_goal(&mut self, group: &GroupId, goal: Option<Goal>) {
        if self.groups.get(group).is_some_and(|entry| entry.goal == goal) {
            return;
        }
        self.change(group, |entry| entry.goal = goal);
    }

    /// This node has no part in the elections of a group any more.
    pub fn drop_elections(&mut self, group: &GroupId) {
        self.change(group, |entry| {
            entry.elections.clear();
            entry.council_change.clear();
            entry.held.clear();
        });
    }

    /// Reports changes of this group from now on, beginning with its present state.
    pub fn watch(&mut self, group: &GroupId) {
        if self.watched.insert(group.clone()) {
            self.dirty.entry(group.clone()).or_default();
        }
    }

    /// Reports changes of this group no more.
    pub fn unwatch(&mut self, group: &GroupId) {
        self.watched.remove(group);
        self.views.remove(group);
    }

    /// Rebuilds what changed, of what is watched.
    pub fn refresh(&mut self) -> Changes {
        let mut changes = Changes { nodes: std::mem::take(&mut self.nodes_changed), groups: BTreeMap::new() };
        for (group, touched) in std::mem::take(&mut self.dirty) {
            if self.groups.get(&group).is_some_and(GroupEntry::is_empty) {
                self.groups.remove(&group);
            }
            if !self.watched.contains(&group) {
                continue;
            }
            match self.views.remove(&group) {
                None => {
                    let view = build::group(self, &group);
                    changes.groups.insert(group.clone(), view.members.keys().copied().collect());
                    self.views.insert(group, Arc::new(view));
                }
                Some(mut view) => {
                    if let Some(members) = build::renew(self, &mut view, touched) {
                        changes.groups.insert(group.clone(), members);
                    }
                    self.views.insert(group, view);
                }
            }
        }
        changes
    }

    /// The view of a group; of one that nobody has heard of, an empty one.
    #[must_use]
    pub fn group(&self, group: &GroupId) -> Arc<GroupView> {
        match self.views.get(group) {
            Some(view) if !self.dirty.contains_key(group) => Arc::clone(view),
            Some(_) | None => Arc::new(build::group(self, group)),
        }
    }

    /// All groups that have members, a config or a desired state, in the order of their names.
    pub fn group_ids(&self) -> impl Iterator<Item = &GroupId> {
        self.groups.iter().filter(|(_, entry)| entry.is_shown()).map(|(group, _)| group)
    }

    /// All nodes, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeView> {
        self.nodes.values()
    }

    /// One node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&NodeView> {
        self.nodes.get(&id)
    }

    /// The members of a group and what they say, without building its view.
    pub fn members(&self, group: &GroupId) -> impl Iterator<Item = (NodeId, &Arc<MemberStatus>)> {
        self.groups.get(group).into_iter().flat_map(|entry| entry.members.iter().map(|(id, status)| (*id, status)))
    }

    /// The groups that a node is a member of.
    pub fn memberships(&self, id: NodeId) -> impl Iterator<Item = &GroupId> {
        self.memberships.get(&id).into_iter().flatten()
    }

    /// Who is said to hold the seats of a group.
    #[must_use]
    pub fn holders(&self, group: &GroupId) -> BTreeMap<Seat, SeatHolder> {
        self.groups.get(group).map(|entry| entry.seats.clone()).unwrap_or_default()
    }

    /// The council of a group, as it was published.
    #[must_use]
    pub fn council(&self, group: &GroupId) -> Option<&CouncilFacts> {
        self.groups.get(group).and_then(|entry| entry.council.as_ref())
    }

    /// One revision of a group's config; none if it is not known here.
    #[must_use]
    pub fn config(&self, group: &GroupId, revision: &str) -> Option<ConfigView> {
        let (_, value) = self.groups.get(group)?.configs.get(revision)?;
        Some(ConfigView { revision: revision.to_owned(), toml: value.toml.as_str().into() })
    }

    /// All revisions of a group's config that are kept, newest first.
    #[must_use]
    pub fn config_history(&self, group: &GroupId) -> Vec<ConfigEntry> {
        let Some(entry) = self.groups.get(group) else { return Vec::new() };
        let mut entries = history::history(&entry.configs);
        history::settle(&mut entries, self.group(group).target.config.as_deref());
        entries
    }

    /// All revisions of a file of a group that are kept, newest first.
    #[must_use]
    pub fn file_history(&self, group: &GroupId, name: &FileName) -> Vec<FileEntry> {
        let revisions = self.groups.get(group).and_then(|entry| entry.files.get(name));
        revisions.map(history::history).unwrap_or_default()
    }

    /// The files of a group of which a revision is kept, those that were removed included.
    pub fn file_names(&self, group: &GroupId) -> impl Iterator<Item = &FileName> {
        self.groups.get(group).into_iter().flat_map(|entry| entry.files.keys())
    }

    /// The blobs of all revisions of all files that are kept, whether a group is one of this node's or not.
    pub fn file_blobs(&self) -> impl Iterator<Item = (&GroupId, BlobRef)> {
        self.groups.iter().flat_map(|(group, entry)| {
            let revisions = entry.files.values().flat_map(BTreeMap::values);
            revisions.filter_map(move |(_, value)| match value.content {
                FileContent::Blob(blob) => Some((group, blob)),
                FileContent::Removed | FileContent::Inline(_) => None,
            })
        })
    }

    fn set_facts(&mut self, id: NodeId, facts: Option<NodeFacts>) {
        let is_forgotten = facts.is_none();
        let facts = Arc::new(facts.unwrap_or_default());
        if is_forgotten {
            self.facts.remove(&id);
        } else {
            self.facts.insert(id, Arc::clone(&facts));
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            if facts.left && matches!(node.liveness, Liveness::Down | Liveness::Suspect) {
                node.liveness = Liveness::Left;
            }
            node.facts = facts;
            self.touch_node(id);
        }
    }

    fn set_member(&mut self, group: &GroupId, id: NodeId, status: Option<MemberStatus>) {
        match status {
            Some(status) => {
                self.memberships.entry(id).or_default().insert(group.clone());
                self.change(group, |entry| {
                    entry.members.insert(id, Arc::new(status));
                });
            }
            None => {
                if let Some(groups) = self.memberships.get_mut(&id) {
                    groups.remove(group);
                    if groups.is_empty() {
                        self.memberships.remove(&id);
                    }
                }
                self.change(group, |entry| {
                    entry.members.remove(&id);
                });
            }
        }
        self.dirty.entry(group.clone()).or_default().insert(id);
    }

    fn set_config(
        &mut self,
        group: &GroupId,
        revision: String,
        stamp: Stamp,
        value: Option<ConfigRevision>,
    ) -> Option<Superseded> {
        let mut superseded = None;
        self.change(group, |entry| match value {
            Some(value) => {
                entry.configs.insert(revision.clone(), (stamp, Arc::new(value)));
                superseded = history::race(&entry.configs, &revision);
            }
            None => {
                entry.configs.remove(&revision);
            }
        });
        superseded.map(|(revision, by)| Superseded { group: group.clone(), file: None, revision, by })
    }

    fn set_file(
        &mut self,
        group: &GroupId,
        name: &FileName,
        revision: String,
        stamp: Stamp,
        value: Option<FileRevision>,
    ) -> Option<Superseded> {
        let mut superseded = None;
        self.change(group, |entry| match value {
            Some(value) => {
                let revisions = entry.files.entry(name.clone()).or_default();
                revisions.insert(revision.clone(), (stamp, Arc::new(value)));
                superseded = history::race(revisions, &revision);
            }
            None => entry.remove_file(name, &revision),
        });
        let file = Some(name.clone());
        superseded.map(|(revision, by)| Superseded { group: group.clone(), file, revision, by })
    }

    fn change(&mut self, group: &GroupId, edit: impl FnOnce(&mut GroupEntry)) {
        edit(self.groups.entry(group.clone()).or_default());
        self.dirty.entry(group.clone()).or_default();
    }

    pub(super) fn touch_node(&mut self, id: NodeId) {
        self.nodes_changed = true;
        for group in self.memberships.get(&id).into_iter().flatten() {
            self.dirty.entry(group.clone()).or_default().insert(id);
        }
    }
}

impl GroupEntry {
    fn remove_file(&mut self, name: &FileName, revision: &str) {
        if let Some(revisions) = self.files.get_mut(name) {
            revisions.remove(revision);
            if revisions.is_empty() {
                self.files.remove(name);
            }
        }
    }

    fn set_seat(&mut self, seat: Seat, holder: Option<SeatHolder>) {
        let Some(holder) = holder else {
            self.seats.remove(&seat);
            self.last_holder.remove(&seat);
            return;
        };
        if let Some(node) = holder.node {
            self.last_holder.insert(seat.clone(), SeatView { node, term: holder.term });
        }
        self.seats.insert(seat, holder);
    }
}
