//! A short selection of what the simulator can do; `scripts/sim` runs the rest.

use std::time::Duration;

use sup::sim::{Cluster, ClusterConfig, Link, RolloutScenario, Scenario};

const SECOND: Duration = Duration::from_secs(1);

fn scenario(seed: u64) -> Scenario {
    Scenario { seed, hosts: None, faults_for: 30 * SECOND }
}

fn seeds(range: std::ops::Range<u64>) {
    for seed in range {
        if let Err(failure) = scenario(seed).run() {
            panic!("{failure}");
        }
    }
}

/// Each of them once showed a mistake.
#[test]
fn clusters_that_once_failed_hold_every_invariant() {
    seeds(180..181);
}

fn ring(hosts: usize, loss_per_mille: u32) -> Cluster {
    let link = Link { loss_per_mille, ..Link::default() };
    let mut cluster = Cluster::of_nodes(ClusterConfig { hosts, link, ..ClusterConfig::default() });
    for host in 0..hosts {
        cluster.start(host);
    }
    cluster
}

#[test]
fn the_same_seed_twice_gives_the_same_trace() {
    let outcome = || scenario(11).run().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(outcome(), outcome());
}

#[test]
fn two_seeds_give_two_traces() {
    let trace = |seed| scenario(seed).run().unwrap_or_else(|failure| panic!("{failure}")).trace;
    assert_ne!(trace(11), trace(12));
}

#[test]
fn faulty_clusters_hold_every_invariant_first_half() {
    seeds(1..13);
}

#[test]
fn faulty_clusters_hold_every_invariant_second_half() {
    seeds(13..25);
}

#[test]
fn a_hundred_nodes_that_start_at_once_all_see_all_within_ten_seconds() {
    let mut cluster = ring(100, 0);
    assert!(cluster.run_while_not(10 * SECOND, Cluster::is_whole));
}

#[test]
fn a_fault_free_ring_that_loses_a_tenth_of_its_datagrams_never_renews_an_identity() {
    let mut cluster = ring(60, 100);
    cluster.run_until(45 * SECOND);
    // At any one moment somebody may be suspect, which is no harm; nobody may stay so.
    assert!(cluster.run_while_not(60 * SECOND, Cluster::is_whole));
    assert_eq!(cluster.renewals(), 0);
}

/// How many nodes of a ring under churn are there at a time, and how many of the dead are remembered in a small ring.
const STAY: usize = 6;
const DEAD_KEPT: usize = 128;

#[test]
fn four_hundred_nodes_that_come_and_go_for_good_leave_a_bounded_trace_and_nothing_under_way() {
    let mut churned = ring(STAY, 0);
    assert!(churned.run_while_not(10 * SECOND, Cluster::is_whole));
    // Every other one takes the address of one that did not say goodbye, before anybody has missed that one.
    for number in 0..400 {
        let host = 1 + number % (STAY - 1);
        if number % 2 == 0 {
            assert!(churned.command(host, sup::node::Command::Leave).is_some_and(|result| result.is_ok()));
        }
        churned.run_until(churned.elapsed() + SECOND * 3 / 10);
        churned.end(host);
        churned.replace(host);
        churned.start(host);
        churned.run_until(churned.elapsed() + SECOND * 3 / 10);
    }
    // Until the last of them is missed, and what was heard of nodes that nobody knows is forgotten.
    churned.run_until(churned.elapsed() + 420 * SECOND);
    let mut never = ring(STAY, 0);
    never.run_until(churned.elapsed());
    for host in 0..STAY {
        assert_eq!(churned.sees_alive(host), STAY, "as node {host} sees it");
        let (kept, without) = (churned.node(host).unwrap().sizes(), never.node(host).unwrap().sizes());
        for ((what, size), (_, without)) in kept.zip(without) {
            // Each of the dead that are remembered is one member here and in foca, and has said one thing of itself.
            let bound = match what {
                "nodes" | "members" | "foca" | "records" => without + DEAD_KEPT,
                // The nodes whose records were dropped, so that late news does not bring them back: for a day.
                "forgotten" => 400,
                // What is under way is so in any ring.
                _ => without + 8,
            };
            assert!(size <= bound, "node {host} keeps {size} {what}, and {without} without churn");
        }
    }
}

fn rollouts(seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        let scenario = RolloutScenario { seed, hosts: None, faults_for: 40 * SECOND, plant: None };
        if let Err(failure) = scenario.run() {
            panic!("{failure}");
        }
    }
}

#[test]
fn rollouts_in_faulty_clusters_hold_every_invariant() {
    rollouts(1..9);
}

/// Each of them once showed a mistake.
#[test]
fn rollouts_that_once_failed_hold_every_invariant() {
    rollouts([15, 19, 112, 120, 212, 217, 434, 532, 951, 1297, 1752, 2546, 2822, 3114, 3260, 4771]);
}
