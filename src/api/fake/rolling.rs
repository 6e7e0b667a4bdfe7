//! A group of three in the middle of a rollout.

use super::{ASKED, NEW_RELEASE, NOON, OLD_RELEASE, goes_by, node_id, rollout};
use crate::api::shape::{MemberProgress, MemberTurn, Rollout, RolloutFailure, RolloutOptions, RolloutReport, Standing};
use crate::base::NodeId;
use crate::records::value::{RolloutStatus, TurnKind, TurnPhase};

/// A rollout in which the first `done` members have the new release, and one has its turn.
pub(crate) fn running(done: usize, in_turn: Option<(usize, TurnPhase)>) -> RolloutReport {
    let mut report = rollout();
    for member in &mut report.members[..done] {
        member.target = Some(goes_by(NEW_RELEASE));
        member.progress = MemberProgress::Done;
    }
    if let Some((at, phase)) = in_turn {
        report.members[at].progress = MemberProgress::InTurn;
        report.members[at].turn = Some(turn(TurnKind::Forward, phase));
    }
    report.desired.release = Some(NEW_RELEASE.into());
    report.desired.asked = ASKED;
    with_record(report, RolloutStatus::Running)
}

/// A rollout whose second member failed, and may be back already.
pub(crate) fn halted(restored: bool) -> RolloutReport {
    let mut report = running(1, None);
    report.members[1].progress = MemberProgress::Failed;
    let mut report = with_record(report, RolloutStatus::Halted);
    if let Some(rollout) = &mut report.rollout {
        rollout.why = "127.0.0.3:9638 failed".into();
        rollout.failed = vec![RolloutFailure {
            node_id: node_id(3),
            address: "127.0.0.3:9638".into(),
            reason: "the health check says critical after it was ok".into(),
            output: "connection refused\n".into(),
            restored,
        }];
    }
    report.standing = Standing {
        sentences: vec!["A person has to say how to go on.".into()],
        next: Some("sup rollout retry redis.default".into()),
    };
    report
}

/// A rollout that every member has.
pub(crate) fn done() -> RolloutReport {
    let mut report = with_record(running(3, None), RolloutStatus::Done);
    if let Some(rollout) = &mut report.rollout {
        rollout.ended_at = Some(NOON);
    }
    report
}

pub(crate) fn turn(kind: TurnKind, phase: TurnPhase) -> MemberTurn {
    MemberTurn { number: 40, kind, phase, why: String::new(), output: String::new(), since: Some(NOON) }
}

/// The report with a record that says what its members do.
pub(crate) fn with_record(mut report: RolloutReport, status: RolloutStatus) -> RolloutReport {
    let of = |wanted: MemberProgress| -> Vec<NodeId> {
        report.members.iter().filter(|member| member.progress == wanted).map(|member| member.node_id).collect()
    };
    let record = Rollout {
        id: 7,
        status,
        why: String::new(),
        asked: ASKED,
        obeyed: 0,
        from: goes_by(OLD_RELEASE),
        to: goes_by(NEW_RELEASE),
        options: RolloutOptions::default(),
        started_at: NOON,
        ended_at: None,
        done: of(MemberProgress::Done),
        in_turn: of(MemberProgress::InTurn),
        waiting: of(MemberProgress::Waiting),
        failed: Vec::new(),
    };
    report.rollout = Some(record);
    report
}
