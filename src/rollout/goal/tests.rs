use std::sync::Arc;

use super::{Own, goal};
use crate::base::{NodeId, Term};
use crate::census::{ConfigView, Goal, GroupView, When};
use crate::records::value::{
    DesiredState, Failure, Grant, MemberStatus, Rollout, RolloutOptions, RolloutStatus, ServiceState, Strategy, Target,
    TurnKind, TurnPhase, TurnReport,
};

const ME: NodeId = NodeId::from_u128(1);

fn config(revision: &str) -> Target {
    Target { release: None, config: Some(revision.to_owned()), state: DesiredState::Up }
}

/// Any revision is known but those that begin with `unknown`.
fn text(revision: &str) -> Option<ConfigView> {
    let known = !revision.starts_with("unknown");
    known.then(|| ConfigView { revision: revision.to_owned(), toml: format!("# {revision}").into() })
}

fn rollout(status: RolloutStatus) -> Rollout {
    Rollout { id: 3, from: config("old"), to: config("new"), status, ..Rollout::default() }
}

fn view(strategy: Strategy, rollout: Option<Rollout>) -> GroupView {
    GroupView {
        strategy,
        target: config("wanted"),
        rollout: rollout.map(|rollout| (Term(1), Arc::new(rollout))),
        ..GroupView::empty("web.default".parse().unwrap())
    }
}

fn member(mine: Option<&str>, state: ServiceState) -> MemberStatus {
    MemberStatus { target: mine.map(config), state, ..MemberStatus::default() }
}

fn told(view: &GroupView, status: &MemberStatus, turn: Option<&Grant>) -> Goal {
    goal(view, Own { me: ME, status, turn, goal: None }, text).unwrap()
}

/// The config that a member without a turn is told.
fn without_turn(rollout: Option<Rollout>, mine: Option<&str>, state: ServiceState) -> String {
    let goal = told(&view(Strategy::Rolling, rollout), &member(mine, state), None);
    assert_eq!(goal.turn, None);
    assert_eq!(goal.config.map(|config| config.revision), goal.target.config);
    goal.target.config.unwrap()
}

fn reporting(mut status: MemberStatus, turn: u64, phase: TurnPhase) -> MemberStatus {
    status.turn = Some(TurnReport { rollout: 3, turn, phase, ..TurnReport::default() });
    status
}

#[test]
fn without_a_rollout_all_are_what_is_wanted_and_only_a_release_may_wait_for_the_next_start() {
    for (strategy, when) in [(Strategy::None, When::NextStart), (Strategy::AtOnce, When::Now)] {
        for state in [ServiceState::Loaded, ServiceState::Up] {
            let goal = told(&view(strategy, Some(rollout(RolloutStatus::Halted))), &member(Some("old"), state), None);
            assert_eq!((goal.target, goal.release_when, goal.turn), (config("wanted"), when, None));
            assert_eq!(&*goal.config.unwrap().toml, "# wanted");
        }
    }
}

#[test]
fn before_the_first_rollout_a_member_stays_what_it_is_and_a_new_one_is_what_is_wanted() {
    assert_eq!(without_turn(None, Some("old"), ServiceState::Up), "old");
    assert_eq!(without_turn(None, Some("old"), ServiceState::Loaded), "old");
    assert_eq!(without_turn(None, None, ServiceState::Loaded), "wanted");
}

#[test]
fn a_member_that_runs_stays_what_it_is_however_the_rollout_stands() {
    for status in [
        RolloutStatus::Running,
        RolloutStatus::Paused,
        RolloutStatus::Halted,
        RolloutStatus::RollingBack,
        RolloutStatus::Done,
        RolloutStatus::RolledBack,
        RolloutStatus::Aborted,
    ] {
        for state in [ServiceState::Up, ServiceState::Backoff, ServiceState::Failed, ServiceState::Starting] {
            for mine in ["old", "new", "ancient"] {
                assert_eq!(without_turn(Some(rollout(status)), Some(mine), state), mine, "{status:?} {state:?}");
            }
        }
    }
}

#[test]
fn a_member_that_an_earlier_run_left_running_is_not_one_that_starts() {
    let mut status = member(Some("ancient"), ServiceState::Loaded);
    status.pid = Some(7);
    let goal = told(&view(Strategy::Rolling, Some(rollout(RolloutStatus::Done))), &status, None);
    assert_eq!(goal.target, config("ancient"));
}

#[test]
fn a_member_that_returns_starts_with_what_is_known_to_be_good_unless_it_had_its_turn() {
    use RolloutStatus::{Aborted, Done, Halted, Paused, RolledBack, RollingBack, Running};
    let table = [
        // how it stands, and with what one starts that was: new, on `from`, on `to`, on something before
        (Running, ["old", "old", "new", "old"]),
        (Paused, ["old", "old", "new", "old"]),
        (Halted, ["old", "old", "new", "old"]),
        (Aborted, ["old", "old", "new", "old"]),
        (RollingBack, ["old", "old", "old", "old"]),
        (RolledBack, ["old", "old", "old", "old"]),
        (Done, ["new", "new", "new", "new"]),
    ];
    for (status, expected) in table {
        let starts = |mine| without_turn(Some(rollout(status)), mine, ServiceState::WaitingForRing);
        let starts = [None, Some("old"), Some("new"), Some("ancient")].map(starts);
        assert_eq!(starts, expected, "{status:?}");
    }
}

#[test]
fn a_member_that_was_taken_down_does_not_come_up_before_its_turn() {
    for status in [RolloutStatus::Running, RolloutStatus::Halted, RolloutStatus::Done] {
        let mine = Target { state: DesiredState::Down, ..config("ancient") };
        let own = MemberStatus { target: Some(mine.clone()), state: ServiceState::Down, ..MemberStatus::default() };
        assert_eq!(told(&view(Strategy::Rolling, Some(rollout(status))), &own, None).target, mine, "{status:?}");
    }
}

#[test]
fn a_member_that_failed_on_what_the_others_are_starts_with_what_it_was() {
    let mut done = rollout(RolloutStatus::Done);
    done.failed.push(failure(9));
    assert_eq!(without_turn(Some(done), Some("old"), ServiceState::Loaded), "old");
}

fn failure(turn: u64) -> Failure {
    Failure::new(ME, turn, String::new(), String::new())
}

fn grant(kind: TurnKind) -> Grant {
    Grant { member: ME, turn: 9, kind }
}

#[test]
fn a_turn_leads_where_its_kind_says_whatever_the_member_is() {
    let table = [
        (TurnKind::Forward, "old", "new"),
        (TurnKind::Back, "new", "old"),
        (TurnKind::Restore, "old", "old"),
        // It missed the rollout before this one.
        (TurnKind::Restore, "ancient", "ancient"),
        // It came to its end after it had been taken for failed.
        (TurnKind::Restore, "new", "old"),
    ];
    for (kind, mine, expected) in table {
        for state in [ServiceState::Up, ServiceState::Loaded] {
            let view = view(Strategy::Rolling, Some(rollout(RolloutStatus::Running)));
            let goal = told(&view, &member(Some(mine), state), Some(&grant(kind)));
            let turn = goal.turn.unwrap();
            assert_eq!((goal.target, turn.number, turn.kind, turn.rollout), (config(expected), 9, kind, 3));
        }
    }
}

#[test]
fn a_turn_that_failed_is_over_at_once_and_leaves_the_member_what_it_was() {
    let view = view(Strategy::Rolling, Some(rollout(RolloutStatus::Running)));
    let status = reporting(member(Some("old"), ServiceState::Up), 9, TurnPhase::Failed);
    let goal = told(&view, &status, Some(&grant(TurnKind::Forward)));
    assert_eq!((goal.target, goal.turn), (config("old"), None));
}

#[test]
fn the_failure_of_an_earlier_turn_does_not_end_this_one() {
    let view = view(Strategy::Rolling, Some(rollout(RolloutStatus::Running)));
    let status = reporting(member(Some("old"), ServiceState::Up), 8, TurnPhase::Failed);
    assert!(told(&view, &status, Some(&grant(TurnKind::Forward))).turn.is_some());
}

#[test]
fn a_member_that_is_not_to_be_restored_stays_as_it_failed() {
    let options = RolloutOptions { restore_failed: false, ..RolloutOptions::default() };
    let halted = |failed| Rollout { options, failed, ..rollout(RolloutStatus::Halted) };
    let status = reporting(member(Some("old"), ServiceState::Up), 9, TurnPhase::Failed);
    let goal = told(&view(Strategy::Rolling, Some(halted(vec![failure(9)]))), &status, None);
    assert_eq!((goal.target, goal.turn), (config("new"), None));
    // Taken for failed because it was cut off before it began: nothing of it has changed.
    let untouched = member(Some("old"), ServiceState::Up);
    let goal = told(&view(Strategy::Rolling, Some(halted(vec![failure(9)]))), &untouched, None);
    assert_eq!(goal.target, config("old"));
}

#[test]
fn while_the_text_of_a_config_is_on_its_way_the_member_is_told_what_it_was_told_before() {
    let mut rollout = rollout(RolloutStatus::Running);
    rollout.to = config("unknown");
    let view = view(Strategy::Rolling, Some(rollout));
    let status = member(Some("old"), ServiceState::Up);
    let before = told(&view, &status, None);
    let own = Own { me: ME, status: &status, turn: Some(&grant(TurnKind::Forward)), goal: Some(&before) };
    assert_eq!(goal(&view, own, text), Some(before.clone()));
    assert_eq!(goal(&view, Own { goal: None, ..own }, text), None);
}

#[test]
fn a_member_that_starts_does_not_wait_for_a_config_that_nobody_keeps_any_more() {
    let mut rollout = rollout(RolloutStatus::Halted);
    rollout.to = config("unknown");
    assert_eq!(without_turn(Some(rollout), Some("unknown"), ServiceState::Loaded), "old");
}
