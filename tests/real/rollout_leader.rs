//! A leader whose node loses power in its own turn of a rolling change: before it hands over, and after.

use crate::fleet::{
    GROUP, Kind, Outages, node_id, release, rollout, starts, touch, update, wait_phase, wait_rollout, wait_version,
};
use crate::harness::{Node, Ring, wait_until};

const COUNT: usize = 4;

/// Four nodes of a led group that rolls, healthy with release 1.0.0, and the number of the leader.
fn led(first: Kind) -> (Ring, usize, u64) {
    let mut ring = Ring::new(COUNT);
    let first = release(&ring, "1.0.0", first);
    ring.start(&first, &["--strategy", "rolling", "--topology", "leader"]);
    ring.wait_whole();
    let (leader, term) = ring.wait_leader(GROUP);
    for node in &ring.nodes {
        node.wait_healthy(GROUP);
    }
    (ring, leader, term)
}

/// Rolls a release of this kind as far as this phase of the leader's turn, which something on its node holds up, cuts
/// the power of that node, and brings it back once another leads.
fn leader_dies(first: Kind, second: Kind, phase: &str, hold_up: impl Fn(&Node), let_go: impl Fn(&Node)) {
    let (mut ring, leader, term) = led(first);
    let second = release(&ring, "1.1.0", second);
    hold_up(&ring.nodes[leader]);
    for number in (0..COUNT).filter(|number| *number != leader) {
        let_go(&ring.nodes[number]);
    }
    let observer = (leader + 1) % COUNT;
    let answer = update(&ring.nodes[observer], &second, &["--no-wait", "--min-healthy", "100ms"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let member = node_id(&ring.nodes[leader]);
    wait_phase(&ring.nodes[observer], &member, phase);
    let outages = Outages::watch(&ring);
    ring.nodes[leader].crash();
    wait_until("another leads", || ring.leader(GROUP).is_some_and(|(number, now)| number != leader && now > term));
    let followers: Vec<&Node> =
        (0..COUNT).filter(|number| *number != leader).map(|number| &ring.nodes[number]).collect();
    wait_version(&followers, "1.1.0");
    let status = rollout(&ring.nodes[observer]).map(|rollout| rollout["status"].clone());
    assert_eq!(status.as_ref().and_then(|status| status.as_str()), Some("running"), "it waits for the old leader");
    let_go(&ring.nodes[leader]);
    ring.spawn(leader, &["run"]);
    ring.wait_whole();
    wait_rollout(&ring.nodes[observer], "done");
    wait_version(&ring.nodes.iter().collect::<Vec<_>>(), "1.1.0");
    for number in (0..COUNT).filter(|number| *number != leader) {
        assert_eq!(starts(&ring.nodes[number]), ["1.0.0", "1.1.0"], "each starts the release once");
    }
    let old = starts(&ring.nodes[leader]);
    assert_eq!(old.last().map(String::as_str), Some("1.1.0"), "{old:?}");
    assert!(outages.end() <= 1, "more than one member was out at once");
}

#[test]
fn a_leader_that_loses_power_in_its_turn_before_it_hands_over_is_followed_and_takes_its_turn_later() {
    let stay = |node: &Node| touch(node, "stay");
    let go = |node: &Node| {
        // It is there on the old leader only.
        let _none = std::fs::remove_file(crate::fleet::var(node).join("stay"));
    };
    leader_dies(Kind::SlowToStop, Kind::Good, "applying", stay, go);
}

#[test]
fn a_leader_that_loses_power_in_its_turn_after_it_has_handed_over_takes_its_turn_later() {
    leader_dies(Kind::Good, Kind::SlowToStart, "applying", |_| {}, |node| touch(node, "go"));
}

#[test]
fn a_leader_that_loses_power_while_its_new_release_is_verified_takes_its_turn_later() {
    leader_dies(Kind::Good, Kind::SlowToBeWell, "verifying", |_| {}, |node| touch(node, "well"));
}
