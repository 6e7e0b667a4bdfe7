//! The rollouts of the groups that this node is a member or a voter of: what its own member is to be, what it has on
//! disk as a voter, and what it decides while it holds the updater's seat.

use std::sync::Arc;

use crate::base::{GroupId, Mono, NodeId, Now, Seat, Term};
use crate::census::Liveness;
use crate::records::value::{self, Grant, MemberStatus, Rollout, TurnPhase};
use crate::records::{Key, Kind, Record, Write};
use crate::rollout::{self, Facts, Leads, Lease, Member, Own, RolloutAction, RolloutMessage, Updater, Version, Voter};

use super::packet::Packet;
use super::{Node, Note};

/// This node's part in the rollouts of one group.
#[derive(Debug)]
pub(super) struct GroupRollout {
    member: Member,
    voter: Voter,
    updater: Updater,
    /// What this node's member says, as far as it said so in this run: what an earlier run said may come back from
    /// others, and a member that returns must not be taken for what it was.
    own: Option<MemberStatus>,
    /// The record that people were told of last.
    told: Option<Arc<Rollout>>,
}

impl GroupRollout {
    pub(super) fn new(me: NodeId, nonce: u64) -> Self {
        Self { member: Member::new(nonce), voter: Voter::default(), updater: Updater::new(me), own: None, told: None }
    }

    /// Whether this node's member has said anything in this run.
    pub(super) fn has_own(&self) -> bool {
        self.own.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.member.deadline().into_iter().chain(self.updater.deadline()).min()
    }
}

impl Node {
    /// Takes up a group of which this node may have a rollout record already. Whether that is on disk is not known any
    /// more; so it is written again.
    pub(super) fn take_up_rollout(&mut self, group: &GroupId) {
        if let Some(record) = self.records.get(&Key::rollout(group)).cloned() {
            self.persist_records(vec![record]);
        }
    }

    pub(super) fn persist_records(&mut self, records: Vec<Record>) {
        let rollouts: Vec<(GroupId, Version)> = records.iter().filter_map(version).collect();
        let write = self.persist(vec![Write::Records(records)]);
        for (group, version) in rollouts {
            if let Some(group) = self.groups.get_mut(&group) {
                group.rollout.voter.writing(write, version);
            }
        }
    }

    pub(super) fn rollout_written(&mut self, now: Now, write: u64, ok: bool) {
        let mut seen: Vec<(GroupId, Version)> = Vec::new();
        for (id, group) in &mut self.groups {
            let written = group.rollout.voter.written(write, ok);
            // Of those who do not vote the updater hears nothing unless it asks: they are many.
            let is_voter = group.election.voters().contains(&self.me);
            seen.extend(written.filter(|_| is_voter).map(|version| (id.clone(), version)));
        }
        for (id, version) in seen {
            if let Some(writer) = self.records.get(&Key::rollout(&id)).map(|record| record.stamp.node) {
                self.say(now, &id, writer, RolloutMessage::Seen(version));
            }
        }
    }

    /// This node holds a seat, or goes on holding it.
    pub(super) fn seated(&mut self, now: Now, id: &GroupId, seat: &Seat, term: Term, until: Mono) {
        if *seat != Seat::Updater {
            return;
        }
        if let Some(group) = self.groups.get_mut(id) {
            group.rollout.updater.held(now, Lease { term, until });
        }
        self.update(now, id, None);
    }

    /// This node holds a seat no more.
    pub(super) fn unseated(&mut self, id: &GroupId, seat: &Seat) {
        if *seat == Seat::Updater
            && let Some(group) = self.groups.get_mut(id)
        {
            group.rollout.updater.lost();
        }
    }

    /// Lets the updater go on, if this node is the one, with what a member or voter said or without.
    fn update(&mut self, now: Now, id: &GroupId, said: Option<(NodeId, RolloutMessage)>) {
        let Some(group) = self.groups.get_mut(id).filter(|group| group.rollout.updater.is_seated()) else { return };
        let view = self.census.group(id);
        let voters = group.election.voters();
        let is_up = |voter: &NodeId| self.census.node(*voter).is_some_and(|node| node.liveness == Liveness::Alive);
        let strangers = voters.iter().filter(|voter| !view.members.contains_key(voter) && is_up(voter)).count();
        let facts = Facts { view: &view, voters, strangers };
        match said {
            Some((from, msg)) => group.rollout.updater.handle(now, from, msg, facts),
            None => group.rollout.updater.advance(now, facts),
        }
    }

    /// This node's member says this, or is no member any more.
    pub(super) fn set_own_member(&mut self, now: Now, id: &GroupId, status: Option<MemberStatus>) {
        if let Some(group) = self.groups.get_mut(id) {
            group.rollout.own = status;
        }
        self.inform_rollout(now, id);
    }

    /// The view of a group changed, or what its member may do.
    pub(super) fn inform_rollout(&mut self, now: Now, id: &GroupId) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let view = self.census.group(id);
        let record = view.rollout.as_ref().map(|(_, rollout)| &**rollout);
        group.rollout.member.set_rollout(now.mono, self.me, record);
        let goal = group.rollout.own.as_ref().and_then(|status| {
            let turn = group.rollout.member.turn();
            let own = Own { me: self.me, status, turn, goal: view.goal.as_ref() };
            rollout::goal(&view, own, |revision| self.census.config(id, revision))
        });
        self.census.set_goal(id, goal);
        self.tell_of_rollout(id);
        self.update(now, id, None);
    }

    /// Tells people of what became of the rollout of a group that this node has a member of. The updater told of it when
    /// it wrote it down.
    fn tell_of_rollout(&mut self, id: &GroupId) {
        let view = self.census.group(id);
        let Some((_, record)) = view.rollout.clone().filter(|_| view.members.contains_key(&self.me)) else { return };
        let Some(group) = self.groups.get_mut(id) else { return };
        if group.rollout.told.as_ref().is_some_and(|told| **told == *record) {
            return;
        }
        let before = group.rollout.told.replace(Arc::clone(&record));
        let writer = self.records.get(&Key::rollout(id)).map(|record| record.stamp.node);
        if writer == Some(self.me) {
            return;
        }
        let is_done = |grant: &Grant| {
            let report = view.members.get(&grant.member).and_then(|member| member.status.turn.as_ref());
            report.is_some_and(|report| report.turn == grant.turn && report.phase == TurnPhase::Done)
        };
        for note in rollout::news(before.as_deref(), &record, is_done) {
            self.note(Note::Rollout { group: id.clone(), note });
        }
    }

    pub(super) fn tick_rollouts(&mut self, now: Now) {
        let due = |deadline: Option<Mono>| deadline.is_some_and(|deadline| deadline <= now.mono);
        let ids: Vec<GroupId> =
            self.groups.iter().filter(|(_, group)| due(group.rollout.deadline())).map(|(id, _)| id.clone()).collect();
        for id in ids {
            // A member that was told to begin and cannot would begin at any time later.
            let updater = self.updater(&id).filter(|_| self.can_begin(&id));
            let leads = self.holds(&id, &Seat::Leader).is_some();
            if let Some(group) = self.groups.get_mut(&id) {
                group.rollout.member.tick(now.mono, updater, leads);
            }
            self.update(now, &id, None);
        }
    }

    /// Whether all is known here that the turn asks for which the member waits for.
    fn can_begin(&self, id: &GroupId) -> bool {
        let Some(group) = self.groups.get(id) else { return false };
        let Some(grant) = group.rollout.member.granted() else { return true };
        // Before its service is loaded it would begin whenever that is.
        let Some(status) = &group.rollout.own else { return false };
        let view = self.census.group(id);
        let own = Own { me: self.me, status, turn: Some(grant), goal: None };
        rollout::goal(&view, own, |revision| self.census.config(id, revision)).is_some()
    }

    pub(super) fn take_rollout_message(&mut self, now: Now, from: NodeId, id: &GroupId, msg: RolloutMessage) {
        let leads = self.holds(id, &Seat::Leader).is_some();
        let Some(group) = self.groups.get_mut(id) else { return };
        match msg {
            RolloutMessage::Ask => {
                let version = group.rollout.voter.durable();
                self.store_rollout(id);
                self.say(now, id, from, RolloutMessage::Seen(version));
            }
            RolloutMessage::Go { turn, nonce, leads: may_lead } => {
                let leads = if leads && !may_lead { Leads::ButMustNot } else { Leads::MayBegin };
                if group.rollout.member.go(now.mono, turn, nonce, leads) {
                    self.inform_rollout(now, id);
                }
            }
            RolloutMessage::Never { turn, nonce } => group.rollout.member.never(now.mono, turn, nonce),
            RolloutMessage::Seen(_) | RolloutMessage::Begin { .. } | RolloutMessage::Declined { .. } => {
                self.update(now, id, Some((from, msg)));
            }
        }
    }

    /// Has the record written that is known here, if its write failed.
    fn store_rollout(&mut self, id: &GroupId) {
        let Some(record) = self.records.get(&Key::rollout(id)).cloned() else { return };
        let Some((_, known)) = version(&record) else { return };
        if self.groups.get(id).is_some_and(|group| !group.rollout.voter.has(known)) {
            self.persist_records(vec![record]);
        }
    }

    pub(super) fn drain_rollouts(&mut self, now: Now) -> bool {
        let mut drained: Vec<(GroupId, Vec<RolloutAction>)> = Vec::new();
        for (id, group) in &mut self.groups {
            let mut actions = group.rollout.updater.drain();
            actions.extend(group.rollout.member.drain());
            if !actions.is_empty() {
                drained.push((id.clone(), actions));
            }
        }
        let busy = !drained.is_empty();
        for (id, actions) in drained {
            for action in actions {
                self.take_rollout_action(now, &id, action);
            }
        }
        busy
    }

    fn take_rollout_action(&mut self, now: Now, id: &GroupId, action: RolloutAction) {
        match action {
            RolloutAction::Send { to, msg } => self.say(now, id, to, msg),
            RolloutAction::Put { rollout, term } => self.put_rollout(now, id, &rollout, term),
            RolloutAction::Sync(voter) => self.records.sync_with(now, voter),
            RolloutAction::Note(note) => self.note(Note::Rollout { group: id.clone(), note }),
        }
    }

    fn put_rollout(&mut self, now: Now, id: &GroupId, rollout: &Rollout, term: Term) {
        let key = Key::rollout(id);
        if let Err(error) = self.try_put_value(now, key.clone(), rollout, term.0) {
            self.note(Note::RecordRefused { key: key.to_string(), from: self.me, why: error.to_string() });
            if let Some(group) = self.groups.get_mut(id) {
                group.rollout.updater.refused();
            }
        }
    }

    fn say(&mut self, now: Now, id: &GroupId, to: NodeId, msg: RolloutMessage) {
        if to == self.me {
            self.take_rollout_message(now, to, id, msg);
        } else if let Some(address) = self.ring.address(to) {
            self.send(address, &Packet::Rollout { from: self.me, group: id.clone(), msg }, None);
        }
    }

    fn updater(&self, id: &GroupId) -> Option<NodeId> {
        self.census.group(id).updater.map(|updater| updater.node)
    }
}

/// Which version of which group's rollout a record is, if it is one.
fn version(record: &Record) -> Option<(GroupId, Version)> {
    let Kind::Rollout(group) = record.key.kind() else { return None };
    // What cannot be read grants nothing; the census says so to people.
    let rollout: Rollout = value::decode(record).ok()??;
    Some((group, Version::of(Term(record.stamp.term), &rollout)))
}
