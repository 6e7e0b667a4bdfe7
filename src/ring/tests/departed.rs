//! Members that a person said are gone for good.

use std::time::Duration;

use crate::ring::testing::{Net, Process, id};
use crate::ring::{MemberState, RingEvent};

const SECOND: Duration = Duration::from_secs(1);

fn depart(net: &mut Net, index: usize) {
    for other in (0..net.nodes.len()).filter(|other| *other != index) {
        net.with(other, |ring, now| ring.depart(now, id(index)));
    }
}

fn undepart(net: &mut Net, index: usize) {
    for other in (0..net.nodes.len()).filter(|other| *other != index) {
        net.with(other, |ring, now| ring.undepart(now, id(index)));
    }
}

fn times(net: &Net, at: usize, wanted: impl Fn(&RingEvent) -> bool) -> usize {
    net.events.iter().filter(|(_, node, event)| *node == at && wanted(event)).count()
}

#[test]
fn a_departed_member_that_comes_back_is_not_let_in_and_both_sides_say_so_once_a_minute() {
    let mut net = Net::joined(40, 6);
    net.set_process(3, Process::Killed);
    assert!(net.run_until(10 * SECOND, |net| net.all_know(3, MemberState::Down)));
    depart(&mut net, 3);
    net.run(SECOND);
    net.set_process(3, Process::Running);
    net.run(50 * SECOND);
    let inside = |net: &Net| net.nodes.iter().filter(|node| node.ring.alive().any(|member| member.id == id(3))).count();
    assert_eq!(inside(&net), 1, "it sees itself, and nobody else sees it");
    assert_eq!(times(&net, 3, |event| matches!(event, RingEvent::Banned { .. })), 1);
    let turned_away = |net: &Net, node| {
        times(net, node, |event| matches!(event, RingEvent::TurnedAway { id: who, .. } if *who == id(3)))
    };
    let told: Vec<usize> = (0..6).map(|node| turned_away(&net, node)).collect();
    assert!(told.iter().sum::<usize>() > 0 && told.iter().all(|count| *count <= 1), "{told:?}");
}

#[test]
fn a_member_that_is_taken_back_is_in_its_ring_within_seconds() {
    let mut net = Net::joined(41, 6);
    depart(&mut net, 2);
    net.run(60 * SECOND);
    assert_eq!(times(&net, 2, |event| matches!(event, RingEvent::Banned { .. })), 1, "it lives, and hears of it");
    undepart(&mut net, 2);
    assert!(net.run_until(15 * SECOND, |net| net.all_see(6)));
    assert_eq!(times(&net, 2, |event| matches!(event, RingEvent::LetIn)), 1);
}

#[test]
fn what_others_say_of_a_departed_member_does_not_bring_it_back() {
    let mut net = Net::joined(42, 6);
    // One node has not heard of it yet, and goes on to gossip that it lives.
    for other in 1..5 {
        net.with(other, |ring, now| ring.depart(now, id(5)));
    }
    net.run(30 * SECOND);
    for other in 1..5 {
        assert!(net.nodes[other].ring.alive().all(|member| member.id != id(5)), "node {other}");
    }
}

#[test]
fn a_stranger_cannot_make_a_node_believe_that_it_was_departed() {
    let mut net = Net::joined(43, 3);
    let forged = crate::ring::RingDatagram::Departed { who: id(1) };
    net.with(1, |ring, now| ring.handle_datagram(now, ([192, 0, 2, 1], 9).into(), forged));
    net.run(SECOND);
    assert_eq!(times(&net, 1, |event| matches!(event, RingEvent::Banned { .. })), 0);
}
