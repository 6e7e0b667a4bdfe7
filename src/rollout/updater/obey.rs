//! What a person wants of the rollout.

use crate::census::GroupView;
use crate::records::value::{Aftermath, OrderKind, Rollout, RolloutStatus};

use super::super::order;
use super::next::Next;

impl Next<'_> {
    /// Obeys an order that is newer than the last that was obeyed, and meant for this rollout.
    pub(super) fn obey(&mut self, record: &mut Rollout) {
        let Some((time, order)) = &self.view.order else { return };
        if *time <= record.obeyed || order.rollout != record.id {
            return;
        }
        record.obeyed = *time;
        match order.what {
            OrderKind::Resume | OrderKind::Retry | OrderKind::Rollback => write_off(self.view, record),
            OrderKind::Pause | OrderKind::Abort => {}
        }
        match order.what {
            OrderKind::Pause => self.pause(record),
            OrderKind::Resume => self.resume(record),
            OrderKind::Retry => self.retry(record),
            OrderKind::Rollback => self.roll_back(record),
            OrderKind::Abort => self.abort(record),
        }
    }

    fn pause(&self, record: &mut Rollout) {
        match record.status {
            RolloutStatus::Running => self.set_status(record, RolloutStatus::Paused, "paused on request".to_owned()),
            RolloutStatus::Paused
            | RolloutStatus::Halted
            | RolloutStatus::RollingBack
            | RolloutStatus::Done
            | RolloutStatus::RolledBack
            | RolloutStatus::Aborted => {}
        }
    }

    fn resume(&self, record: &mut Rollout) {
        match record.status {
            RolloutStatus::Paused | RolloutStatus::Halted => {
                self.set_status(record, RolloutStatus::Running, String::new());
            }
            RolloutStatus::Running
            | RolloutStatus::RollingBack
            | RolloutStatus::Done
            | RolloutStatus::RolledBack
            | RolloutStatus::Aborted => {}
        }
    }

    /// Those that failed get another turn.
    fn retry(&self, record: &mut Rollout) {
        again(record);
        match record.status {
            // Members that came late, or failed, get their turns in a rollout that is done, too.
            RolloutStatus::Running | RolloutStatus::Done => record.why.clear(),
            RolloutStatus::Paused
            | RolloutStatus::Halted
            | RolloutStatus::RollingBack
            | RolloutStatus::RolledBack
            | RolloutStatus::Aborted => self.set_status(record, RolloutStatus::Running, String::new()),
        }
    }

    fn roll_back(&self, record: &mut Rollout) {
        if record.from == record.to {
            record.why = "there is nothing to go back to".to_owned();
            return;
        }
        match record.status {
            RolloutStatus::RollingBack | RolloutStatus::RolledBack => {}
            RolloutStatus::Running
            | RolloutStatus::Paused
            | RolloutStatus::Halted
            | RolloutStatus::Done
            | RolloutStatus::Aborted => {
                self.set_status(record, RolloutStatus::RollingBack, "rolled back on request".to_owned());
            }
        }
    }

    fn abort(&self, record: &mut Rollout) {
        match record.status {
            RolloutStatus::Running | RolloutStatus::Paused | RolloutStatus::Halted | RolloutStatus::RollingBack => {
                self.set_status(record, RolloutStatus::Aborted, "aborted on request".to_owned());
            }
            RolloutStatus::Done | RolloutStatus::RolledBack | RolloutStatus::Aborted => {}
        }
    }
}

/// Marks those that failed for another turn. Those that are not what they were are put back first: they are out until
/// then.
pub(super) fn again(record: &mut Rollout) {
    let restores = record.options.restore_failed;
    record.failed.retain(|failure| restores && failure.aftermath != Aftermath::Restored);
    for failure in &mut record.failed {
        failure.again = true;
    }
}

/// A person goes on, who sees which members failed and do not answer: nobody waits for those any more.
pub(super) fn write_off(view: &GroupView, record: &mut Rollout) {
    for failure in &mut record.failed {
        if failure.aftermath == Aftermath::Waits && !order::answers(view, failure.member) {
            failure.aftermath = Aftermath::WrittenOff;
        }
    }
}
