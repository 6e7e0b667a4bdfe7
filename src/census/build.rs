//! Builds the view of one group from the index.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{FileName, GroupId, NodeId, Seat, Term};
use crate::records::value::{FileContent, Strategy, Target, Topology};

use super::history;
use super::index::{Census, GroupEntry};
use super::view::{ConfigView, CouncilView, ElectionState, FileView, GroupView, Liveness, MemberView, SeatView};

/// The view of `group` as of now.
pub(super) fn group(census: &Census, group: &GroupId) -> GroupView {
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
    view.config = history::current(&entry.configs)
        .map(|(revision, value)| ConfigView { revision: revision.clone(), toml: value.toml.as_str().into() });
    view.files = files(entry);
    view.desired = entry.desired.as_ref().map(|(_, desired)| desired.clone());
    view.release = entry.release.as_ref().map(|(_, release)| release.clone());
    view.order = entry.order.as_ref().map(|(stamp, order)| (stamp.time, order.clone()));
    view.rollout = entry.rollout.as_ref().map(|(stamp, rollout)| (Term(stamp.term), Arc::clone(rollout)));
    view.target = target(&view);
    view.asked = asked(entry);
    view.goal.clone_from(&entry.goal);
    view.members = members(census, entry, &view);
    view
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

/// What every member is to be in the end.
fn target(view: &GroupView) -> Target {
    Target {
        release: view.release.as_ref().map(|desired| desired.release.manifest),
        config: view.config.as_ref().map(|config| config.revision.clone()),
        state: view.desired.as_ref().map(|desired| desired.state).unwrap_or_default(),
    }
}

/// When the newest part of the target was asked for, as the records' clock has it.
fn asked(entry: &GroupEntry) -> u64 {
    let configs = entry.configs.values().map(|(stamp, _)| stamp.time);
    let desired = entry.desired.iter().map(|(_, desired)| desired.asked);
    let release = entry.release.iter().map(|(stamp, _)| stamp.time);
    configs.chain(desired).chain(release).max().unwrap_or_default()
}

fn members(census: &Census, entry: &GroupEntry, view: &GroupView) -> BTreeMap<NodeId, MemberView> {
    let mut members = BTreeMap::new();
    for (id, status) in &entry.members {
        let Some(node) = census.nodes.get(id) else { continue };
        let holds = |seat: &Seat, seated: Option<SeatView>| {
            if *id == census.me {
                entry.held.contains_key(seat)
            } else {
                seated.is_some_and(|seated| seated.node == *id)
            }
        };
        members.insert(
            *id,
            MemberView {
                node: node.clone(),
                status: std::sync::Arc::clone(status),
                leader: holds(&Seat::Leader, view.leader),
                updater: holds(&Seat::Updater, view.updater),
            },
        );
    }
    members
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
