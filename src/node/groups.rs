//! The groups that this node is a member or a voter of, and their elections.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::base::{GroupId, Mono, NodeId, Now, Seat, Term};
use crate::census::{ElectionState, GroupView, Liveness, MemberView};
use crate::election::{Attends, Candidacy, Election, ElectionAction, ElectionConfig, ElectionStatus, News, View};
use crate::records::value::{CouncilFacts, SeatHolder, Strategy, Topology};
use crate::records::{Key, Write};

use super::packet::Packet;
use super::rollouts::GroupRollout;
use super::status::Untold;
use super::{GroupRules, Node, NodeEvent, Note, Output};

/// A group in whose elections this node has a part.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) election: Election,
    /// The writes of the election under way: its own number to ours.
    writes: BTreeMap<u64, u64>,
    pub(super) held: BTreeMap<Seat, Term>,
    pub(super) rollout: GroupRollout,
    /// When the election is told of members that neither vote nor hold a seat; none if it knows all of them as they are.
    inform_at: Option<Mono>,
    /// What this node's member says and the ring is yet to be told.
    pub(super) untold: Option<Untold>,
}

impl Group {
    /// When something is due of it.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let untold = self.untold.as_ref().map(|untold| untold.at);
        [self.election.deadline(), self.rollout.deadline(), self.inform_at, untold].into_iter().flatten().min()
    }
}

/// In a group of more members than that the news of those that neither vote nor hold a seat are told together: when a
/// large site starts, or is changed, each of its nodes hears of all others within a second, and to look at all of them
/// for each would keep it from everything else.
const LARGE_GROUP: usize = 64;
/// For how long such news are collected.
const BYSTANDERS_WAIT: Duration = Duration::from_millis(100);

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
                let (writes, held) = (BTreeMap::new(), BTreeMap::new());
                let entry = Group { election, writes, held, rollout, inform_at: None, untold: None };
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

    /// Tells a group's election of these members, if what it needs to know of them or of the group is another. Most that
    /// members say of their services does not matter to it.
    pub(super) fn update_election(&mut self, now: Now, id: &GroupId, changed: &BTreeSet<NodeId>) {
        let Some(group) = self.groups.get(id) else { return };
        let view = self.census.group(id);
        let members = changed.iter().map(|node| (*node, self.candidacy(*node, view.members.get(node))));
        match group.election.news(&self.election_head(id, &view), members) {
            News::Nothing => {}
            News::Bystanders if view.members.len() > LARGE_GROUP => {
                if let Some(group) = self.groups.get_mut(id) {
                    group.inform_at.get_or_insert(now.mono + BYSTANDERS_WAIT);
                }
            }
            News::Bystanders | News::Matters => self.inform_election(now, id),
        }
    }

    /// Tells elections what became of bystanders meanwhile.
    pub(super) fn tick_informing(&mut self, now: Now) {
        let due = |group: &Group| group.inform_at.is_some_and(|at| at <= now.mono);
        let ids: Vec<GroupId> = self.groups.iter().filter(|(_, group)| due(group)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.inform_election(now, &id);
        }
    }

    /// Tells a group's election what it needs to know of the ring.
    pub(super) fn inform_election(&mut self, now: Now, id: &GroupId) {
        if !self.groups.contains_key(id) {
            return;
        }
        let view = self.census.group(id);
        let mut told = self.election_head(id, &view);
        for (node, member) in &view.members {
            match self.candidacy(*node, Some(member)) {
                Attends::Stays(candidacy) => drop(told.members.insert(*node, candidacy)),
                Attends::Left => drop(told.departed.insert(*node)),
                Attends::Unknown => {}
            }
        }
        // A group that is stopped has nobody who could lead it. But it needs an updater, or it could never be started
        // again.
        if view.strategy == Strategy::Rolling && !told.members.values().any(|member| member.alive && member.eligible) {
            told.seats.remove(&Seat::Leader);
            for candidacy in told.members.values_mut() {
                candidacy.eligible = candidacy.present;
            }
        }
        if !self.knows_council(id) {
            told.ring = self.ring.alive().map(|member| member.id).filter(|node| *node != self.me).collect();
        }
        if let Some(group) = self.groups.get_mut(id) {
            group.inform_at = None;
            group.election.set_view(now, told);
        }
    }

    fn knows_council(&self, id: &GroupId) -> bool {
        self.groups.get(id).is_some_and(|group| !group.election.voters().is_empty())
    }

    /// Who founds a council asks the whole ring first, so it has to know who is in it.
    pub(super) fn inform_founders(&mut self, now: Now) {
        for group in self.groups.values_mut().filter(|group| group.election.voters().is_empty()) {
            group.inform_at.get_or_insert(now.mono + BYSTANDERS_WAIT);
        }
    }

    /// What an election needs to know but for the members.
    fn election_head(&self, id: &GroupId, view: &GroupView) -> View {
        let mut seats = BTreeSet::new();
        if view.topology == Topology::Leader {
            seats.insert(Seat::Leader);
        }
        if view.strategy == Strategy::Rolling {
            seats.insert(Seat::Updater);
        }
        View {
            members: BTreeMap::new(),
            departed: BTreeSet::new(),
            gone: self.census.departed(),
            seats,
            ready: self.joining.is_over() && !self.is_out(),
            published: self.census.holders(id),
            published_council: self.census.council(id).cloned(),
            ring: BTreeSet::new(),
        }
    }

    fn candidacy(&self, node: NodeId, member: Option<&MemberView>) -> Attends {
        let Some(member) = member else { return Attends::Unknown };
        // Nobody waits for who has left; it is told of again when it is back.
        match member.node.liveness {
            Liveness::Left => return Attends::Left,
            Liveness::Departed if node != self.me => return Attends::Unknown,
            Liveness::Alive | Liveness::Suspect | Liveness::Down | Liveness::Departed => {}
        }
        let leaves = member.node.facts.left || (node == self.me && self.is_out());
        let present = !leaves;
        Attends::Stays(Candidacy {
            alive: member.node.liveness == Liveness::Alive,
            present,
            eligible: present && member.status.eligible,
            suitability: member.status.suitability,
        })
    }

    pub(super) fn drain_elections(&mut self, now: Now) -> bool {
        let mut busy = false;
        let drained = self.groups.iter_mut().map(|(id, group)| (id, group.election.drain()));
        let drained: Vec<(GroupId, Vec<ElectionAction>)> =
            drained.filter(|(_, actions)| !actions.is_empty()).map(|(id, actions)| (id.clone(), actions)).collect();
        for (id, actions) in drained {
            busy = true;
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
                self.inform_election(now, id);
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
                self.inform_election(now, id);
                self.unseated(id, &seat);
                let event = NodeEvent::Lost { group: id.clone(), seat, term, why };
                self.outputs.push(Output::Event(event));
            }
            ElectionAction::Publish { seat, holder } => self.publish_holder(now, id, &seat, &holder),
            ElectionAction::PublishCouncil(council) => self.publish_council(now, id, &council),
            ElectionAction::StatusChanged => self.show_election(id),
        }
    }

    fn tell_held(&mut self, id: &GroupId, seat: Seat, term: Term, until: Mono, renewal: bool) {
        let event = NodeEvent::Held { group: id.clone(), seat, term, until, renewal };
        self.outputs.push(Output::Event(event));
    }

    fn publish_holder(&mut self, now: Now, id: &GroupId, seat: &Seat, holder: &SeatHolder) {
        let key = Key::seat(id, seat);
        // The holder by a council that gave way had a higher term: what is said of this one replaces nothing.
        if self.records.get(&key).is_none_or(|record| record.stamp.term <= holder.term.0) {
            self.put_value(now, key, holder, holder.term.0);
        }
    }

    fn publish_council(&mut self, now: Now, id: &GroupId, council: &CouncilFacts) {
        // Which of two councils is told is decided by the elections; one of another genesis may have had a steward of a
        // higher term.
        let known = self.records.get(&Key::council(id)).map_or(0, |record| record.stamp.term);
        self.put_value(now, Key::council(id), council, known.max(council.version.0.0));
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
