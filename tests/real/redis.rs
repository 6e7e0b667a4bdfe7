//! A leader topology with the real redis: one master, and what becomes of it.

use crate::harness::{Ring, is_alive, plan, wait_for, wait_until};
use crate::redis_client::{Redis, ask, replication};

const GROUP: &str = "redis.default";

/// Three nodes with redis, in sync. Returns the ring, the leader's number and its term.
fn three() -> (Ring, usize, u64) {
    let mut ring = Ring::new(3);
    ring.start(&plan("redis"), &["--topology", "leader"]);
    ring.wait_whole();
    let (leader, term) = ring.wait_leader(GROUP);
    wait_in_sync(&ring, leader);
    (ring, leader, term)
}

fn followers(ring: &Ring, leader: usize) -> Vec<usize> {
    (0..ring.nodes.len()).filter(|number| *number != leader).collect()
}

fn wait_in_sync(ring: &Ring, leader: usize) {
    wait_until("the leader's redis is a master", || {
        replication(ring.nodes[leader].ip, "role").as_deref() == Some("master")
    });
    for number in followers(ring, leader) {
        let ip = ring.nodes[number].ip;
        wait_until(&format!("redis on {ip} is in sync"), || {
            replication(ip, "role").as_deref() == Some("slave")
                && replication(ip, "master_host") == Some(ring.nodes[leader].ip.to_string())
                && replication(ip, "master_link_status").as_deref() == Some("up")
        });
    }
}

/// Writes on one node, and waits until it is read on another.
fn wait_replicated(ring: &Ring, from: usize, to: usize, key: &str) {
    wait_until(&format!("node {from} takes a write of {key}"), || {
        ask(ring.nodes[from].ip, &format!("SET {key} there")).as_deref() == Some("OK")
    });
    wait_until(&format!("node {to} has {key}"), || {
        ask(ring.nodes[to].ip, &format!("GET {key}")).as_deref() == Some("there")
    });
}

#[test]
fn three_nodes_have_one_master_and_two_replicas_in_sync() {
    let (ring, leader, term) = three();
    assert!(term >= 1);
    for number in followers(&ring, leader) {
        wait_replicated(&ring, leader, number, "greeting");
        let refused = ask(ring.nodes[number].ip, "SET other value").unwrap_or_default();
        assert!(refused.starts_with("-READONLY"), "{refused}");
    }
    let answer = ring.nodes[0].sup(&["group", "show", GROUP]);
    assert_eq!(answer.code, 0);
    assert!(answer.stdout.contains(&ring.nodes[leader].ip.to_string()), "{}", answer.stdout);
    for node in &ring.nodes {
        node.wait_healthy(GROUP);
    }
}

#[test]
fn the_redis_of_a_killed_leader_is_dead_before_another_is_seated_and_takes_writes() {
    let (mut ring, leader, term) = three();
    let old_redis = ring.nodes[leader].service_pid(GROUP).expect("the leader's redis has a process");
    ring.nodes[leader].kill();
    let (successor, new_term) = wait_for("another leader is known to both", || {
        // Asked before: whoever is seated later finds it as dead as it was here.
        let old_was_alive = is_alive(old_redis);
        let found = ring.leader(GROUP).filter(|(number, _)| *number != leader)?;
        assert!(!old_was_alive, "a new leader is seated, and the old redis still runs");
        Some(found)
    });
    assert!(new_term > term);
    let other = (0..3).find(|number| *number != leader && *number != successor).expect("three nodes");
    wait_replicated(&ring, successor, other, "after");
}

#[test]
fn a_leader_that_is_stopped_hands_over_and_its_redis_is_gone() {
    let (mut ring, leader, term) = three();
    let old_redis = ring.nodes[leader].service_pid(GROUP).expect("the leader's redis has a process");
    assert_eq!(ring.nodes[leader].terminate(), Some(0));
    assert!(!is_alive(old_redis));
    let (successor, new_term) = ring.wait_leader(GROUP);
    assert!(successor != leader && new_term > term);
    let other = (0..3).find(|number| *number != leader && *number != successor).expect("three nodes");
    wait_replicated(&ring, successor, other, "after");
}

#[test]
fn a_leader_that_is_stopped_does_not_wait_for_its_followers_next_report_and_loses_nothing() {
    let (mut ring, leader, _) = three();
    // A follower that is still being given its first copy is waited for, however long that takes.
    for follower in followers(&ring, leader) {
        wait_replicated(&ring, leader, follower, "before");
    }
    let ip = ring.nodes[leader].ip;
    let mut connection = Redis::connect(ip).expect("redis accepts");
    for number in 0..200 {
        assert_eq!(connection.ask(&format!("SET last {number}")).as_deref(), Some("OK"));
    }
    let answer = ring.nodes[leader].sup(&["stop", "redis"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let log = ring.nodes[leader].sup(&["logs", "redis", "-n", "1000"]).stdout;
    assert!(log.contains("Redis is now ready to exit"), "{log}");
    assert!(!log.contains("Waiting for replicas before shutting down"), "{log}");
    for follower in followers(&ring, leader) {
        assert_eq!(ask(ring.nodes[follower].ip, "GET last").as_deref(), Some("199"));
    }
    assert_eq!(ring.nodes[leader].terminate(), Some(0));
}

#[test]
fn a_killed_redis_runs_again() {
    let (ring, leader, _) = three();
    let follower = followers(&ring, leader)[0];
    let node = &ring.nodes[follower];
    let old = node.service_pid(GROUP).expect("redis has a process");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(old), nix::sys::signal::Signal::SIGKILL).expect("it is killed");
    wait_until("redis answers again", || ask(node.ip, "PING").as_deref() == Some("PONG"));
    wait_until("with another process", || node.service_pid(GROUP).is_some_and(|pid| pid != old));
    wait_in_sync(&ring, leader);
}

#[test]
fn a_follower_keeps_its_redis_and_its_connections_while_its_supervisor_is_killed_and_started_again() {
    let (mut ring, leader, _) = three();
    let follower = followers(&ring, leader)[0];
    let redis = ring.nodes[follower].service_pid(GROUP).expect("redis has a process");
    let mut connection = Redis::connect(ring.nodes[follower].ip).expect("redis accepts");
    assert_eq!(connection.ask("PING").as_deref(), Some("PONG"));
    ring.nodes[follower].kill();
    ring.spawn(follower, &["run"]);
    wait_until("it is supervised again", || ring.nodes[follower].service_pid(GROUP) == Some(redis));
    ring.nodes[follower].wait_healthy(GROUP);
    assert!(is_alive(redis));
    assert_eq!(connection.ask("PING").as_deref(), Some("PONG"));
    let log = ring.nodes[follower].sup(&["logs", "redis", "-n", "1000"]);
    assert!(log.stdout.contains("Ready to accept connections"), "{}", log.stdout);
}

#[test]
fn an_applied_config_is_in_force_everywhere_and_no_process_is_restarted() {
    let (ring, _, _) = three();
    let pids: Vec<_> = ring.nodes.iter().map(|node| node.service_pid(GROUP)).collect();
    let answer = ring.nodes[1].sup_with_input(&["config", "apply", GROUP, "-"], "maxmemory = \"123mb\"\n");
    assert_eq!(answer.code, 0, "{answer:?}");
    // The command has waited for it: every redis goes by it now.
    for node in &ring.nodes {
        assert_eq!(ask(node.ip, "CONFIG GET maxmemory").as_deref(), Some("maxmemory 128974848"));
    }
    assert_eq!(pids, ring.nodes.iter().map(|node| node.service_pid(GROUP)).collect::<Vec<_>>());
}

#[test]
fn a_wrong_config_is_refused_with_its_place_and_nothing_is_changed() {
    let (ring, _, _) = three();
    let cases = [
        ("wrong type", "maxmemory = \"10mb\"\nport = \"many\"\n", "2:8"),
        ("unknown key", "maxmemroy = \"10mb\"\n", "1:1"),
        ("bad TOML", "port = = 1\n", "1:8"),
    ];
    for (what, toml, place) in cases {
        let answer = ring.nodes[0].sup_with_input(&["config", "apply", GROUP, "-"], toml);
        assert_eq!(answer.code, 4, "{what}: {answer:?}");
        assert!(answer.stderr.contains(place), "{what}: {}", answer.stderr);
    }
    let misspelt = ring.nodes[0].sup_with_input(&["config", "apply", GROUP, "-"], "maxmemroy = \"10mb\"\n");
    assert!(misspelt.stderr.contains("maxmemory"), "{}", misspelt.stderr);
    for node in &ring.nodes {
        assert_eq!(node.json(&["config", "history", GROUP])["revisions"].as_array().map(Vec::len), Some(0));
    }
}
