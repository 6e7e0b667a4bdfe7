//! A new rollout: the first of a group, or one in the place of another.

use std::collections::BTreeMap;

use crate::records::value::{Rollout, RolloutStatus, Target};

use super::super::action::RolloutNote;
use super::super::order;
use super::next::Next;
use super::obey;

impl Next<'_> {
    /// Whether something else is wanted than this rollout brings; or the same again, after it ended otherwise.
    pub(super) fn is_due(&self, record: &Rollout) -> bool {
        let asked_again = match record.status {
            RolloutStatus::Halted | RolloutStatus::RolledBack | RolloutStatus::Aborted => true,
            RolloutStatus::Running | RolloutStatus::Paused | RolloutStatus::RollingBack | RolloutStatus::Done => false,
        };
        // What is wanted may be known here only in part yet; what the record says was known to an updater.
        let is_newer = self.view.asked_parts.is_newer_than(record.asked_parts);
        is_newer && (asked_again || self.view.target != record.to)
    }

    /// The first rollout of a group, of which nobody wrote a record yet.
    pub(super) fn first(&mut self) -> Option<Rollout> {
        if self.view.asked == 0 {
            return None;
        }
        let to = self.view.target.clone();
        let from = self.common_target();
        let everybody_is = from.as_ref().is_none_or(|from| *from == to);
        let mut record = Rollout {
            id: 1,
            step: 1,
            asked: self.view.asked,
            asked_parts: self.view.asked_parts,
            from: from.unwrap_or_else(|| to.clone()),
            to,
            options: self.view.options.unwrap_or_default(),
            next_turn: 1,
            started_at: self.now.wall,
            ..Rollout::default()
        };
        // A group that began with what is wanted has nothing to roll out.
        let status = if everybody_is { RolloutStatus::Done } else { RolloutStatus::Running };
        self.set_status(&mut record, status, String::new());
        if !everybody_is {
            self.notes.push(RolloutNote::Began { rollout: record.id, superseded: None });
        }
        Some(record)
    }

    /// Puts a new rollout in the place of this one, as soon as nobody is in turn.
    pub(super) fn supersede(&mut self, record: &mut Rollout) {
        if !self.is_due(record) || !record.in_turn.is_empty() {
            return;
        }
        let superseded = match record.status {
            RolloutStatus::Done => None,
            RolloutStatus::Running
            | RolloutStatus::Paused
            | RolloutStatus::Halted
            | RolloutStatus::RollingBack
            | RolloutStatus::RolledBack
            | RolloutStatus::Aborted => Some(record.id),
        };
        // Whoever is not what it was again is out until it has its turn in this one.
        obey::again(record);
        obey::write_off(self.view, record);
        record.from = record.base().clone();
        record.to = self.view.target.clone();
        record.asked_parts = record.asked_parts.max(self.view.asked_parts);
        record.asked = record.asked_parts.newest();
        record.id += 1;
        record.started_at = self.now.wall;
        let (status, why) = match record.status {
            RolloutStatus::Paused => (RolloutStatus::Paused, record.why.clone()),
            RolloutStatus::Running
            | RolloutStatus::Halted
            | RolloutStatus::RollingBack
            | RolloutStatus::Done
            | RolloutStatus::RolledBack
            | RolloutStatus::Aborted => (RolloutStatus::Running, String::new()),
        };
        self.set_status(record, status, why);
        self.notes.push(RolloutNote::Began { rollout: record.id, superseded });
    }

    /// What most of the members are that are something else than what is wanted; what is wanted, if all are that; none
    /// if nobody was ever anything.
    fn common_target(&self) -> Option<Target> {
        let mut counts: BTreeMap<&Target, usize> = BTreeMap::new();
        for target in order::targets(self.view) {
            *counts.entry(target).or_default() += 1;
        }
        let wanted = &self.view.target;
        let other = counts.iter().filter(|(target, _)| **target != wanted).max_by_key(|(_, count)| **count);
        other.map(|(target, _)| (*target).clone()).or_else(|| counts.keys().next().map(|target| (*target).clone()))
    }
}
