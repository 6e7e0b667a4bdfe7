//! What those outside notice of a rolling release: nothing, be it good or bad.

use crate::fleet::{GROUP, Kind, fleet, order, release, starts, update, version, wait_rollout, wait_version};
use crate::harness::{Ring, plan, wait_until};
use crate::traffic::{Traffic, get};

/// Where haproxy runs, besides its member of the demo group.
const FRONT: usize = 0;

/// Five demo nodes, and haproxy in front of them.
fn web() -> Ring {
    let ring = fleet(5);
    let front = &ring.nodes[FRONT];
    let answer = front.sup(&["start", &plan("haproxy"), "--bind", &format!("backend:{GROUP}")]);
    assert_eq!(answer.code, 0, "{answer:?}");
    front.wait_healthy("haproxy.default");
    wait_until("haproxy has all five", || {
        let config = front.data.join("svc/haproxy/config/haproxy.cfg");
        std::fs::read_to_string(config).is_ok_and(|text| text.matches("    server ").count() == 5)
    });
    wait_until("haproxy serves", || get(front.ip).is_ok());
    ring
}

#[test]
fn a_good_release_rolls_under_load_and_no_request_fails() {
    let ring = web();
    let next = release(&ring, "1.1.0", Kind::Good);
    let traffic = Traffic::through(&ring.nodes[FRONT]);
    let answer = update(&ring.nodes[1], &next, &["--min-healthy", "500ms"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    traffic.end(0);
    for node in &ring.nodes {
        assert_eq!(version(node).as_deref(), Some("1.1.0"));
    }
}

#[test]
fn a_bad_release_stops_at_the_first_member_under_load_and_no_request_fails() {
    let ring = web();
    let order = order(&ring);
    let bad = release(&ring, "1.1.0", Kind::Unhealthy);
    let traffic = Traffic::through(&ring.nodes[FRONT]);
    let answer = update(&ring.nodes[1], &bad, &["--min-healthy", "500ms", "--deadline", "3s"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    wait_rollout(&ring.nodes[1], "halted");
    wait_version(&ring.nodes.iter().collect::<Vec<_>>(), "1.0.0");
    traffic.end(0);
    for number in &order[1..] {
        assert_eq!(starts(&ring.nodes[*number]), ["1.0.0"]);
    }
}
