//! The groups that this node is a member or a voter of, and their elections.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::base::{GroupId, NodeId, Now, Seat, Term};
use crate::census::{ElectionState, Liveness};
use crate::election::{Candidacy, Election, ElectionAction, ElectionConfig, ElectionStatus, View};
use crate::records::value::{CouncilFacts, SeatHolder, Strategy, Topology};
use crate::records::{Key, Write};

use super::packet::Packet;
use super::rollouts::GroupRollout;
use super::{GroupRules, Node, NodeEvent, Note, Output};

/// A group in whose elections this node has a part.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) election: Election,
    /// The writes of the election under way: its own number to ours.
    writes: BTreeMap<u64, u64>,
    pub(super) held: BTreeMap<Seat, Term>,
    pub(super) rollout: GroupRollout,
}

/// What an election says, for people.
pub type ElectionReport = ElectionStatus;

impl Node {
    /// What this node's election of a group says; none if it has no part in it.
    #[must_use]
    pub fn election(&self, group: &GroupId) -> Option<ElectionReport> {
        self.groups.get(group).map(|group| group.election.status())
    }

    /// The groups whose stored election state could not be read, and why: the node has no part in their elections.
    pub fn unreadable_elections(&self) -> impl Iterator<Item = (&GroupId, &str)> {
        self.unreadable.iter().map(|(group, why)| (group, why.as_str()))
    }

    /// Takes up the elections that this node voted in before it was restarted, whether their services are loaded here
    /// yet or not: the council counts on its vote.
    pub(super) fn restore_elections(&mut self, now: Now) {
        for (group, state) in std::mem::take(&mut self.restored_elections) {
            self.join_elections(now, &group, None, Some(&state));
        }
    }

    pub(super) fn join_elections(
        &mut self,
        now: Now,
        group: &GroupId,
        rules: Option<GroupRules>,
        state: Option<&Bytes>,
    ) {
        if let Some(known) = self.groups.get_mut(group) {
            if let Some(rules) = rules {
                known.election.set_rules(rules);
            }
            return;
        }
        if self.unreadable.contains_key(group) {
            return;
        }
        let ttl = self.config.profile.lease_ttl();
        let config = ElectionConfig {
            me: self.me,
            group: group.clone(),
            ttl,
            longest_ttl: ttl,
            rules,
            incarnation: self.config.me.generation,
            seed: self.config.seed ^ seed_of(group),
        };
        match Election::new(config, state.map(AsRef::as_ref), now) {
            Ok(election) => {
                let rollout = GroupRollout::new(self.me, self.config.seed ^ seed_of(group));
                let entry = Group { election, writes: BTreeMap::new(), held: BTreeMap::new(), rollout };
                self.groups.insert(group.clone(), entry);
                self.census.watch(group);
                self.take_up_rollout(group);
            }
            Err(error) => {
                let why = error.to_string();
                self.unreadable.insert(group.clone(), why.clone());
                self.note(Note::ElectionUnreadable { group: group.clone(), why });
            }
        }
    }

    /// Tells a group's election what it needs to know of the ring.
    pub(super) fn inform_election(&mut self, now: Now, id: &GroupId) {
        if !self.groups.contains_key(id) {
            return;
        }
        let view = self.census.group(id);
        let mut members: BTreeMap<NodeId, Candidacy> = BTreeMap::new();
        let mut departed = BTreeSet::new();
        for (node, member) in &view.members {
            let alive = member.node.liveness == Liveness::Alive;
            // Nobody waits for who has left; it is told of again when it is back.
            if member.node.liveness == Liveness::Left {
                departed.insert(*node);
                continue;
            }
            let leaves = member.node.facts.left || (*node == self.me && self.leaving);
            let present = !leaves;
            let eligible = present && member.status.eligible;
            members.insert(*node, Candidacy { alive, present, eligible, suitability: member.status.suitability });
        }
        let mut seats = BTreeSet::new();
        if view.topology == Topology::Leader {
            seats.insert(Seat::Leader);
        }
        if view.strategy == Strategy::Rolling {
            seats.insert(Seat::Updater);
        }
        // A group that is stopped has nobody who could lead it. But it needs an updater, or it could never be started
        // again.
        if view.strategy == Strategy::Rolling && !members.values().any(|member| member.alive && member.eligible) {
            seats.remove(&Seat::Leader);
            for (node, candidacy) in &mut members {
                let is_leaving = *node == self.me && self.leaving;
                let has_left = view.members.get(node).is_none_or(|member| member.node.facts.left);
                candidacy.eligible = !is_leaving && !has_left;
            }
        }
        let view = View {
            members,
            departed,
            seats,
            ready: self.joining.is_over() && !self.leaving,
            published: self.census.holders(id),
            published_council: self.census.council(id).cloned(),
        };
        if let Some(group) = self.groups.get_mut(id) {
            group.election.set_view(now, view);
        }
    }

    pub(super) fn drain_elections(&mut self, now: Now) -> bool {
        let mut busy = false;
        let ids: Vec<GroupId> = self.groups.keys().cloned().collect();
        for id in ids {
            let actions = self.groups.get_mut(&id).map(|group| group.election.drain()).unwrap_or_default();
            busy |= !actions.is_empty();
            for action in actions {
                self.take_election_action(now, &id, action);
            }
        }
        busy
    }

    fn take_election_action(&mut self, now: Now, id: &GroupId, action: ElectionAction) {
        match action {
            ElectionAction::Send { to, msg, after } => {
                let after = after.and_then(|own| self.groups.get(id).and_then(|group| group.writes.get(&own)).copied());
                if let Some(address) = self.ring.address(to) {
                    self.send(address, &Packet::Election { from: self.me, group: id.clone(), msg }, after);
                }
            }
            ElectionAction::Persist { write: own, state } => {
                let write = self.persist(vec![Write::Election { group: id.clone(), state }]);
                self.writes.insert(write, (id.clone(), own));
                if let Some(group) = self.groups.get_mut(id) {
                    // Messages wait for the latest writes only; what is older is on disk or has failed.
                    group.writes.retain(|_, known| self.writes.contains_key(known));
                    group.writes.insert(own, write);
                }
            }
            ElectionAction::Held { seat, term, until } => {
                if let Some(group) = self.groups.get_mut(id) {
                    group.held.insert(seat.clone(), term);
                }
                self.census.set_held(id, &seat, Some(term));
                self.seated(now, id, &seat, term, until);
                self.tell_held(id, seat, term, until, false);
            }
            ElectionAction::Renewed { seat, term, until } => {
                self.seated(now, id, &seat, term, until);
                self.tell_held(id, seat, term, until, true);
            }
            ElectionAction::Lost { seat, term, why } => {
                if let Some(group) = self.groups.get_mut(id) {
                    group.held.remove(&seat);
                }
                self.census.set_held(id, &seat, None);
                self.unseated(id, &seat);
                let event = NodeEvent::Lost { group: id.clone(), seat, term, why };
                self.outputs.push(Output::Event(event));
            }
            ElectionAction::Publish { seat, holder } => self.publish_holder(now, id, &seat, &holder),
            ElectionAction::PublishCouncil(council) => self.publish_council(now, id, &council),
            ElectionAction::StatusChanged => self.show_election(id),
        }
    }

    fn tell_held(&mut self, id: &GroupId, seat: Seat, term: Term, until: crate::base::Mono, renewal: bool) {
        let event = NodeEvent::Held { group: id.clone(), seat, term, until, renewal };
        self.outputs.push(Output::Event(event));
    }

    fn publish_holder(&mut self, now: Now, id: &GroupId, seat: &Seat, holder: &SeatHolder) {
        self.put_value(now, Key::seat(id, seat), holder, holder.term.0);
    }

    fn publish_council(&mut self, now: Now, id: &GroupId, council: &CouncilFacts) {
        self.put_value(now, Key::council(id), council, council.version.0.0);
    }

    pub(super) fn show_election(&mut self, id: &GroupId) {
        let Some(group) = self.groups.get(id) else { return };
        let report = group.election.status();
        for (seat, status) in report.seats {
            self.census.set_election(id, &seat, status.state, &status.why);
        }
        self.census.set_council_change(id, &report.change);
    }

    /// Whether this node holds a seat of a group.
    #[must_use]
    pub fn holds(&self, group: &GroupId, seat: &Seat) -> Option<Term> {
        self.groups.get(group).and_then(|group| group.held.get(seat)).copied()
    }

    /// The state of an election of which nothing was published yet.
    #[must_use]
    pub fn election_state(&self, group: &GroupId) -> ElectionState {
        self.census.group(group).election
    }
}

/// A different stream of randomness for each group (FNV-1a: any fixed spread of the names will do).
fn seed_of(group: &GroupId) -> u64 {
    group
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
