use std::sync::Arc;

use super::{own_turn, standing};
use crate::base::{BlobRef, Hash, NodeId, ReleaseRef, Term, Wall};
use crate::census::{CouncilView, ElectionState, GroupView, Liveness, MemberView, NodeView, SeatView};
use crate::records::value::{
    Aftermath, DesiredRelease, Failure, Grant, MemberStatus, Order, OrderKind, Rollout, RolloutStatus, Strategy,
    Target, TurnKind, TurnPhase, TurnReport,
};

const ME: NodeId = NodeId::from_u128(1 << 100);
const OTHER: NodeId = NodeId::from_u128(2 << 100);
/// 2026-05-01T12:00:00Z.
const NOON: Wall = Wall(1_777_636_800_000);

fn release(byte: u8) -> ReleaseRef {
    ReleaseRef {
        origin: None,
        name: "redis".parse().unwrap(),
        version: "7".parse().unwrap(),
        manifest: Hash::from_bytes([byte; 32]),
        blob: BlobRef { id: Hash::from_bytes([byte; 32]), bytes: 1 },
    }
}

fn target(byte: u8) -> Target {
    Target { release: Some(Hash::from_bytes([byte; 32])), ..Target::default() }
}

fn member(id: NodeId, last: u8, goes_by: u8) -> MemberView {
    MemberView {
        node: NodeView {
            id,
            address: ([127, 0, 0, last], 9638).into(),
            liveness: Liveness::Alive,
            facts: Arc::default(),
        },
        status: Arc::new(MemberStatus { target: Some(target(goes_by)), ..MemberStatus::default() }),
        leader: false,
        updater: false,
    }
}

/// Two members, of which the first has the new release `bb`.
fn view(rollout: Rollout) -> GroupView {
    GroupView {
        strategy: Strategy::Rolling,
        update_election: ElectionState::Finished,
        updater: Some(SeatView { node: ME, term: Term(2) }),
        release: Some(DesiredRelease { release: release(0xbb), earlier: vec![release(0xaa)], at: NOON, by: Some(ME) }),
        target: target(0xbb),
        asked: 5,
        rollout: Some((Term(2), Arc::new(rollout))),
        members: [(ME, member(ME, 2, 0xbb)), (OTHER, member(OTHER, 3, 0xaa))].into(),
        ..GroupView::empty("redis.default".parse().unwrap())
    }
}

fn rollout(status: RolloutStatus) -> Rollout {
    Rollout { id: 7, status, from: target(0xaa), to: target(0xbb), ..Rollout::default() }
}

fn with_turn(phase: TurnPhase, why: &str) -> GroupView {
    let grant = Grant { member: OTHER, turn: 4, kind: TurnKind::Forward };
    let mut view = view(Rollout { in_turn: vec![grant], ..rollout(RolloutStatus::Running) });
    let report = TurnReport { rollout: 7, turn: 4, phase, why: why.to_owned(), since: NOON, ..TurnReport::default() };
    let other = view.members.get_mut(&OTHER).unwrap();
    other.status = Arc::new(MemberStatus { turn: Some(report), ..(*other.status).clone() });
    view
}

fn failed(restored: bool) -> Failure {
    let output = "PING\nrefused\n".to_owned();
    let aftermath = if restored { Aftermath::Restored } else { Aftermath::Waits };
    Failure { aftermath, ..Failure::new(OTHER, 3, "the health check says critical".to_owned(), output) }
}

#[test]
fn what_is_over_and_well_needs_no_words() {
    let mut view = view(rollout(RolloutStatus::Done));
    view.members.insert(OTHER, member(OTHER, 3, 0xbb));
    assert_eq!(standing(&view, ME), Default::default());
    view.strategy = Strategy::AtOnce;
    view.rollout = Some((Term(2), Arc::new(rollout(RolloutStatus::Halted))));
    assert_eq!(standing(&view, ME), Default::default());
}

#[test]
fn a_turn_under_way_is_told_with_its_phase() {
    let standing = standing(&with_turn(TurnPhase::Fetching, "3 of 50 MB"), ME);
    let expected = "Rollout 7 of redis.default waits for 127.0.0.3:9638, which fetches the release since \
                    2026-05-01T12:00:00.000Z (3 of 50 MB).";
    assert_eq!(standing.sentences, [expected]);
    assert_eq!(standing.next.as_deref(), Some("sup rollout status redis.default"));
}

#[test]
fn a_member_that_goes_down_in_its_turn_is_said_to() {
    let mut view = with_turn(TurnPhase::Applying, "");
    view.members.get_mut(&OTHER).unwrap().node.liveness = Liveness::Down;
    let expected = "Rollout 7 of redis.default waits for 127.0.0.3:9638, which does not answer: its turn is given up \
                    when it does not for longer than the deadline.";
    assert_eq!(standing(&view, ME).sentences, [expected]);
}

#[test]
fn a_halt_names_the_member_its_output_and_the_commands() {
    let told = standing(&view(Rollout { failed: vec![failed(true)], ..rollout(RolloutStatus::Halted) }), ME);
    assert_eq!(
        told.sentences,
        [
            "Rollout 7 of redis.default, to redis/7/bbbbbbbbbbbb, is halted: nobody else is touched until a person \
             says how to go on.",
            "The turn of 127.0.0.3:9638 failed: the health check says critical; it is back on what it was.",
            "It wrote:\n    PING\n    refused",
            "1 of the 2 members of redis.default have it.",
        ]
    );
    let next = "sup rollout retry redis.default, or sup rollout rollback redis.default";
    assert_eq!(told.next.as_deref(), Some(next));
    let stuck = standing(&view(Rollout { failed: vec![failed(false)], ..rollout(RolloutStatus::Halted) }), ME);
    assert!(stuck.sentences[1].ends_with("; it is not back on what it was."), "{stuck:?}");
}

#[test]
fn a_pause_says_who_and_when() {
    let mut view = view(rollout(RolloutStatus::Paused));
    view.order = Some((9, Order { what: OrderKind::Pause, rollout: 7, at: NOON, by: Some(OTHER) }));
    let told = standing(&view, ME);
    let expected = "Rollout 7 of redis.default, to redis/7/bbbbbbbbbbbb, was paused on 127.0.0.3:9638 at \
                    2026-05-01T12:00:00.000Z: nobody begins a turn.";
    assert_eq!(
        (told.sentences[0].as_str(), told.next.as_deref()),
        (expected, Some("sup rollout resume redis.default"))
    );
}

#[test]
fn without_an_updater_it_says_why_there_is_none() {
    let mut view = view(rollout(RolloutStatus::Running));
    view.update_election = ElectionState::NoQuorum;
    view.council = Some(CouncilView {
        voters: vec![ME, OTHER, NodeId::from_u128(9)],
        version: (Term(1), 1),
        change: String::new(),
    });
    let told = standing(&view, ME);
    assert_eq!(
        told.sentences[..2],
        [
            "Nobody holds the updater seat of redis.default: until somebody does, nobody begins a turn.",
            "1 of the 3 members that vote do not answer.",
        ]
    );
    assert_eq!(told.next.as_deref(), Some("sup members"));
    view.council = None;
    view.rollout = None;
    assert_eq!(standing(&view, ME).sentences[1], "Too few members have ever been there at once to say who decides.");
}

#[test]
fn a_change_that_nobody_has_taken_up_yet_is_said_to_wait() {
    let mut waits = view(rollout(RolloutStatus::Done));
    waits.target = target(0xcc);
    let expected =
        "What was asked for last (cccccccccccc, config defaults) is next: the updater has yet to take it up.";
    assert_eq!(standing(&waits, ME).sentences[0], expected);
    let mut busy = with_turn(TurnPhase::Verifying, "");
    busy.target = target(0xcc);
    let told = standing(&busy, ME).sentences;
    assert!(told[0].ends_with("is next, once the turn under way has ended."), "{told:?}");
}

#[test]
fn those_that_are_away_are_named() {
    let mut view = view(rollout(RolloutStatus::Done));
    view.members.get_mut(&OTHER).unwrap().node.liveness = Liveness::Down;
    assert_eq!(standing(&view, ME).sentences, ["127.0.0.3:9638 does not answer, and gets it when it is back."]);
}

#[test]
fn an_abort_and_a_rollback_say_what_they_leave() {
    let aborted = standing(&view(rollout(RolloutStatus::Aborted)), ME).sentences;
    assert!(aborted[0].ends_with("was aborted: members stay as they are."), "{aborted:?}");
    assert_eq!(aborted[1], "1 of the 2 members of redis.default have it.");
    let back = standing(&view(Rollout { failed: vec![failed(true)], ..rollout(RolloutStatus::RolledBack) }), ME);
    assert!(back.sentences[0].ends_with("was rolled back."), "{back:?}");
    assert!(back.next.unwrap().starts_with("sup rollout retry redis.default, or sup update"));
}

#[test]
fn a_members_own_turn_is_told_to_who_asks_about_its_service() {
    let told = own_turn(&with_turn(TurnPhase::Verifying, ""), OTHER).unwrap();
    let expected = "It has its turn in rollout 7 of redis.default: it is up, and has to stay ok since \
                    2026-05-01T12:00:00.000Z.";
    assert_eq!(told, expected);
    let halted = view(Rollout { failed: vec![failed(true)], ..rollout(RolloutStatus::Halted) });
    assert!(own_turn(&halted, OTHER).unwrap().starts_with("Its turn in rollout 7 of redis.default failed: "));
    assert_eq!(own_turn(&halted, ME), None);
}
