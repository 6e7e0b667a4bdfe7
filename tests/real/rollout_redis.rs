//! A rolling change of a real redis: followers first, the leader last, and what a client notices of it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::{Ring, plan, wait_until};
use crate::redis_client::{ask, replication};

const GROUP: &str = "redis.default";
/// The pause of a client between two tries.
const PAUSE: Duration = Duration::from_millis(5);
/// For how long in total a client may be refused. The target is one second; this leaves room for a busy machine.
const REFUSED_AT_MOST: Duration = Duration::from_secs(3);

/// A client that writes one key after the other, each until it is taken: it asks the members in turn.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Written>,
}

/// What a client did.
struct Written {
    /// The keys that were acknowledged.
    acknowledged: usize,
    /// How long it was refused, in total.
    refused: Duration,
}

impl Writer {
    fn start(ips: Vec<Ipv4Addr>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut written, mut at) = (Written { acknowledged: 0, refused: Duration::ZERO }, 0);
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                let mut tries = 0;
                while ask(ips[at], &format!("SET key:{} there", written.acknowledged)).as_deref() != Some("OK") {
                    at = (at + 1) % ips.len();
                    tries += 1;
                    std::thread::park_timeout(PAUSE);
                }
                // To find the leader among three is no outage.
                if tries > ips.len() {
                    written.refused += began.elapsed();
                }
                written.acknowledged += 1;
                std::thread::park_timeout(PAUSE);
            }
            written
        });
        Self { stop, thread }
    }

    fn end(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the client ends")
    }
}

fn redis_pids(ring: &Ring) -> Vec<Option<i32>> {
    ring.nodes.iter().map(|node| node.service_pid(GROUP)).collect()
}

#[test]
fn a_config_that_needs_a_restart_hands_leadership_over_once_and_loses_no_acknowledged_write() {
    let mut ring = Ring::new(3);
    ring.start(&plan("redis"), &["--topology", "leader", "--strategy", "rolling"]);
    ring.wait_whole();
    let (leader, term) = ring.wait_leader(GROUP);
    let apply = |toml: &str| {
        let answer = ring.nodes[0]
            .sup_with_input(&["config", "apply", GROUP, "-", "--min-healthy", "500ms", "--timeout", "120s"], toml);
        assert_eq!(answer.code, 0, "{answer:?}");
    };
    for node in &ring.nodes {
        node.wait_healthy(GROUP);
    }
    apply("[replication]\nmin-replicas-to-write = 1\n");
    assert_eq!(ring.wait_leader(GROUP), (leader, term), "what needs no restart moves no leader");
    let before = redis_pids(&ring);

    let writer = Writer::start(ring.nodes.iter().map(|node| node.ip).collect());
    apply("[replication]\nmin-replicas-to-write = 1\n[start]\ndatabases = 32\n");
    let (successor, new_term) = ring.wait_leader(GROUP);
    wait_until("all have the new setting", || {
        ring.nodes.iter().all(|node| ask(node.ip, "CONFIG GET databases").as_deref() == Some("databases 32"))
    });
    let written = writer.end();
    println!("{} writes acknowledged, refused for {:?} in total", written.acknowledged, written.refused);

    assert_ne!(successor, leader);
    assert_eq!(new_term, term + 1, "leadership was handed over more than once");
    for (number, pid) in before.iter().enumerate() {
        assert_ne!(ring.nodes[number].service_pid(GROUP), *pid, "a redis was not restarted");
    }
    for number in 0..3 {
        let ip = ring.nodes[number].ip;
        let role = if number == successor { "master" } else { "slave" };
        wait_until(&format!("redis on {ip} is a {role} in sync"), || {
            replication(ip, "role").as_deref() == Some(role)
                && (role == "master" || replication(ip, "master_link_status").as_deref() == Some("up"))
        });
    }
    for key in 0..written.acknowledged {
        let found = ask(ring.nodes[successor].ip, &format!("GET key:{key}"));
        assert_eq!(found.as_deref(), Some("there"), "an acknowledged write is lost: key:{key}");
    }
    assert!(written.refused < REFUSED_AT_MOST, "the client was refused for {:?} in total", written.refused);
}
