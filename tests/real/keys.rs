//! Rings with names, keys and versions of their own: who is let in, what can be read on the way, and keys that are
//! changed while the ring runs.

use std::fs;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket};
use nix::sys::time::{TimeVal, TimeValLike as _};

use crate::harness::{Answer, Node, Ring, SUP, run, wait_for, wait_until};
use crate::http;
use crate::netns::Hosts;

const GROUP: &str = "demo.default";
/// What a config says that nobody may read on its way.
const SECRET: &str = "nobody-may-read-this";

/// A new key, in a file of the test's directory.
fn new_key(dir: &Path, name: &str) -> PathBuf {
    let file = dir.join(name);
    let answer = run(Command::new(SUP).args(["ring", "key", "new"]).arg(&file), "");
    assert_eq!(answer.code, 0, "{answer:?}");
    file
}

fn path(file: &Path) -> &str {
    file.to_str().expect("a temporary directory has a plain name")
}

/// The id of the key in a file, which its first line has.
fn id(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("the key is there");
    text.split_whitespace().nth(2).expect("# Key ID of a ring").to_owned()
}

fn done(node: &Node, args: &[&str]) -> Answer {
    let answer = node.sup(args);
    assert_eq!(answer.code, 0, "sup {args:?}: {answer:?}");
    answer
}

fn apply(node: &Node, message: &str) -> Answer {
    node.sup_with_input(&["config", "apply", GROUP, "-", "--no-wait"], &format!("message = \"{message}\"\n"))
}

/// What config a node knows of the group.
fn known_config(node: &Node) -> Option<String> {
    node.try_json(&["config", "show", GROUP])?["toml"].as_str().map(str::to_owned)
}

fn wait_config(nodes: &[Node], message: &str) {
    for node in nodes {
        wait_until(&format!("{} has the config {message}", node.ip), || {
            known_config(node).is_some_and(|toml| toml.contains(message))
        });
    }
}

fn dropped(node: &Node, reason: &str) -> u64 {
    let metrics = http::get((node.ip, 9631), "/metrics").expect("the supervisor answers").body;
    let line = format!("sup_network_dropped_total{{reason=\"{reason}\"}} ");
    let value = metrics.lines().find_map(|shown| shown.strip_prefix(&line)).expect("each reason is shown");
    value.parse().expect("a number")
}

/// That nobody was ever taken for dead.
fn assert_nobody_was_suspected(nodes: &[Node]) {
    for node in nodes {
        let log = node.log();
        let suspected: Vec<&str> =
            log.lines().filter(|line| line.contains("member suspected") || line.contains("member down")).collect();
        assert!(suspected.is_empty(), "{}: {suspected:#?}", node.ip);
    }
}

#[test]
fn a_node_without_the_key_or_with_another_one_learns_and_changes_nothing_and_both_sides_say_why() {
    let mut ring = Ring::new(5);
    let (key, other) = (new_key(ring.dir(), "key"), new_key(ring.dir(), "other"));
    ring.spawn(0, &["start", "demo", "--ring-key-file", path(&key)]);
    for number in 1..3 {
        ring.spawn(number, &["run", "--ring-key-file", path(&key)]);
    }
    ring.wait_whole();
    assert_eq!(apply(&ring.nodes[0], "of the ring").code, 0);
    wait_config(&ring.nodes[..3], "of the ring");

    ring.spawn(3, &["run", "--join-timeout", "1s"]);
    ring.spawn(4, &["run", "--join-timeout", "1s", "--ring-key-file", path(&other)]);
    for (stranger, here) in [(3, "refuses this node, which talks in clear text"), (4, "it does not have key")] {
        let node = &ring.nodes[stranger];
        wait_until(&format!("{} says why", node.ip), || node.log().contains(here));
        wait_until(&format!("{} is ready, alone", node.ip), || node.log().contains("ready, alone"));
        assert_eq!(node.alive_members(), Some(1));
        assert!(node.json(&["groups"])["groups"].as_array().is_some_and(Vec::is_empty));
        assert!(node.sup(&["members"]).stderr.contains("not of this ring"), "{:?}", node.sup(&["members"]));
        // What it says of itself stays with it.
        assert_eq!(node.sup(&["start", "demo", "--no-wait"]).code, 0);
        assert_eq!(apply(node, "of a stranger").code, 0);
    }
    let first = &ring.nodes[0];
    for why in ["talks in clear text", "which this node does not have"] {
        wait_until(&format!("the ring says: {why}"), || first.log().contains(why));
    }
    assert_eq!(first.alive_members(), Some(3));
    assert!(known_config(first).is_some_and(|toml| toml.contains("of the ring")));
    // However often they try: one line for each of them so far, on each side.
    let said = |node: &Node, line: &str| node.log().matches(line).count();
    assert!(said(first, "node refused") <= 2, "{}", first.log());
    assert_eq!((said(&ring.nodes[3], "refused by a node"), said(&ring.nodes[4], "refused by a node")), (1, 1));
    // The keys themselves are in no log and in no command line.
    let secret = fs::read_to_string(&key).expect("the key is there");
    let secret = secret.split("sup-ring:").nth(1).expect("a key").trim().to_owned();
    for node in &ring.nodes {
        assert!(!node.log().contains(&secret));
        let args = fs::read(format!("/proc/{}/cmdline", node.pid())).expect("it runs");
        assert!(!String::from_utf8_lossy(&args).contains(&secret));
    }
}

#[test]
fn two_rings_of_different_names_stay_apart_and_both_say_so() {
    let mut ring = Ring::new(3);
    ring.spawn(0, &["run", "--ring", "blue"]);
    ring.spawn(1, &["run", "--ring", "blue"]);
    ring.wait_whole();
    ring.spawn(2, &["run", "--ring", "green", "--join-timeout", "1s"]);
    for (node, theirs) in [(&ring.nodes[0], "green"), (&ring.nodes[2], "blue")] {
        wait_until(&format!("{} names the other ring", node.ip), || node.log().contains(theirs));
        assert!(node.sup(&["members"]).stderr.contains("--ring"));
    }
    assert_eq!((ring.nodes[0].alive_members(), ring.nodes[2].alive_members()), (Some(2), Some(1)));
    assert!(dropped(&ring.nodes[0], "ring") > 0);
}

#[test]
fn nodes_of_two_versions_of_the_wire_are_one_ring_and_what_is_of_no_version_is_counted() {
    let mut ring = Ring::new(4);
    let first = ring.nodes[0].ip.to_string();
    ring.spawn(0, &["start", "demo"]);
    ring.spawn(1, &["run"]);
    for node in &mut ring.nodes[2..] {
        let mut newer = Command::new("env");
        newer.args(["SUP_TEST_WIRE_VERSION=2", SUP]);
        node.spawn_by(&mut newer, &["start", "demo", "--profile", "local", "--peer", &first]);
    }
    ring.wait_whole();
    assert_eq!(apply(&ring.nodes[0], "from the older").code, 0);
    wait_config(&ring.nodes, "from the older");
    assert_eq!(apply(&ring.nodes[3], "from the newer").code, 0);
    wait_config(&ring.nodes, "from the newer");
    assert!(ring.nodes.iter().all(|node| dropped(node, "version") == 0));

    let socket = UdpSocket::bind((ring.nodes[1].ip, 0)).expect("a socket");
    let unknown_kind = [&[1, 1, 0, 7][..], b"default", &[99, 1, 2, 3]].concat();
    for datagram in [&[9, 9, 0, 1][..], &[1, 1, 77, 1], &unknown_kind] {
        socket.send_to(datagram, (ring.nodes[0].ip, 9638)).expect("a datagram can be sent");
    }
    wait_until("they are counted", || {
        (dropped(&ring.nodes[0], "version"), dropped(&ring.nodes[0], "unknown")) == (1, 1)
    });
    ring.wait_whole();
}

#[test]
fn a_key_that_would_cut_somebody_off_is_neither_used_nor_removed() {
    let mut ring = Ring::new(3);
    let (old, new) = (new_key(ring.dir(), "old"), new_key(ring.dir(), "new"));
    for number in 0..3 {
        ring.spawn(number, &["run", "--ring-key-file", path(&old)]);
    }
    ring.wait_whole();
    let first = &ring.nodes[0];
    done(first, &["ring", "key", "install", "--here", path(&new)]);
    let refused = first.sup(&["ring", "key", "use", &id(&new)]);
    assert_eq!(refused.code, 4, "{refused:?}");
    for other in &ring.nodes[1..] {
        assert!(refused.stderr.contains(&other.ip.to_string()), "{refused:?}");
    }
    // Of the ring's only key, nobody lets go.
    assert_eq!(first.sup(&["ring", "key", "remove", &id(&old)]).code, 4);
    done(first, &["ring", "key", "install", path(&new)]);
    ring.nodes[2].kill();
    wait_until("it is found to be down", || ring.nodes[0].alive_members() == Some(2));
    let refused = ring.nodes[0].sup(&["ring", "key", "use", &id(&new)]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("it is down"), "{refused:?}");
    ring.spawn(2, &["run", "--ring-key-file", path(&old)]);
    ring.wait_whole();
    done(&ring.nodes[0], &["ring", "key", "use", &id(&new)]);
    done(&ring.nodes[0], &["ring", "key", "remove", &id(&old)]);
    // Whoever starts with yesterday's settings goes on with today's key.
    ring.nodes[2].terminate();
    ring.spawn(2, &["run", "--ring-key-file", path(&old)]);
    ring.wait_whole();
    let keys = ring.nodes[2].json(&["ring", "key", "list"]);
    for node in keys["nodes"].as_array().expect("a list") {
        assert_eq!(node["keys"], serde_json::json!([id(&new)]), "{keys}");
    }
}

#[test]
fn a_ring_that_runs_in_clear_text_gets_its_first_key_without_a_pause() {
    let mut ring = Ring::with_profile(3, "lan");
    ring.run();
    let key = new_key(ring.dir(), "key");
    let refused = ring.nodes[0].sup(&["ring", "key", "install", path(&key)]);
    assert_eq!(refused.code, 4, "a key is not sent in clear text: {refused:?}");
    for node in &ring.nodes {
        done(node, &["ring", "key", "install", "--here", path(&key)]);
        assert_eq!(node.json(&["ring", "key", "list"])["ring"], "default");
    }
    done(&ring.nodes[1], &["ring", "key", "use", &id(&key)]);
    let keys = ring.nodes[0].json(&["ring", "key", "list"]);
    for node in keys["nodes"].as_array().expect("a list") {
        assert_eq!((&node["in_use"], &node["takes_clear_text"]), (&id(&key).into(), &false.into()), "{keys}");
    }
    ring.wait_whole();
    assert_nobody_was_suspected(&ring.nodes);
}

/// Configs that are applied, one after the other, each on another node.
struct Changes {
    stop: Arc<AtomicBool>,
    applied: Arc<AtomicUsize>,
    thread: JoinHandle<usize>,
}

impl Changes {
    fn of(ring: &Ring) -> Self {
        let (stop, applied) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&applied));
        let nodes: Vec<PathBuf> = ring.nodes.iter().map(|node| node.data.clone()).collect();
        let thread = std::thread::spawn(move || {
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                number += 1;
                // The first three have a member, whose plan the config is checked against.
                let node = &nodes[number % 3];
                let mut command = Command::new(SUP);
                command.args(["config", "apply", GROUP, "-", "--no-wait", "--data-dir"]).arg(node);
                let answer = run(&mut command, &format!("message = \"change {number}.\"\n"));
                assert_eq!(answer.code, 0, "{answer:?}");
                count.store(number, Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(50));
            }
            number
        });
        Self { stop, applied, thread }
    }

    /// Waits for some more.
    fn go_on(&self) {
        let before = self.applied.load(Ordering::Relaxed);
        wait_until("configs are applied", || self.applied.load(Ordering::Relaxed) >= before + 5);
    }

    /// Ends them. How many there were.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("all of them were applied")
    }
}

#[test]
fn the_key_of_ten_nodes_is_changed_under_config_changes_and_nobody_is_suspected_and_no_change_lost() {
    let mut ring = Ring::with_profile(10, "lan");
    let (old, new) = (new_key(ring.dir(), "old"), new_key(ring.dir(), "new"));
    for number in 0..10 {
        let start: &[&str] = if number < 3 { &["start", "demo"] } else { &["run"] };
        ring.spawn(number, &[start, &["--ring-key-file", path(&old)]].concat());
    }
    ring.wait_whole();
    for node in &ring.nodes[..3] {
        node.wait_healthy(GROUP);
    }
    let changes = Changes::of(&ring);
    changes.go_on();
    for step in [["install", path(&new)], ["use", &id(&new)], ["remove", &id(&old)]] {
        let answer = done(&ring.nodes[4], &["ring", "key", step[0], step[1]]);
        assert!(answer.stdout.contains("10 of 10 nodes"), "{answer:?}");
        changes.go_on();
    }
    let last = changes.end();
    wait_config(&ring.nodes, &format!("change {last}."));
    ring.wait_whole();
    assert_nobody_was_suspected(&ring.nodes);
    let history = wait_for("the history", || ring.nodes[7].try_json(&["config", "history", GROUP]));
    println!("{last} configs applied; {} kept", history["revisions"].as_array().map_or(0, Vec::len));
}

/// All that goes in and out of one host.
struct Capture {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u8>>,
}

impl Capture {
    /// Listens on the first of them from now on.
    fn of(hosts: &Hosts) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (ready, listening) = channel();
        let thread = hosts.within(0, move || {
            let all = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll);
            let all = all.expect("root may listen to everything");
            setsockopt(&all, ReceiveTimeout, &TimeVal::milliseconds(50)).expect("a timeout can be set");
            ready.send(()).expect("the test waits");
            let (mut captured, mut frame) = (Vec::new(), vec![0; 65_536]);
            while !stopped.load(Ordering::Relaxed) {
                // A timeout only asks whether to go on.
                let Ok((bytes, Some(from))) = recvfrom::<LinkAddr>(all.as_raw_fd(), &mut frame) else { continue };
                // What a host says to itself is not on its way anywhere: its service's health check, above all.
                if from.hatype() != libc::ARPHRD_LOOPBACK {
                    captured.extend_from_slice(&frame[..bytes]);
                }
            }
            captured
        });
        listening.recv().expect("it listens");
        Self { stop, thread }
    }

    fn end(self) -> Vec<u8> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the capture ends")
    }
}

/// What was captured of three nodes that start a service and get a config.
fn traffic(args: &[&str]) -> Option<Vec<u8>> {
    let mut hosts = Hosts::new(3)?;
    let capture = Capture::of(&hosts);
    hosts.ring.start("demo", args);
    hosts.ring.wait_whole();
    for node in &hosts.ring.nodes {
        node.wait_healthy(GROUP);
    }
    assert_eq!(apply(&hosts.ring.nodes[0], SECRET).code, 0);
    wait_config(&hosts.ring.nodes, SECRET);
    Some(capture.end())
}

#[test]
fn no_service_name_and_no_config_value_is_in_what_goes_over_the_network() {
    let has = |traffic: &[u8], text: &str| traffic.windows(text.len()).any(|part| part == text.as_bytes());
    // In clear text all of it is there: the capture would see it.
    let Some(clear) = traffic(&["--ring", "blue-ring"]) else { return };
    let words = ["demo", SECRET, "blue-ring"];
    assert!(words.iter().all(|word| has(&clear, word)), "{} bytes", clear.len());
    let dir = tempfile::tempdir().expect("a directory");
    let key = new_key(dir.path(), "key");
    let sealed = traffic(&["--ring", "blue-ring", "--ring-key-file", path(&key)]).expect("still root");
    println!("{} bytes captured in clear text, {} sealed", clear.len(), sealed.len());
    assert!(sealed.len() > 10_000, "{} bytes", sealed.len());
    assert!(!words.iter().any(|word| has(&sealed, word)));
}
