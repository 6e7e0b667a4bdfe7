//! The next version of the record: what became of turns, what a person wants, whose turns are next. A function of the
//! view, the time, and what this updater knows of the turns under way.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{Mono, NodeId, Now, Term, Wall};
use crate::census::GroupView;
use crate::records::value::{Aftermath, Grant, Health, Rollout, RolloutStatus, TurnKind, TurnPhase};

use super::super::action::RolloutNote;
use super::super::order;
use super::judge::is_allowed;
use super::watch::Watch;
use super::{Driving, Facts};

/// How long an updater that has just taken the seat waits before it calls a rollout done. When a whole site comes back,
/// members are not known before their services are loaded.
const SETTLES: Duration = Duration::from_secs(2);
/// The same while there are nodes that vote in the group and have not told of a member of it.
const SETTLES_WITH_STRANGERS: Duration = Duration::from_secs(15);

/// The making of the next version.
pub(super) struct Next<'a> {
    pub(super) now: Now,
    pub(super) me: NodeId,
    pub(super) term: Term,
    pub(super) view: &'a GroupView,
    strangers: usize,
    seated_at: Mono,
    pub(super) watches: &'a mut BTreeMap<u64, Watch>,
    pub(super) notes: Vec<RolloutNote>,
    wake: Option<Mono>,
}

impl<'a> Next<'a> {
    pub(super) fn new(now: Now, me: NodeId, facts: Facts<'a>, driving: &'a mut Driving) -> Self {
        Self {
            now,
            me,
            term: driving.seat.term,
            view: facts.view,
            strangers: facts.strangers,
            seated_at: driving.since,
            watches: &mut driving.watches,
            notes: Vec::new(),
            wake: None,
        }
    }

    /// When to look again even if nothing happens.
    pub(super) fn wake(&self) -> Option<Mono> {
        self.wake
    }

    /// What the record is to say, if that is something else than it says, and the remarks about it.
    pub(super) fn decide(&mut self) -> (Option<Rollout>, Vec<RolloutNote>) {
        let Some((term, known)) = &self.view.rollout else {
            let first = self.first();
            return (first, std::mem::take(&mut self.notes));
        };
        let mut record = (**known).clone();
        self.judge(&mut record);
        self.obey(&mut record);
        self.supersede(&mut record);
        self.follow_options(&mut record);
        self.withdraw(&mut record);
        self.interrupt(&mut record);
        self.grant(&mut record);
        self.finish(&mut record);
        let taken_over = *term < self.term;
        if record == **known && !taken_over {
            return (None, Vec::new());
        }
        if record.status != known.status || record.id != known.id {
            let (rollout, status, why) = (record.id, record.status, record.why.clone());
            self.notes.push(RolloutNote::Status { rollout, status, why });
        }
        if taken_over && is_under_way(&record) {
            self.notes.insert(0, RolloutNote::TakenOver { rollout: known.id });
        }
        record.step = known.step + 1;
        (Some(record), std::mem::take(&mut self.notes))
    }

    pub(super) fn wake_at(&mut self, at: Mono) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Changes how the rollout stands.
    pub(super) fn set_status(&self, record: &mut Rollout, status: RolloutStatus, why: String) {
        record.status = status;
        record.why = why;
        record.ended_at = match status {
            RolloutStatus::Done | RolloutStatus::RolledBack | RolloutStatus::Aborted => self.now.wall,
            RolloutStatus::Running | RolloutStatus::Paused | RolloutStatus::Halted | RolloutStatus::RollingBack => {
                Wall::default()
            }
        };
    }

    /// What a person changed of how it is done holds from the next turn on.
    fn follow_options(&self, record: &mut Rollout) {
        if let Some(options) = self.view.options
            && record.in_turn.is_empty()
        {
            record.options = options;
        }
    }

    /// Takes turns back that have not begun and must not begin any more.
    fn withdraw(&mut self, record: &mut Rollout) {
        let superseded = self.is_due(record);
        let (kept, withdrawn): (Vec<Grant>, Vec<Grant>) =
            std::mem::take(&mut record.in_turn).into_iter().partition(|grant| {
                // Whoever is being put back is put back whatever comes next; its turn, taken back, would be given again.
                let is_of_no_use = superseded && grant.kind != TurnKind::Restore;
                let is_wanted = is_allowed(grant.kind, record.status) && !is_of_no_use;
                let is_unbegun = self.watches.get(&grant.turn).is_some_and(Watch::is_unbegun);
                is_wanted || !is_unbegun
            });
        record.in_turn = kept;
        for grant in withdrawn {
            self.notes.push(RolloutNote::Withdrawn { rollout: record.id, member: grant.member });
        }
    }

    /// Takes turns back that have come to nothing good so far, where what they lead to is not wanted any more: whose member
    /// has changed over, and is critical. It would be waited for until its deadline, and goes back at once instead. One
    /// that is well comes to its end soon, and one that is changing over is not cut short: a hook of it may be at work.
    fn interrupt(&mut self, record: &mut Rollout) {
        // Where nobody is to be put back, a member that failed stays as it is for a person to look at.
        if !record.options.restore_failed || !(record.status == RolloutStatus::RollingBack || self.is_due(record)) {
            return;
        }
        for grant in std::mem::take(&mut record.in_turn) {
            if grant.kind == TurnKind::Forward && self.is_critical_in(record.id, &grant) {
                self.interrupted(record, &grant);
            } else {
                record.in_turn.push(grant);
            }
        }
    }

    /// Whether the member can be reached, has changed over in this turn, and its check says critical.
    fn is_critical_in(&self, rollout: u64, grant: &Grant) -> bool {
        let Some(member) = self.view.members.get(&grant.member) else { return false };
        let verifies = member.status.turn.as_ref().is_some_and(|report| {
            (report.rollout, report.turn, report.phase) == (rollout, grant.turn, TurnPhase::Verifying)
        });
        verifies && member.status.health == Health::Critical && order::answers(self.view, grant.member)
    }

    /// Gives turns.
    fn grant(&mut self, record: &mut Rollout) {
        self.grant_restores(record);
        if self.is_due(record) {
            return;
        }
        match record.status {
            RolloutStatus::Running => self.grant_forward(record),
            // Somebody came late.
            RolloutStatus::Done if self.may_catch_up(record) => self.grant_forward(record),
            RolloutStatus::Done => self.leave_late(record),
            RolloutStatus::RollingBack => self.grant_back(record),
            // Somebody came late that goes by what the others have gone back from.
            RolloutStatus::RolledBack if order::has_forward(self.view, record) => {
                self.set_status(record, RolloutStatus::RollingBack, String::new());
                self.grant_back(record);
            }
            RolloutStatus::RolledBack | RolloutStatus::Paused | RolloutStatus::Halted | RolloutStatus::Aborted => {}
        }
    }

    /// Members that came late to a rollout in which others failed stay as they are, until a person has seen it.
    fn leave_late(&self, record: &mut Rollout) {
        let late = order::waiting(self.view, record).count();
        if late > 0 {
            let failed = record.failed.len();
            record.why = format!("{failed} members failed and are not updated, nor are {late} that came later: retry");
        }
    }

    fn grant_forward(&mut self, record: &mut Rollout) {
        for member in order::next_forward(self.view, record, self.me) {
            self.give(record, member, TurnKind::Forward);
        }
    }

    fn grant_back(&mut self, record: &mut Rollout) {
        if let Some(member) = order::next_back(self.view, record, self.me) {
            self.give(record, member, TurnKind::Back);
        }
    }

    /// Members that failed are put back as soon as they can be.
    fn grant_restores(&mut self, record: &mut Rollout) {
        if !record.options.restore_failed || !is_allowed(TurnKind::Restore, record.status) {
            return;
        }
        let members: Vec<NodeId> = record
            .failed
            .iter()
            .filter(|failure| matches!(failure.aftermath, Aftermath::Waits | Aftermath::WrittenOff))
            .map(|failure| failure.member)
            .filter(|member| order::answers(self.view, *member) && record.turn_of(*member).is_none())
            .collect();
        let limit = order::limit(self.view, record);
        for member in members {
            // One that nobody waited for any more may be what it is not to be, and serve: it takes part in the batch.
            let out = order::out(record);
            if !out.contains(&member) && out.len() >= limit {
                continue;
            }
            for failure in record.failed.iter_mut().filter(|failure| failure.member == member) {
                failure.aftermath = Aftermath::Waits;
            }
            self.give(record, member, TurnKind::Restore);
        }
    }

    fn give(&mut self, record: &mut Rollout, member: NodeId, kind: TurnKind) {
        // Turns count from one, so that zero is nobody's.
        record.next_turn = record.next_turn.max(1);
        record.in_turn.push(Grant { member, turn: record.next_turn, kind });
        record.next_turn += 1;
        self.notes.push(RolloutNote::Granted { rollout: record.id, member, kind });
    }

    /// Whether members that came late get their turns after the rollout was done: not after one of them failed.
    fn may_catch_up(&self, record: &Rollout) -> bool {
        super::judge::has_room_for_failures(record)
    }

    /// Ends the rollout when nobody is left to change.
    fn finish(&mut self, record: &mut Rollout) {
        if !record.in_turn.is_empty() || self.is_due(record) {
            return;
        }
        match record.status {
            RolloutStatus::Running | RolloutStatus::Paused => {
                if order::waiting(self.view, record).next().is_some() {
                    record.why = self.why_nobody_begins(record);
                    return;
                }
                if !self.is_settled() {
                    return;
                }
                let failed = record.failed.len();
                if failed > 0 && !order::has_any_at(self.view, &record.to) {
                    self.set_status(record, RolloutStatus::Halted, "every member's turn failed".to_owned());
                } else if failed > 0 {
                    let why = format!("{failed} of {} members failed and are not updated", self.view.members.len());
                    self.set_status(record, RolloutStatus::Done, why);
                } else {
                    self.set_status(record, RolloutStatus::Done, String::new());
                }
            }
            RolloutStatus::RollingBack => {
                if !order::has_forward(self.view, record) && self.is_settled() {
                    self.set_status(record, RolloutStatus::RolledBack, record.why.clone());
                }
            }
            RolloutStatus::Halted | RolloutStatus::Done | RolloutStatus::RolledBack | RolloutStatus::Aborted => {}
        }
    }

    /// Whether all that may be members are known.
    fn is_settled(&mut self) -> bool {
        let settled_at = self.seated_at + if self.strangers == 0 { SETTLES } else { SETTLES_WITH_STRANGERS };
        if settled_at > self.now.mono {
            self.wake_at(settled_at);
            return false;
        }
        true
    }

    fn why_nobody_begins(&self, record: &Rollout) -> String {
        if record.status == RolloutStatus::Paused {
            return record.why.clone();
        }
        let names: Vec<String> = order::out(record).into_iter().map(NodeId::short).collect();
        if names.is_empty() {
            return String::new();
        }
        format!(
            "waiting for {} to be what it was again: its turn failed, and no more members may be out",
            names.join(", ")
        )
    }
}

/// Whether anything is still to be done.
fn is_under_way(record: &Rollout) -> bool {
    match record.status {
        RolloutStatus::Running | RolloutStatus::Paused | RolloutStatus::Halted | RolloutStatus::RollingBack => true,
        RolloutStatus::Done | RolloutStatus::RolledBack | RolloutStatus::Aborted => !record.in_turn.is_empty(),
    }
}
