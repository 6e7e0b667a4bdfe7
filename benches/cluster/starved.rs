//! Nodes that stand still now and then, and whom the others take for dead meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::harness::{Node, Ring, wait_until};
use crate::{alive, get};

const NODES: usize = 50;
/// Every so many nodes is starved.
const EVERY: usize = 10;
/// How long a starved node stands still, and how long it runs in between, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 500..3_000;
const RUN_MS: std::ops::Range<u64> = 500..5_000;

/// Fifty supervisors, of which five are stopped and continued at random for so many minutes.
pub fn measure(minutes: usize) {
    let mut ring = Ring::with_profile(NODES, "lan");
    for number in 0..NODES {
        ring.spawn(number, &["run"]);
    }
    for node in &ring.nodes {
        wait_until("all see fifty", || alive(node.ip) == Some(NODES));
    }
    let id = |number: usize| {
        get(ring.nodes[number].ip, 9631, "/v1/node").map(|node| node["node_id"].as_str().map(str::to_owned))
    };
    let ids: Vec<String> = (0..NODES).map(|number| id(number).flatten().expect("a node has an id")).collect();
    let length = Duration::from_secs(60).saturating_mul(u32::try_from(minutes).unwrap_or(u32::MAX));
    let mut rng = StdRng::seed_from_u64(1);
    let starved: Vec<usize> = (0..NODES).filter(|number| number % EVERY == 3).collect();
    let mut turns: BTreeSet<(Duration, usize)> =
        starved.iter().map(|number| (Duration::from_millis(rng.random_range(RUN_MS)), *number)).collect();
    let mut stopped: BTreeMap<usize, bool> = BTreeMap::new();
    let (began, mut pauses) = (Instant::now(), 0);
    while let Some((at, number)) = turns.pop_first().filter(|(at, _)| *at < length) {
        std::thread::sleep(at.saturating_sub(began.elapsed()));
        let is_stopped = stopped.entry(number).or_default();
        let (signal, next) = if *is_stopped { (Signal::SIGCONT, RUN_MS) } else { (Signal::SIGSTOP, PAUSE_MS) };
        ring.nodes[number].signal(signal);
        pauses += usize::from(!*is_stopped);
        *is_stopped = !*is_stopped;
        turns.insert((at + Duration::from_millis(rng.random_range(next)), number));
    }
    for (number, _) in stopped.into_iter().filter(|(_, is_stopped)| *is_stopped) {
        ring.nodes[number].signal(Signal::SIGCONT);
    }
    for node in &ring.nodes {
        wait_until("all see fifty again", || alive(node.ip) == Some(NODES));
    }
    let logs: Vec<String> = ring.nodes.iter().map(Node::log).collect();
    let mut deaths = [0; NODES];
    for line in logs.iter().flat_map(|log| log.lines()).filter(|line| line.contains("member down")) {
        let dead = ids.iter().position(|id| line.contains(id.as_str())).expect("a node of the ring");
        deaths[dead] += 1;
    }
    let (of_starved, of_healthy): (Vec<_>, Vec<_>) = (0..NODES).partition(|number| starved.contains(number));
    let [starved_dead, healthy] =
        [of_starved, of_healthy].map(|numbers| numbers.iter().map(|number| deaths[*number]).sum::<usize>());
    println!(
        "{NODES} nodes for {minutes} minutes, {} of them stopped {pauses} times in all: a healthy one was declared dead \
         {healthy} times (target 0: {}), a starved one {starved_dead} times",
        starved.len(),
        if healthy == 0 { "met" } else { "MISSED" }
    );
}
