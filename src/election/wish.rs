//! Which change of its council a group wants: what the steward is for. Wishes only, nothing here is needed for safety.
//!
//! A council is to have `council-size` voters, or the largest odd number of members that are there. An even council
//! survives no more losses than the odd one below it, and has one more voter to lose: of two members one votes, because
//! a council of both stands still when either is lost, and a council of one only when that one is. So a council of one
//! grows when two more members are there, and passes through two; it never rests at an even size.
//!
//! A voter that departed gives way as soon as another member can take its place, and one that is silent when it has been
//! so for `replace-voter-after`. If nobody can, a silent voter keeps its vote: it may come back, and the others are a
//! majority with it. Only one that said goodbye, and stayed away for as long, is struck without a successor; and one that
//! is gone for good, as a person said, at once.

use crate::base::limits::COUNCIL_MAX;
use crate::base::{Mono, NodeId};

use super::attendance::{Attendance, Presence};
use super::council::{Council, majority};
use super::rules::GroupRules;
use super::status;
use super::view::View;

/// One voter more, or one less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Add(NodeId),
    Remove(NodeId),
}

/// What is wanted of a council.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum Wish {
    /// It is as it should be, as far as this node may say.
    #[default]
    Nothing,
    /// Something may be wanted from then on.
    Later(Mono),
    /// This.
    Now(Step),
}

impl Step {
    /// Who votes when it is done, in the order of their ids.
    pub(super) fn applied(self, voters: &[NodeId]) -> Vec<NodeId> {
        let mut after: Vec<NodeId> = match self {
            Self::Add(node) => voters.iter().copied().chain([node]).collect(),
            Self::Remove(node) => voters.iter().copied().filter(|voter| *voter != node).collect(),
        };
        after.sort_unstable();
        after.dedup();
        after
    }
}

/// What a wish goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation<'a> {
    pub(super) now: Mono,
    pub(super) council: &'a Council,
    pub(super) attendance: &'a Attendance,
    pub(super) view: &'a View,
    pub(super) rules: GroupRules,
    /// For how long somebody must have been there, or gone, before it counts.
    pub(super) calm: std::time::Duration,
}

impl Situation<'_> {
    /// What is wanted.
    pub(super) fn wish(&self) -> Wish {
        match self.step() {
            Some(step) if self.is_prudent(step) => Wish::Now(step),
            Some(_) | None => self.next_look().map_or(Wish::Nothing, Wish::Later),
        }
    }

    fn step(&self) -> Option<Step> {
        let (size, target) = (self.council.voters.len(), self.target());
        let substitutes = self.substitutes();
        if size > target {
            return self.last_voter().map(Step::Remove);
        }
        if size.is_multiple_of(2) {
            return match substitutes.first() {
                Some(member) => Some(Step::Add(*member)),
                None if self.newcomers().next().is_some() => None,
                None => self.last_voter().map(Step::Remove),
            };
        }
        // Out first, then in: the largest council has no room for one more.
        if let Some(lost) = self.lost(substitutes.is_empty()) {
            return Some(Step::Remove(lost));
        }
        match substitutes.as_slice() {
            [first, _, ..] if size + 2 <= target => Some(Step::Add(*first)),
            _ => None,
        }
    }

    /// How many voters there should be, were there members enough.
    fn target(&self) -> usize {
        let most = self.rules.council_size.clamp(1, COUNCIL_MAX);
        if most.is_multiple_of(2) { most - 1 } else { most }
    }

    /// Members that are there and do not vote, with since when.
    fn newcomers(&self) -> impl Iterator<Item = (NodeId, Mono)> {
        let stays = |id: NodeId| self.view.members.get(&id).is_some_and(|member| member.present);
        self.attendance.alive().filter(move |(id, _)| !self.council.contains(*id) && stays(*id))
    }

    /// Those that were there long enough; the eligible first, then by their ids.
    fn substitutes(&self) -> Vec<NodeId> {
        let calm = self.newcomers().filter(|(_, since)| *since + self.calm <= self.now);
        let mut members: Vec<NodeId> = calm.map(|(id, _)| id).collect();
        let is_eligible = |id: &NodeId| self.view.members.get(id).is_some_and(|member| member.eligible);
        members.sort_unstable_by_key(|id| (!is_eligible(id), *id));
        members
    }

    /// When a voter may be struck for good; none while it is there.
    fn given_up_at(&self, voter: NodeId, without_successor: bool) -> Option<Mono> {
        let (presence, since) = self.attendance.of(voter);
        match presence {
            Presence::Alive => None,
            Presence::Silent if without_successor => None,
            // Nobody waits for it, whether there is a successor or not.
            Presence::Gone => Some(since + self.calm),
            Presence::Departed if !without_successor => Some(since + self.calm),
            Presence::Silent | Presence::Departed => Some(since + self.rules.replace_voter_after),
        }
    }

    fn lost(&self, without_successor: bool) -> Option<NodeId> {
        let due = |voter: &&NodeId| self.given_up_at(**voter, without_successor).is_some_and(|at| at <= self.now);
        self.council.voters.iter().filter(due).min_by_key(|voter| self.attendance.of(**voter)).copied()
    }

    /// The voter to strike if there is one too many: who departed, then who is silent, then the one of the highest id.
    fn last_voter(&self) -> Option<NodeId> {
        let order = |voter: &&NodeId| (self.attendance.of(**voter).0, std::cmp::Reverse(**voter));
        self.council.voters.iter().min_by_key(order).copied()
    }

    /// Whether a majority is there before and after: a change that cannot be agreed on is not begun, and none is made
    /// that leaves a council which cannot act.
    fn is_prudent(&self, step: Step) -> bool {
        let after = step.applied(&self.council.voters);
        [&self.council.voters, &after].into_iter().all(|voters| {
            let alive = voters.iter().filter(|voter| self.attendance.is_alive(**voter)).count();
            !voters.is_empty() && alive >= majority(voters.len())
        })
    }

    /// When the passing of time alone may make something wanted.
    fn next_look(&self) -> Option<Mono> {
        let lost = |voter: &NodeId| [false, true].map(|without| self.given_up_at(*voter, without));
        let voters = self.council.voters.iter().flat_map(lost).flatten();
        let wanted = self.council.voters.len() < self.target()
            || self.council.voters.iter().any(|voter| !self.attendance.is_alive(*voter));
        let newcomers = self.newcomers().filter(|_| wanted).map(|(_, since)| since + self.calm);
        voters.chain(newcomers).filter(|at| *at > self.now).min()
    }

    /// Why a voter that is not there is not replaced, for a person; empty if all are.
    pub(super) fn why_not(&self) -> String {
        let gone: Vec<NodeId> =
            self.council.voters.iter().filter(|voter| !self.attendance.is_alive(**voter)).copied().collect();
        if gone.is_empty() {
            return String::new();
        }
        let after = self.rules.replace_voter_after.as_secs();
        if self.newcomers().next().is_some() {
            status::replaced_later(&gone, after)
        } else {
            status::no_substitute(&gone)
        }
    }
}

#[cfg(test)]
mod tests;
