//! A real redis on five hosts, and the network between them cut in two with the leader on the smaller side.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::{PATIENCE, plan, wait_for_within, wait_until};
use crate::netns::Hosts;
use crate::redis_client::{Redis, replication};

const GROUP: &str = "redis.default";
const HOSTS: usize = 5;
/// The pause between two writes of one client.
const PAUSE: Duration = Duration::from_millis(2);

/// What became of one cut.
pub struct Outcome {
    /// For how long both sides took writes: from the first that the larger side took to the last that the smaller one
    /// took.
    pub both: Duration,
    /// From the cut to the first write that the larger side took.
    pub again: Duration,
    /// From the healing until all see all.
    pub whole: Duration,
    /// From the healing until the old leader's redis follows the new one.
    pub follows: Duration,
}

/// Writes on one host, from that host, all the while; the times at which a write was acknowledged.
struct Client {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Instant>>,
}

impl Client {
    fn start(hosts: &Hosts, host: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, ip) = (Arc::clone(&stop), hosts.ring.nodes[host].ip);
        let thread = hosts.within(host, move || {
            let mut acknowledged = Vec::new();
            let mut redis = None;
            while !stopped.load(Ordering::Relaxed) {
                redis = redis.or_else(|| Redis::connect(ip));
                match redis.as_mut().map(|redis| redis.ask("SET key value")) {
                    Some(Some(answer)) if answer == "OK" => acknowledged.push(Instant::now()),
                    Some(Some(_)) => {}
                    Some(None) | None => redis = None,
                }
                std::thread::park_timeout(PAUSE);
            }
            acknowledged
        });
        Self { stop, thread }
    }

    fn end(self) -> Vec<Instant> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the client ends")
    }
}

/// Five redis, in sync; none where the tests may not make hosts.
pub fn five(profile: &'static str) -> Option<Hosts> {
    let mut hosts = Hosts::with_profile(HOSTS, profile)?;
    hosts.ring.start(&plan("redis"), &["--topology", "leader"]);
    hosts.ring.wait_whole();
    wait_in_sync(&hosts);
    Some(hosts)
}

fn wait_in_sync(hosts: &Hosts) -> usize {
    let (leader, _) = hosts.ring.wait_leader(GROUP);
    for (number, node) in hosts.ring.nodes.iter().enumerate() {
        if number != leader {
            wait_follows(PATIENCE, node.ip, hosts.ring.nodes[leader].ip);
        }
        node.wait_healthy(GROUP);
    }
    leader
}

/// Waits until one redis is a replica of the other, in sync.
pub fn wait_follows(patience: Duration, ip: Ipv4Addr, leader: Ipv4Addr) {
    wait_for_within(patience, &format!("redis on {ip} follows {leader}"), || {
        let follows = replication(ip, "master_host") == Some(leader.to_string())
            && replication(ip, "master_link_status").as_deref() == Some("up");
        follows.then_some(())
    });
}

/// Cuts the leader and another one off from the other three, and heals the cut again.
pub fn cut(hosts: &Hosts) -> Outcome {
    let leader = wait_in_sync(hosts);
    cut_off(hosts, leader, PATIENCE, || hosts.ring.wait_whole())
}

/// The same, whoever looks after the five, with as much patience as these need, and however it is seen that all see all.
pub fn cut_off(hosts: &Hosts, leader: usize, patience: Duration, wait_whole: impl FnOnce()) -> Outcome {
    let companion = (leader + 1) % HOSTS;
    let majority: Vec<usize> = (0..HOSTS).filter(|number| ![leader, companion].contains(number)).collect();
    let smaller: Vec<Client> = [leader, companion].map(|host| Client::start(hosts, host)).into();
    let larger: Vec<Client> = majority.iter().map(|host| Client::start(hosts, *host)).collect();

    let began = Instant::now();
    hosts.cut(&[leader, companion]);
    let successor = wait_for_within(patience, "the larger side has a leader that takes writes", || {
        majority
            .iter()
            .copied()
            .find(|host| replication(hosts.ring.nodes[*host].ip, "role").as_deref() == Some("master"))
    });
    let healed = {
        // Both clients have had time to go on after what they should not have.
        let settled = Instant::now();
        wait_until("some time has passed", || settled.elapsed() > Duration::from_secs(1));
        hosts.heal();
        Instant::now()
    };
    wait_whole();
    let whole = healed.elapsed();
    wait_follows(patience, hosts.ring.nodes[leader].ip, hosts.ring.nodes[successor].ip);
    let follows = healed.elapsed();

    let last_of_smaller = smaller.into_iter().flat_map(Client::end).max();
    let first_of_larger = larger.into_iter().flat_map(Client::end).filter(|at| *at > began).min();
    let first_of_larger = first_of_larger.expect("the larger side took a write");
    Outcome {
        both: last_of_smaller.map_or(Duration::ZERO, |last| last.saturating_duration_since(first_of_larger)),
        again: first_of_larger - began,
        whole,
        follows,
    }
}

#[test]
fn of_two_sides_at_most_one_takes_writes_and_healed_they_are_one_again() {
    let Some(hosts) = five("local") else { return };
    for _ in 0..2 {
        let Outcome { both, again, whole, follows } = cut(&hosts);
        println!(
            "writes again after {again:?}; healed: whole after {whole:?}, the old leader follows after {follows:?}"
        );
        assert_eq!(both, Duration::ZERO, "both sides took writes");
    }
}
