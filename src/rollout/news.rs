//! What a rollout's record tells those who did not write it.

use super::action::RolloutNote;
use crate::base::NodeId;
use crate::records::value::{Grant, Rollout, RolloutStatus};

/// What happened between two versions of a group's record, the later of which another node wrote. `is_done` says whether
/// the member of a grant has said that its turn is done. A node that knew of none before is told how it stands, and not
/// what has led there.
#[must_use]
pub fn news(before: Option<&Rollout>, after: &Rollout, is_done: impl Fn(&Grant) -> bool) -> Vec<RolloutNote> {
    let rollout = after.id;
    let status = || RolloutNote::Status { rollout, status: after.status, why: after.why.clone() };
    let mut notes = Vec::new();
    match before {
        None if is_over(after.status) => return notes,
        None if rollout > 1 => notes.push(status()),
        None => notes.push(RolloutNote::Began { rollout, superseded: None }),
        Some(before) if before.id < rollout => {
            let superseded = (!is_over(before.status)).then_some(before.id);
            notes.push(RolloutNote::Began { rollout, superseded });
        }
        Some(_) => {}
    }
    let same = before.filter(|before| before.id == rollout);
    let grants = |record: &Rollout| record.in_turn.iter().map(|grant| grant.turn).collect::<Vec<u64>>();
    let (had, has) = (same.map(grants).unwrap_or_default(), grants(after));
    for grant in same.iter().flat_map(|before| &before.in_turn).filter(|grant| !has.contains(&grant.turn)) {
        notes.push(end_of(grant, after, is_done(grant)));
    }
    for grant in after.in_turn.iter().filter(|grant| !had.contains(&grant.turn)) {
        notes.push(RolloutNote::Granted { rollout, member: grant.member, kind: grant.kind });
    }
    if same.is_some_and(|before| before.status != after.status) {
        notes.push(status());
    }
    notes
}

/// How a turn ended that is granted no more.
fn end_of(grant: &Grant, after: &Rollout, is_done: bool) -> RolloutNote {
    let (rollout, member, kind): (u64, NodeId, _) = (after.id, grant.member, grant.kind);
    match after.failed.iter().find(|failure| failure.turn == grant.turn) {
        Some(failure) => RolloutNote::MemberFailed { rollout, member, kind, why: failure.reason.clone() },
        None if is_done => RolloutNote::MemberDone { rollout, member, kind },
        // The member's own word may be on its way, or there is none, since it had not begun.
        None => RolloutNote::Over { rollout, member },
    }
}

const fn is_over(status: RolloutStatus) -> bool {
    match status {
        RolloutStatus::Done | RolloutStatus::RolledBack | RolloutStatus::Aborted => true,
        RolloutStatus::Running | RolloutStatus::Paused | RolloutStatus::Halted | RolloutStatus::RollingBack => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{RolloutNote, news};
    use crate::base::NodeId;
    use crate::records::value::{Aftermath, Failure, Grant, Rollout, RolloutStatus, TurnKind};

    const ONE: NodeId = NodeId::from_u128(1);
    const TWO: NodeId = NodeId::from_u128(2);

    fn grant(member: NodeId, turn: u64) -> Grant {
        Grant { member, turn, kind: TurnKind::Forward }
    }

    fn record(id: u64, status: RolloutStatus, in_turn: Vec<Grant>) -> Rollout {
        Rollout { id, status, in_turn, ..Rollout::default() }
    }

    #[test]
    fn each_step_is_told_once() {
        let first = record(1, RolloutStatus::Running, vec![grant(ONE, 1)]);
        let kind = TurnKind::Forward;
        let granted = |member| RolloutNote::Granted { rollout: 1, member, kind };
        assert_eq!(news(None, &first, |_| false), [RolloutNote::Began { rollout: 1, superseded: None }, granted(ONE)]);
        assert_eq!(news(Some(&first), &first, |_| true), []);
        let second = record(1, RolloutStatus::Running, vec![grant(TWO, 2)]);
        let done = RolloutNote::MemberDone { rollout: 1, member: ONE, kind };
        assert_eq!(news(Some(&first), &second, |_| true), [done, granted(TWO)]);
        let over = RolloutNote::Over { rollout: 1, member: ONE };
        assert_eq!(news(Some(&first), &second, |_| false), [over, granted(TWO)]);
        let failed = vec![Failure {
            member: TWO,
            turn: 2,
            reason: "it died".to_owned(),
            output: String::new(),
            aftermath: Aftermath::default(),
            again: false,
        }];
        let halted = Rollout { failed, why: "x".to_owned(), ..record(1, RolloutStatus::Halted, Vec::new()) };
        let expected = [
            RolloutNote::MemberFailed { rollout: 1, member: TWO, kind, why: "it died".to_owned() },
            RolloutNote::Status { rollout: 1, status: RolloutStatus::Halted, why: "x".to_owned() },
        ];
        assert_eq!(news(Some(&second), &halted, |_| false), expected);
        let next = record(2, RolloutStatus::Running, Vec::new());
        assert_eq!(news(Some(&halted), &next, |_| false), [RolloutNote::Began { rollout: 2, superseded: Some(1) }]);
    }

    #[test]
    fn a_node_that_comes_later_is_told_how_it_stands_and_nothing_of_what_is_over() {
        let halted = record(5, RolloutStatus::Halted, Vec::new());
        let status = RolloutNote::Status { rollout: 5, status: RolloutStatus::Halted, why: String::new() };
        assert_eq!(news(None, &halted, |_| false), [status]);
        for over in [RolloutStatus::Done, RolloutStatus::RolledBack, RolloutStatus::Aborted] {
            assert_eq!(news(None, &record(1, over, Vec::new()), |_| false), []);
        }
    }
}
