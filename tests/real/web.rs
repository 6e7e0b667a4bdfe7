//! haproxy in front of nginx by a bind: who is sent to, and what those who ask notice of it.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Ring, is_alive, plan, wait_for, wait_until};
use crate::traffic::{Traffic, get};

/// The node with haproxy; the others have nginx.
const FRONT: usize = 0;
const FRONT_GROUP: &str = "haproxy.default";
const WEB_GROUP: &str = "nginx.default";
/// Far above what it takes, 1.5 s at most: the machine that tests run on may be busy.
const SOON: Duration = Duration::from_secs(5);

/// haproxy on the first node, nginx on three others, and haproxy knows all three.
fn web() -> Ring {
    let mut ring = Ring::new(4);
    start_front(&mut ring);
    for number in 1..4 {
        ring.spawn(number, &["start", &plan("nginx")]);
    }
    ring.nodes[FRONT].wait_healthy(FRONT_GROUP);
    for number in 1..4 {
        wait_until("haproxy has it among its servers", || has_server(&ring, number));
    }
    wait_until("haproxy serves", || get(ring.nodes[FRONT].ip).is_ok());
    ring
}

fn start_front(ring: &mut Ring) {
    ring.spawn(FRONT, &["start", &plan("haproxy"), "--bind", "backend:nginx.default"]);
}

/// Whether haproxy's config has the nginx of this node.
fn has_server(ring: &Ring, number: usize) -> bool {
    let config = ring.nodes[FRONT].data.join("svc/haproxy/config/haproxy.cfg");
    let server = format!(" {}:8080", ring.nodes[number].ip);
    std::fs::read_to_string(config).is_ok_and(|text| text.lines().any(|line| line.ends_with(&server)))
}

/// Waits until the nginx of this node is out of haproxy's config, or in it again, and tells how long it took.
fn wait_server(ring: &Ring, number: usize, wanted: bool, began: Instant, what: &str) {
    wait_until(what, || has_server(ring, number) == wanted);
    let took = began.elapsed();
    println!("{what}: {took:?}");
    assert!(took < SOON, "{what} took {took:?}");
}

#[test]
fn haproxy_waits_for_an_nginx_says_so_and_then_serves() {
    let mut ring = Ring::new(2);
    start_front(&mut ring);
    let why = "waiting for bind backend: group nginx.default has no member that is up";
    wait_until("the status says what it waits for", || ring.nodes[FRONT].sup(&["status"]).stdout.contains(why));
    let explained = ring.nodes[FRONT].sup(&["explain", "haproxy"]);
    assert!(explained.stdout.contains(why), "{explained:?}");
    assert!(get(ring.nodes[FRONT].ip).is_err(), "it runs without what it is bound to");
    ring.spawn(1, &["start", &plan("nginx")]);
    ring.nodes[FRONT].wait_healthy(FRONT_GROUP);
    let page = wait_for("haproxy passes requests on", || get(ring.nodes[FRONT].ip).ok());
    let id = ring.nodes[1].json(&["status", "nginx"])["node_id"].as_str().expect("a node id").to_owned();
    assert!(page.contains(&id), "{page}");
}

#[test]
fn a_stopped_nginx_leaves_haproxy_and_returns_and_no_request_fails() {
    let ring = web();
    let traffic = Traffic::through(&ring.nodes[FRONT]);
    let began = Instant::now();
    assert_eq!(ring.nodes[2].sup(&["stop", "nginx"]).code, 0);
    wait_server(&ring, 2, false, began, "a stopped nginx leaves");
    traffic.goes_on();
    let began = Instant::now();
    assert_eq!(ring.nodes[2].sup(&["start", "nginx"]).code, 0);
    wait_server(&ring, 2, true, began, "a started nginx returns");
    traffic.end(1);
}

#[test]
fn an_unhealthy_nginx_leaves_haproxy_and_returns_and_no_request_fails() {
    let ring = web();
    let traffic = Traffic::through(&ring.nodes[FRONT]);
    let unhealthy = ring.nodes[3].data.join("svc/nginx/var/unhealthy");
    let began = Instant::now();
    std::fs::write(&unhealthy, "").expect("the file is written");
    wait_server(&ring, 3, false, began, "an unhealthy nginx leaves");
    let status = ring.nodes[3].sup(&["status"]);
    assert!(status.stdout.contains("critical") && status.stdout.contains("503"), "{status:?}");
    traffic.goes_on();
    let began = Instant::now();
    std::fs::remove_file(&unhealthy).expect("the file is removed");
    wait_server(&ring, 3, true, began, "a healthy nginx returns");
    traffic.end(0);
}

#[test]
fn the_nginx_of_a_node_that_lost_power_leaves_haproxy_and_returns() {
    let mut ring = web();
    let traffic = Traffic::through(&ring.nodes[FRONT]);
    let began = Instant::now();
    ring.nodes[1].crash();
    wait_server(&ring, 1, false, began, "the nginx of a crashed node leaves");
    traffic.goes_on();
    let began = Instant::now();
    ring.spawn(1, &["run"]);
    wait_server(&ring, 1, true, began, "the nginx of a node that is back returns");
    ring.nodes[1].wait_healthy(WEB_GROUP);
    traffic.end(1);
}

#[test]
fn an_nginx_that_is_killed_takes_its_workers_along_and_serves_again() {
    let ring = web();
    let traffic = Traffic::through(&ring.nodes[FRONT]);
    let node = &ring.nodes[2];
    let old = node.service_pid(WEB_GROUP).expect("nginx has a process");
    let workers = children(old);
    assert!(!workers.is_empty(), "nginx has workers");
    let began = Instant::now();
    kill(Pid::from_raw(old), Signal::SIGKILL).expect("it is killed");
    wait_until("its workers are gone", || !workers.iter().copied().any(is_alive));
    wait_until("it has another process", || node.service_pid(WEB_GROUP).is_some_and(|pid| pid != old));
    node.wait_healthy(WEB_GROUP);
    wait_server(&ring, 2, true, began, "a killed nginx is back");
    traffic.end(1);
}

/// The processes that this one has started.
fn children(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).expect("the process is there");
    text.split_ascii_whitespace().map(|child| child.parse().expect("a process id")).collect()
}
