use std::net::SocketAddr;
use std::sync::Arc;

use super::{has_forward, leader_may, next_back, next_forward, waiting};
use crate::base::{NodeId, Term};
use crate::census::{GroupView, Liveness, MemberView, NodeView, SeatView};
use crate::records::value::{
    Aftermath, Batch, Failure, Grant, MemberStatus, NodeFacts, Rollout, Target, Topology, TurnKind,
};

/// The updater of all these tests.
const ME: u128 = 3;

fn id(number: u128) -> NodeId {
    NodeId::from_u128(number)
}

fn target(config: &str) -> Target {
    Target { config: Some(config.to_owned()), ..Target::default() }
}

/// A group led by `leader`, whose members go by these.
fn group(leader: u128, members: &[(u128, &str)]) -> GroupView {
    let mut view = GroupView::empty("web.default".parse().unwrap());
    view.topology = Topology::Leader;
    view.leader = Some(SeatView { node: id(leader), term: Term(1) });
    for (number, config) in members {
        let address = SocketAddr::from(([10, 0, 0, 1], 9638));
        let facts = Arc::new(NodeFacts::default());
        let node = NodeView { id: id(*number), address, liveness: Liveness::Alive, facts };
        let status = Arc::new(MemberStatus { target: Some(target(config)), ..MemberStatus::default() });
        view.members.insert(id(*number), MemberView { node, status, leader: false, updater: false });
    }
    view
}

fn rollout(batch: u32) -> Rollout {
    let mut rollout = Rollout { from: target("old"), to: target("new"), ..Rollout::default() };
    rollout.options.batch = Batch::Members(batch);
    rollout
}

fn in_turn(mut rollout: Rollout, members: &[u128]) -> Rollout {
    let grant = |member: &u128| Grant { member: id(*member), turn: 1, kind: TurnKind::Forward };
    rollout.in_turn = members.iter().map(grant).collect();
    rollout
}

fn failed(mut rollout: Rollout, member: u128, aftermath: Aftermath, again: bool) -> Rollout {
    let failure = Failure::new(id(member), 1, String::new(), String::new());
    rollout.failed.push(Failure { aftermath, again, ..failure });
    rollout
}

fn next(view: &GroupView, rollout: &Rollout) -> Vec<u128> {
    next_forward(view, rollout, id(ME)).into_iter().map(NodeId::as_u128).collect()
}

const ALL_OLD: [(u128, &str); 5] = [(1, "old"), (2, "old"), (3, "old"), (4, "old"), (5, "old")];

#[test]
fn the_updater_is_first_and_alone_however_large_the_batch() {
    assert_eq!(next(&group(1, &ALL_OLD), &rollout(3)), [3]);
    assert!(next(&group(1, &ALL_OLD), &in_turn(rollout(3), &[3])).is_empty());
    // An updater that took over from another waits until nobody is in turn.
    assert!(next(&group(1, &ALL_OLD), &in_turn(rollout(3), &[4])).is_empty());
}

#[test]
fn the_others_follow_by_their_ids_as_many_as_the_batch_and_the_leader_is_last_and_alone() {
    let mut members = ALL_OLD;
    members[2].1 = "new";
    assert_eq!(next(&group(1, &members), &rollout(2)), [2, 4]);
    assert_eq!(next(&group(1, &members), &in_turn(rollout(2), &[2])), [4]);
    members[1].1 = "new";
    members[3].1 = "new";
    assert!(next(&group(1, &members), &in_turn(rollout(2), &[5])).is_empty(), "a follower is not done");
    members[4].1 = "new";
    assert_eq!(next(&group(1, &members), &rollout(2)), [1]);
}

#[test]
fn the_leader_may_begin_only_when_nobody_else_waits_or_is_in_turn() {
    let mut members = [(1, "old"), (2, "new"), (3, "new")];
    assert!(leader_may(&group(1, &members), &rollout(1), id(1)));
    assert!(!leader_may(&group(1, &members), &in_turn(rollout(2), &[2]), id(1)));
    members[1].1 = "old";
    assert!(!leader_may(&group(1, &members), &rollout(1), id(1)));
}

#[test]
fn those_that_are_down_have_not_started_or_failed_do_not_wait() {
    let mut view = group(1, &[(1, "old"), (2, "old"), (4, "old"), (5, "old")]);
    view.members.get_mut(&id(2)).unwrap().node.liveness = Liveness::Down;
    view.members.get_mut(&id(4)).unwrap().status = Arc::new(MemberStatus::default());
    let rollout = failed(rollout(1), 5, Aftermath::Restored, false);
    assert_eq!(waiting(&view, &rollout).collect::<Vec<_>>(), [id(1)]);
}

#[test]
fn a_member_that_is_yet_to_be_put_back_takes_the_place_of_another() {
    let mut members = ALL_OLD;
    members[2].1 = "new";
    let view = group(1, &members);
    assert!(next(&view, &failed(rollout(1), 2, Aftermath::Waits, false)).is_empty());
    assert_eq!(next(&view, &failed(rollout(2), 2, Aftermath::Waits, false)), [4]);
    assert_eq!(next(&view, &failed(rollout(1), 2, Aftermath::Restored, false)), [4]);
    assert_eq!(next(&view, &failed(rollout(1), 2, Aftermath::WrittenOff, false)), [4]);
}

#[test]
fn one_that_could_not_be_put_back_and_is_to_try_again_goes_before_the_updater() {
    assert_eq!(next(&group(1, &ALL_OLD), &failed(rollout(1), 4, Aftermath::Stuck, true)), [4]);
    assert_eq!(next(&group(1, &ALL_OLD), &failed(rollout(1), 4, Aftermath::Stuck, false)), [3]);
}

#[test]
fn the_way_back_is_the_way_there_in_reverse_one_at_a_time() {
    let mut members = [(1, "new"), (2, "new"), (3, "new"), (4, "new"), (5, "old")];
    let mut order = Vec::new();
    while let Some(member) = next_back(&group(1, &members), &rollout(3), id(ME)) {
        order.push(member.as_u128());
        let entry = members.iter_mut().find(|(number, _)| id(*number) == member).unwrap();
        entry.1 = "old";
    }
    assert_eq!(order, [1, 4, 2, 3]);
    assert!(!has_forward(&group(1, &members), &rollout(1)));
    members[0].1 = "new";
    assert_eq!(next_back(&group(1, &members), &in_turn(rollout(3), &[2]), id(ME)), None);
}
