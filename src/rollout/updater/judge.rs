//! What became of the turns under way.

use crate::census::Liveness;
use crate::records::value::{
    Aftermath, Failure, Grant, OnFailure, Rollout, RolloutStatus, TurnKind, TurnPhase, TurnReport,
};

use super::super::action::RolloutNote;
use super::next::Next;
use super::watch::{Before, Told, lost_limit, report_limit};

/// How many failures a record names at most, whatever its options say.
pub(super) const FAILURES_MAX: usize = 64;
/// How many of them keep what the hook or the check said: the record must stay far below the limit of a record.
const OUTPUTS_KEPT: usize = 8;
/// Most characters of a reason.
const REASON_CHARS: usize = 400;

/// Whether turns of this kind may begin.
pub(super) fn is_allowed(kind: TurnKind, status: RolloutStatus) -> bool {
    match kind {
        TurnKind::Forward => matches!(status, RolloutStatus::Running | RolloutStatus::Done),
        TurnKind::Restore => status != RolloutStatus::Aborted,
        TurnKind::Back => status == RolloutStatus::RollingBack,
    }
}

/// Whether the members that failed are no more than may fail.
pub(super) fn has_room_for_failures(record: &Rollout) -> bool {
    let failed = record.failed.iter().filter(|failure| !failure.again).count();
    let allowed = match record.options.on_failure {
        OnFailure::Continue => usize::try_from(record.options.max_failures).unwrap_or(FAILURES_MAX).min(FAILURES_MAX),
        OnFailure::Halt | OnFailure::Rollback => 0,
    };
    failed <= allowed
}

/// How a turn ended.
enum End {
    Not,
    Done,
    Failed {
        how: How,
        why: String,
        output: String,
    },
    /// It never began, or begins anew when its member is back.
    Withdrawn,
    /// It may have begun, and is not pursued any more.
    Interrupted,
}

/// How it is known that a turn failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// The member said so, or said nothing although it can be reached.
    Judged,
    /// The member cannot be reached.
    Lost,
}

impl Next<'_> {
    /// Looks at each turn under way.
    pub(super) fn judge(&mut self, record: &mut Rollout) {
        for grant in std::mem::take(&mut record.in_turn) {
            match self.end_of(record, &grant) {
                End::Not => record.in_turn.push(grant),
                End::Done => self.done(record, &grant),
                End::Failed { how, why, output } => self.failed(record, &grant, how, why, output),
                End::Withdrawn => {
                    self.notes.push(RolloutNote::Withdrawn { rollout: record.id, member: grant.member });
                }
                End::Interrupted => self.interrupted(record, &grant),
            }
        }
    }

    fn end_of(&mut self, record: &Rollout, grant: &Grant) -> End {
        let member = self.view.members.get(&grant.member);
        let is_its_own = |report: &&TurnReport| report.rollout == record.id && report.turn == grant.turn;
        let report = member.and_then(|member| member.status.turn.as_ref()).filter(is_its_own);
        match report.map(|report| (report.phase, report)) {
            Some((TurnPhase::Done, _)) => return End::Done,
            Some((TurnPhase::Failed, report)) => {
                return End::Failed { how: How::Judged, why: report.why.clone(), output: report.output.clone() };
            }
            Some((TurnPhase::Granted | TurnPhase::Fetching | TurnPhase::Applying | TurnPhase::Verifying, _)) | None => {
            }
        }
        let answers = member.is_some_and(|member| match member.node.liveness {
            Liveness::Alive | Liveness::Suspect => true,
            Liveness::Down | Liveness::Left | Liveness::Departed => false,
        });
        let goes_by = member.and_then(|member| member.status.target.as_ref());
        let has_become = match grant.kind {
            TurnKind::Forward => goes_by == Some(&record.to),
            TurnKind::Back => goes_by == Some(&record.from),
            // It goes by what it was all the while, and is out until it has shown that it is.
            TurnKind::Restore => false,
        };
        let now = self.now.mono;
        let Some(watch) = self.watches.get_mut(&grant.turn) else { return End::Not };
        match watch.told {
            Told::Declined(Before::Nothing) => return End::Withdrawn,
            // It had come to its end before its supervisor was restarted, and forgot what it said of it.
            Told::Declined(Before::Something) if has_become => return End::Done,
            Told::Declined(Before::Something) => return End::Interrupted,
            Told::Nothing | Told::Unknown | Told::Go => {}
        }
        if answers {
            watch.lost_since = None;
            let limit = watch.since + report_limit(&record.options);
            if limit > now {
                self.wake_at(limit);
                return End::Not;
            }
            if watch.is_unbegun() {
                return End::Withdrawn;
            }
            let why = "it did not say how its turn ended".to_owned();
            return End::Failed { how: How::Judged, why, output: String::new() };
        }
        if watch.is_unbegun() {
            return End::Withdrawn;
        }
        // Putting a member back that is away begins anew when it returns; but a word that is on its way to it must not
        // begin what is not granted any more.
        if grant.kind == TurnKind::Restore {
            let until = watch.word_until();
            if until <= now {
                return End::Withdrawn;
            }
            self.wake_at(until);
            return End::Not;
        }
        let lost_since = *watch.lost_since.get_or_insert(now);
        let limit = lost_since + lost_limit(&record.options);
        if limit > now {
            self.wake_at(limit);
            return End::Not;
        }
        let why = match member.map(|member| member.node.liveness) {
            Some(Liveness::Left) => "its node left in its turn".to_owned(),
            Some(Liveness::Departed) => "its node was said to be gone for good in its turn".to_owned(),
            Some(Liveness::Alive | Liveness::Suspect | Liveness::Down) => {
                let waited = now.since(lost_since).as_secs();
                format!("its node went down in its turn, or cannot be reached any more, {waited} s ago")
            }
            None => "it is no member of the group any more".to_owned(),
        };
        End::Failed { how: How::Lost, why, output: String::new() }
    }

    fn done(&mut self, record: &mut Rollout, grant: &Grant) {
        let (rollout, member, kind) = (record.id, grant.member, grant.kind);
        self.notes.push(RolloutNote::MemberDone { rollout, member, kind });
        match kind {
            TurnKind::Forward => record.failed.retain(|failure| failure.member != member),
            TurnKind::Restore | TurnKind::Back => {
                for failure in record.failed.iter_mut().filter(|failure| failure.member == member) {
                    failure.aftermath = Aftermath::Restored;
                }
                // From here on it waits like all others.
                record.failed.retain(|failure| failure.member != member || !failure.again);
            }
        }
    }

    /// A member that may be on its way back by itself is out until it has shown what it is.
    pub(super) fn interrupted(&mut self, record: &mut Rollout, grant: &Grant) {
        self.notes.push(RolloutNote::Withdrawn { rollout: record.id, member: grant.member });
        if record.failed.iter().any(|failure| failure.member == grant.member) {
            return;
        }
        let reason = "its turn was taken back".to_owned();
        let failure = Failure::new(grant.member, grant.turn, reason, String::new());
        record.failed.push(Failure { again: true, ..failure });
    }

    fn failed(&mut self, record: &mut Rollout, grant: &Grant, how: How, why: String, output: String) {
        let (rollout, member, kind) = (record.id, grant.member, grant.kind);
        let why: String = why.chars().take(REASON_CHARS).collect();
        self.notes.push(RolloutNote::MemberFailed { rollout, member, kind, why: why.clone() });
        match kind {
            TurnKind::Forward => {
                self.note_failure(record, grant, why.clone(), output, Aftermath::Waits);
                self.after_failure(record, format!("the turn of {} failed: {why}", member.short()));
            }
            TurnKind::Restore => {
                let mut is_the_last_remedy = true;
                for failure in record.failed.iter_mut().filter(|failure| failure.member == member) {
                    failure.aftermath = Aftermath::Stuck;
                    failure.reason = format!("{}; putting it back failed, too: {why}", failure.reason);
                    is_the_last_remedy = !failure.again;
                }
                if is_the_last_remedy {
                    self.stop(record, format!("{} could not be put back: {why}", member.short()));
                }
            }
            TurnKind::Back => {
                let aftermath = match how {
                    How::Judged => Aftermath::Stuck,
                    How::Lost => Aftermath::WrittenOff,
                };
                self.note_failure(record, grant, format!("going back failed: {why}"), output, aftermath);
                match how {
                    How::Judged => self.stop(record, format!("{} could not go back: {why}", member.short())),
                    // The others need not stay what they have to leave because one is away.
                    How::Lost => {}
                }
            }
        }
    }

    fn note_failure(&self, record: &mut Rollout, grant: &Grant, reason: String, output: String, aftermath: Aftermath) {
        record.failed.retain(|failure| failure.member != grant.member);
        let kept = record.failed.iter().filter(|failure| !failure.output.is_empty()).count() < OUTPUTS_KEPT;
        let output = if kept { bounded(output) } else { String::new() };
        record.failed.push(Failure { aftermath, ..Failure::new(grant.member, grant.turn, reason, output) });
    }

    /// What follows from the failure of a turn forward.
    fn after_failure(&mut self, record: &mut Rollout, why: String) {
        match record.status {
            RolloutStatus::Running | RolloutStatus::Paused => {}
            // A late one: the others are what they are to be, and stay that.
            RolloutStatus::Done => {
                record.why = why;
                return;
            }
            RolloutStatus::Halted | RolloutStatus::RollingBack | RolloutStatus::RolledBack | RolloutStatus::Aborted => {
                return;
            }
        }
        match record.options.on_failure {
            OnFailure::Halt => self.set_status(record, RolloutStatus::Halted, why),
            OnFailure::Rollback if record.from != record.to => self.set_status(record, RolloutStatus::RollingBack, why),
            OnFailure::Rollback => self.set_status(record, RolloutStatus::Halted, why),
            OnFailure::Continue if has_room_for_failures(record) => {}
            OnFailure::Continue => {
                let why = format!("{} members failed, more than may: {why}", record.failed.len());
                self.set_status(record, RolloutStatus::Halted, why);
            }
        }
    }

    /// A member cannot be brought back: nobody else is touched until a person has looked.
    fn stop(&mut self, record: &mut Rollout, why: String) {
        match record.status {
            RolloutStatus::Running | RolloutStatus::Paused | RolloutStatus::RollingBack | RolloutStatus::Halted => {
                self.set_status(record, RolloutStatus::Halted, why);
            }
            RolloutStatus::Done | RolloutStatus::RolledBack | RolloutStatus::Aborted => record.why = why,
        }
    }
}

/// The end of what was said, no longer than what goes round the ring.
fn bounded(output: String) -> String {
    let mut from = output.len().saturating_sub(TurnReport::OUTPUT_BYTES);
    while !output.is_char_boundary(from) {
        from += 1;
    }
    output[from..].to_owned()
}
