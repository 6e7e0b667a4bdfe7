//! Builds the view of one group from the index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::{FileName, GroupId, NodeId, Seat, Term};
use crate::records::value::{AskedParts, FileContent, Strategy, Target, Topology};

use super::history;
use super::index::{Census, GroupEntry};
use super::view::{ConfigView, CouncilView, ElectionState, FileView, GroupView, Liveness, MemberView, SeatView};

/// The view of `group` as of now.
pub(super) fn group(census: &Census, group: &GroupId) -> GroupView {
    let mut view = head(census, group, None);
    let ids = census.groups.get(group).into_iter().flat_map(|entry| entry.members.keys());
    view.members = ids.filter_map(|id| Some((*id, member(census, &view, *id)?))).collect();
    view
}

/// Brings a view up to date in which only these members changed, if any. Returns whom it shows otherwise than before, and
/// none if nothing of it changed.
///
/// A group may have thousands of members, and each of them changes; so this does not look at the others.
pub(super) fn renew(
    census: &Census,
    view: &mut Arc<GroupView>,
    mut touched: BTreeSet<NodeId>,
) -> Option<BTreeSet<NodeId>> {
    let head = head(census, &view.group, Some(view));
    let seated = |view: &GroupView| [view.leader, view.updater].map(|seat| seat.map(|seat| seat.node));
    if seated(view) != seated(&head) {
        touched.extend(seated(view).into_iter().chain(seated(&head)).flatten());
    }
    // Of itself a node believes its lease, which no record tells of.
    touched.insert(census.me);
    let members = touched.into_iter().map(|id| (id, member(census, &head, id)));
    let changed: Vec<(NodeId, Option<MemberView>)> =
        members.filter(|(id, member)| view.members.get(id) != member.as_ref()).collect();
    if changed.is_empty() && same_head(view, &head) {
        return None;
    }
    let ids = changed.iter().map(|(id, _)| *id).collect();
    // In place, unless somebody still holds the one before.
    let view = Arc::make_mut(view);
    let members = std::mem::take(&mut view.members);
    *view = GroupView { members, ..head };
    for (id, member) in changed {
        match member {
            Some(member) => view.members.insert(id, member),
            None => view.members.remove(&id),
        };
    }
    Some(ids)
}

/// All but the members, which are left empty. What did not change is shared with the view before.
fn head(census: &Census, group: &GroupId, before: Option<&GroupView>) -> GroupView {
    let mut view = GroupView::empty(group.clone());
    let Some(entry) = census.groups.get(group) else { return view };
    let (topology, strategy) = rules(census, entry);
    view.topology = topology;
    view.strategy = strategy;
    view.council = entry.council.as_ref().map(|council| CouncilView {
        voters: council.voters.clone(),
        version: council.version,
        change: entry.council_change.clone(),
    });
    (view.election, view.election_why) = election(census, entry, &Seat::Leader, topology == Topology::Leader);
    (view.update_election, view.update_election_why) =
        election(census, entry, &Seat::Updater, strategy == Strategy::Rolling);
    view.leader = holder(census, entry, &Seat::Leader, view.election);
    view.updater = holder(census, entry, &Seat::Updater, view.update_election);
    view.files = files(entry);
    view.desired = entry.desired.as_ref().map(|(_, desired)| desired.clone());
    view.options = entry.options;
    view.release = entry.release.as_ref().map(|(_, release)| release.clone());
    view.order = entry.order.as_ref().map(|(stamp, order)| (stamp.time, order.clone()));
    view.rollout = entry.rollout.as_ref().map(|(stamp, rollout)| (Term(stamp.term), Arc::clone(rollout)));
    view.asked_parts = asked(entry);
    view.asked = view.asked_parts.newest();
    view.target = target(entry, &view);
    view.config = config(entry, &view.target, before);
    view.goal.clone_from(&entry.goal);
    view
}

/// Whether two views show the same, but for the members.
fn same_head(one: &GroupView, other: &GroupView) -> bool {
    let GroupView {
        group,
        topology,
        strategy,
        election,
        election_why,
        leader,
        update_election,
        update_election_why,
        updater,
        council,
        config,
        files,
        desired,
        options,
        release,
        target,
        asked,
        asked_parts,
        order,
        rollout,
        goal,
        members: _,
    } = one;
    (group, topology, strategy) == (&other.group, &other.topology, &other.strategy)
        && (election, election_why, leader) == (&other.election, &other.election_why, &other.leader)
        && (update_election, update_election_why) == (&other.update_election, &other.update_election_why)
        && (updater, council) == (&other.updater, &other.council)
        && (config, files) == (&other.config, &other.files)
        && (desired, options) == (&other.desired, &other.options)
        && (release, target) == (&other.release, &other.target)
        && (asked, asked_parts) == (&other.asked, &other.asked_parts)
        && (order, rollout, goal) == (&other.order, &other.rollout, &other.goal)
}

fn files(entry: &GroupEntry) -> BTreeMap<FileName, FileView> {
    let current = entry.files.iter().filter_map(|(name, revisions)| Some((name, history::current(revisions)?)));
    let there = current.filter(|(_, (_, value))| value.content != FileContent::Removed);
    there
        .map(|(name, (revision, value))| {
            (name.clone(), FileView { revision: revision.clone(), value: Arc::clone(value) })
        })
        .collect()
}

/// The config in force: that of the target. A rollout may be known before the revision that it goes to: then it is still
/// the newest that is.
fn config(entry: &GroupEntry, target: &Target, before: Option<&GroupView>) -> Option<ConfigView> {
    let revision = target.config.as_ref()?;
    let (revision, value) = match entry.configs.get_key_value(revision) {
        Some((revision, (_, value))) => (revision, value),
        None => history::current(&entry.configs)?,
    };
    // A revision's name has the hash of its text.
    let same = before.and_then(|view| view.config.as_ref()).filter(|config| config.revision == *revision);
    let toml = same.map_or_else(|| value.toml.as_str().into(), |config| Arc::clone(&config.toml));
    Some(ConfigView { revision: revision.clone(), toml })
}

/// What every member is to be in the end. What was asked for by the time of a rollout comes to what that came to.
fn target(entry: &GroupEntry, view: &GroupView) -> Target {
    let said = Target {
        release: view.release.as_ref().map(|desired| desired.release.manifest),
        config: history::current(&entry.configs).map(|(revision, _)| revision.clone()),
        state: view.desired.as_ref().map(|desired| desired.state).unwrap_or_default(),
    };
    let Some((_, rollout)) = &view.rollout else { return said };
    let (asked, taken_up, outcome) = (view.asked_parts, rollout.asked_parts, rollout.outcome());
    Target {
        release: if asked.release > taken_up.release { said.release } else { outcome.release },
        config: if asked.config > taken_up.config { said.config } else { outcome.config.clone() },
        state: if asked.state > taken_up.state { said.state } else { outcome.state },
    }
}

/// When each part of the target was asked for, as the records' clock has it.
fn asked(entry: &GroupEntry) -> AskedParts {
    AskedParts {
        release: entry.release.as_ref().map(|(stamp, _)| stamp.time).unwrap_or_default(),
        config: entry.configs.values().map(|(stamp, _)| stamp.time).max().unwrap_or_default(),
        state: entry.desired.as_ref().map(|(stamp, _)| stamp.time).unwrap_or_default(),
    }
}

/// One member; none if there is no such member, or its node is not known.
fn member(census: &Census, head: &GroupView, id: NodeId) -> Option<MemberView> {
    let entry = census.groups.get(&head.group)?;
    let status = entry.members.get(&id)?;
    let node = census.nodes.get(&id)?.clone();
    let holds = |seat: &Seat, seated: Option<SeatView>| {
        if id == census.me { entry.held.contains_key(seat) } else { seated.is_some_and(|seated| seated.node == id) }
    };
    let (leader, updater) = (holds(&Seat::Leader, head.leader), holds(&Seat::Updater, head.updater));
    Some(MemberView { node, status: Arc::clone(status), leader, updater })
}

/// The rules of the lowest alive member, so that all agree on them while a change of them goes round.
fn rules(census: &Census, entry: &GroupEntry) -> (Topology, Strategy) {
    let alive = |id: &NodeId| census.nodes.get(id).is_some_and(|node| node.liveness == Liveness::Alive);
    let chosen = entry.members.iter().find(|(id, _)| alive(id)).or_else(|| entry.members.iter().next());
    chosen.map(|(_, status)| (status.topology, status.strategy)).unwrap_or_default()
}

fn election(census: &Census, entry: &GroupEntry, seat: &Seat, has_seat: bool) -> (ElectionState, String) {
    if let Some((state, why)) = entry.elections.get(seat) {
        return (*state, why.clone());
    }
    if !has_seat {
        return (ElectionState::None, String::new());
    }
    // A group in whose elections this node has no part: only what is published can be told.
    let answers = |id: &NodeId| {
        census.nodes.get(id).is_some_and(|node| matches!(node.liveness, Liveness::Alive | Liveness::Suspect))
    };
    let seated = entry.seats.get(seat).and_then(|holder| holder.node).is_some_and(|node| answers(&node));
    if seated {
        return (ElectionState::Finished, String::new());
    }
    let quorum_lost = entry
        .council
        .as_ref()
        .is_some_and(|council| council.voters.iter().filter(|id| answers(id)).count() <= council.voters.len() / 2);
    if quorum_lost {
        (ElectionState::NoQuorum, "too few voters of its council answer".to_owned())
    } else {
        (ElectionState::Running, String::new())
    }
}

fn holder(census: &Census, entry: &GroupEntry, seat: &Seat, election: ElectionState) -> Option<SeatView> {
    if let Some(term) = entry.held.get(seat) {
        return Some(SeatView { node: census.me, term: *term });
    }
    match election {
        ElectionState::None | ElectionState::NoQuorum => None,
        ElectionState::Running | ElectionState::Finished => entry.last_holder.get(seat).copied(),
    }
}
