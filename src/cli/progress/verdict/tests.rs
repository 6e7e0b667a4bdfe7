use super::{Since, Sought, Verdict, Wants, judge};
use crate::api::fake::{ASKED, NEW_RELEASE, OLD_RELEASE, rolling};
use crate::api::shape::{MemberProgress, MemberServiceState, MemberState, RolloutReport};
use crate::api::{Problem, ProblemKind};
use crate::records::value::{Health, RolloutStatus, Strategy, TurnKind, TurnPhase};

fn sought(wants: Wants) -> Sought {
    Sought { since: Since::Asked(ASKED), wants }
}

fn update() -> Sought {
    sought(Wants::Release(NEW_RELEASE.to_owned()))
}

fn with_status(status: RolloutStatus) -> RolloutReport {
    let mut report = rolling::running(1, None);
    report.rollout.as_mut().unwrap().status = status;
    report
}

fn going(report: &RolloutReport, sought: &Sought) -> String {
    match judge(report, sought) {
        Verdict::Going(missing) => missing,
        other => panic!("{other:?}"),
    }
}

fn failed(report: &RolloutReport, sought: &Sought) -> Problem {
    match judge(report, sought) {
        Verdict::Failed(problem) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_update_is_done_when_its_rollout_is() {
    assert_eq!(judge(&rolling::done(), &update()), Verdict::Done);
    let in_turn = rolling::running(1, Some((1, TurnPhase::Verifying)));
    assert_eq!(going(&in_turn, &update()), "127.0.0.3:9638 is verifying");
    assert_eq!(going(&rolling::running(1, None), &update()), "its updater has yet to take it up");
}

#[test]
fn an_earlier_rollout_says_nothing_about_a_later_change() {
    let later = Sought { since: Since::Asked(ASKED + 1), ..update() };
    let mut report = rolling::done();
    report.desired.release = Some("redis/7.3/efefefefefef".into());
    assert_eq!(going(&report, &later), "its updater has yet to take it up");
    assert!(!later.is_answered_by(&report) && update().is_answered_by(&report));
    report.standing.sentences = vec!["Nobody holds the updater seat.".into()];
    assert_eq!(going(&report, &later), "Nobody holds the updater seat");
}

#[test]
fn what_a_group_has_already_needs_no_rollout() {
    let later = Sought { since: Since::Asked(ASKED + 1), ..update() };
    assert_eq!(judge(&rolling::done(), &later), Verdict::Done);
}

#[test]
fn what_another_change_replaced_is_not_waited_for() {
    let mut report = rolling::running(1, None);
    report.rollout.as_mut().unwrap().to.release = Some(OLD_RELEASE.into());
    let problem = failed(&report, &update());
    assert_eq!(problem.kind, ProblemKind::Conflict);
    let expected = format!("redis.default: {NEW_RELEASE} was replaced by {OLD_RELEASE} before all members had it");
    assert_eq!(problem.detail, expected);
}

#[test]
fn a_halt_is_told_with_the_member_its_reason_and_the_output_of_its_check() {
    let problem = failed(&rolling::halted(true), &update());
    assert_eq!(problem.kind, ProblemKind::RolloutFailed);
    let expected = "rollout 7 of redis.default is halted: 127.0.0.3:9638 failed: the health check says critical after it \
                    was ok (it is back on what it was)\n    connection refused";
    assert_eq!(problem.detail, expected);
    let next = "sup rollout retry redis.default, or sup rollout rollback redis.default; more: sup rollout status \
                redis.default";
    assert_eq!(problem.next.as_deref(), Some(next));
}

#[test]
fn a_halt_is_told_once_the_member_that_failed_is_back() {
    let mut report = rolling::halted(false);
    report.members[1].progress = MemberProgress::InTurn;
    report.members[1].turn = Some(rolling::turn(TurnKind::Restore, TurnPhase::Applying));
    report.rollout.as_mut().unwrap().in_turn = vec![report.members[1].node_id];
    assert_eq!(going(&report, &update()), "127.0.0.3:9638 is going back, applying");
}

#[test]
fn a_pause_is_waited_through_and_says_how_to_go_on() {
    let missing = going(&with_status(RolloutStatus::Paused), &update());
    assert_eq!(missing, "rollout 7 is paused; go on with: sup rollout resume redis.default");
}

#[test]
fn each_order_is_done_when_the_rollout_stands_as_was_wanted() {
    let back = sought(Wants::Back);
    assert_eq!(judge(&with_status(RolloutStatus::RolledBack), &back), Verdict::Done);
    assert!(matches!(judge(&with_status(RolloutStatus::RollingBack), &back), Verdict::Going(_)));
    for (status, seen) in [
        (RolloutStatus::Paused, RolloutStatus::Paused),
        (RolloutStatus::Aborted, RolloutStatus::Aborted),
        // It was over when the order came.
        (RolloutStatus::Paused, RolloutStatus::Done),
    ] {
        assert_eq!(judge(&with_status(seen), &sought(Wants::Status(status))), Verdict::Done);
    }
    let paused = sought(Wants::Status(RolloutStatus::Paused));
    assert!(matches!(judge(&with_status(RolloutStatus::Running), &paused), Verdict::Going(_)));
}

#[test]
fn an_order_counts_once_it_was_obeyed() {
    let sought = Sought { since: Since::Obeyed(5), wants: Wants::Status(RolloutStatus::Paused) };
    let mut report = with_status(RolloutStatus::Paused);
    assert!(matches!(judge(&report, &sought), Verdict::Going(_)));
    report.rollout.as_mut().unwrap().obeyed = 5;
    assert_eq!(judge(&report, &sought), Verdict::Done);
}

#[test]
fn members_that_were_passed_over_make_it_fail_in_the_end() {
    let mut report = rolling::halted(true);
    report.rollout.as_mut().unwrap().status = RolloutStatus::Done;
    let problem = failed(&report, &update());
    assert!(problem.detail.starts_with("rollout 7 of redis.default is done, but 127.0.0.3:9638 failed: "), "{problem}");
}

/// A group under `at-once` of which all have the new release.
fn at_once() -> RolloutReport {
    let mut report = rolling::running(3, None);
    report.strategy = Strategy::AtOnce;
    report.rollout = None;
    report
}

#[test]
fn at_once_is_done_when_all_that_answer_run_it_and_are_ok() {
    assert_eq!(judge(&at_once(), &update()), Verdict::Done);
    let mut ill = at_once();
    ill.members[2].health = Health::Critical;
    assert_eq!(going(&ill, &update()), "1 of 3 members left; 127.0.0.4:9638 is up");
    ill.members[2].node_state = MemberState::Down;
    assert_eq!(judge(&ill, &update()), Verdict::Done);
    let mut old = at_once();
    old.members[0].progress = MemberProgress::Waiting;
    assert!(matches!(judge(&old, &update()), Verdict::Going(_)));
}

#[test]
fn a_member_that_cannot_run_it_ends_the_wait() {
    let mut report = at_once();
    report.members[0].state = MemberServiceState::Failed;
    report.members[0].why = "no such command".into();
    let problem = failed(&report, &update());
    assert_eq!(problem.kind, ProblemKind::ServiceFailed);
    assert_eq!(problem.detail, "redis.default cannot run it on 127.0.0.2:9638: no such command");
    // It could not run what was before either.
    report.members[0].progress = MemberProgress::Waiting;
    assert!(matches!(judge(&report, &update()), Verdict::Going(_)));
}
