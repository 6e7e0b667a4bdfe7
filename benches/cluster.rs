//! What a user waits for, measured on real supervisors and real services: `scripts/bench` is the way in.
//!
//! Each figure is the median, the worst, and all values of so many rounds, in milliseconds. The targets are those of a
//! machine with two cores.

#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/real/fleet.rs"]
mod fleet;
#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/real/harness.rs"]
mod harness;
#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/real/http.rs"]
mod http;
#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/real/netns.rs"]
mod netns;
#[path = "../tests/real/partition.rs"]
mod partition;
#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/real/redis_client.rs"]
mod redis_client;
#[path = "cluster/rollout.rs"]
mod rollout;
#[path = "cluster/sentinel.rs"]
mod sentinel;
#[path = "cluster/starved.rs"]
mod starved;
#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/real/switch.rs"]
mod switch;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::Parser;
use harness::{Ring, is_alive, plan, wait_until};
use redis_client::{ask, replication};
use serde_json::Value;

const REDIS: &str = "redis.default";
const DEMO: &str = "demo.default";

/// Measures what a user waits for.
#[derive(Parser)]
struct Args {
    /// Rounds of each measurement
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Only measurements whose name contains this
    #[arg(default_value = "")]
    only: String,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Measures so many rounds, and prints what came of it.
type Measurement = fn(usize);

fn main() {
    let args = Args::parse();
    let measurements: [(&str, Measurement); 12] = [
        ("failover-lan", |rounds| failover("lan", rounds, 2200)),
        ("failover-local", |rounds| failover("local", rounds, 1100)),
        ("clean-stop", clean_stop),
        ("restart", restart_of_killed_redis),
        ("config-redis", config_on_redis),
        ("config-demo", config_on_ten_demo_nodes),
        ("ring", twenty_nodes),
        ("rollout", rollout::measure),
        ("distribution", rollout::measure_distribution),
        ("partition", cuts),
        ("sentinel", sentinel::measure),
        // A round is a minute.
        ("starved", starved::measure),
    ];
    for (name, measure) in measurements {
        if name.contains(&args.only) {
            measure(args.rounds);
        }
    }
}

fn report(what: &str, target_ms: u128, mut values: Vec<Duration>) {
    values.sort_unstable();
    let all: Vec<String> = values.iter().map(|value| value.as_millis().to_string()).collect();
    let median = values[values.len() / 2].as_millis();
    let worst = values[values.len() - 1].as_millis();
    let verdict = if median < target_ms { "met" } else { "MISSED" };
    println!("{what}: median {median} ms, worst {worst} ms (target {target_ms} ms: {verdict}) [{}]", all.join(" "));
}

fn get(ip: Ipv4Addr, port: u16, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((ip, port)), Duration::from_millis(500)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {ip}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// The leader that a node knows of, if its election is over.
fn leader_known_to(ip: Ipv4Addr, group: &str) -> Option<String> {
    let view = get(ip, 9631, &format!("/v1/groups/{group}"))?;
    (view["election"] == "finished").then(|| view["leader"]["address"].as_str().map(str::to_owned)).flatten()
}

fn alive(ip: Ipv4Addr) -> Option<usize> {
    let members = get(ip, 9631, "/v1/members")?;
    Some(members["members"].as_array()?.iter().filter(|member| member["state"] == "alive").count())
}

fn three_redis(profile: &'static str) -> (Ring, usize) {
    let mut ring = Ring::with_profile(3, profile);
    ring.start(&plan("redis"), &["--topology", "leader"]);
    ring.wait_whole();
    let (leader, _) = ring.wait_leader(REDIS);
    wait_in_sync(&ring, leader);
    (ring, leader)
}

fn others(leader: usize) -> Vec<usize> {
    (0..3).filter(|number| *number != leader).collect()
}

fn wait_in_sync(ring: &Ring, leader: usize) {
    for number in others(leader) {
        wait_until("a replica is in sync", || {
            replication(ring.nodes[number].ip, "master_host") == Some(ring.nodes[leader].ip.to_string())
                && replication(ring.nodes[number].ip, "master_link_status").as_deref() == Some("up")
        });
    }
    for node in &ring.nodes {
        node.wait_healthy(REDIS);
    }
}

/// From `began` until one of the others is known as leader to both, and takes a write. Returns which.
fn wait_succession(ring: &Ring, old: usize, began: Instant) -> (usize, Duration) {
    let others = others(old);
    let mut successor = None;
    wait_until("a successor is known to all and takes writes", || {
        let known: Vec<Option<String>> =
            others.iter().map(|number| leader_known_to(ring.nodes[*number].ip, REDIS)).collect();
        let Some(Some(address)) = known.first() else { return false };
        if known.iter().any(|other| other.as_ref() != Some(address)) {
            return false;
        }
        successor = others.iter().copied().find(|number| address.starts_with(&format!("{}:", ring.nodes[*number].ip)));
        successor.is_some_and(|number| ask(ring.nodes[number].ip, "SET failover done").as_deref() == Some("OK"))
    });
    (successor.unwrap_or(old), began.elapsed())
}

fn failover(profile: &'static str, rounds: usize, target_ms: u128) {
    let (mut ring, mut leader) = three_redis(profile);
    let mut values = Vec::new();
    for _ in 0..rounds {
        let old_redis = ring.nodes[leader].service_pid(REDIS).unwrap_or_default();
        let began = Instant::now();
        ring.nodes[leader].kill();
        let (successor, took) = wait_succession(&ring, leader, began);
        assert!(!is_alive(old_redis), "the old redis outlived its lease");
        values.push(took);
        ring.spawn(leader, &["run"]);
        ring.wait_whole();
        leader = successor;
        wait_in_sync(&ring, leader);
    }
    report(
        &format!("leader's supervisor killed ({profile}), successor known to all and takes writes"),
        target_ms,
        values,
    );
}

fn clean_stop(rounds: usize) {
    let (mut ring, mut leader) = three_redis("lan");
    let mut values = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        ring.nodes[leader].signal(nix::sys::signal::Signal::SIGTERM);
        let (successor, took) = wait_succession(&ring, leader, began);
        values.push(took);
        ring.nodes[leader].wait_exit();
        ring.spawn(leader, &["run"]);
        ring.wait_whole();
        leader = successor;
        wait_in_sync(&ring, leader);
    }
    report("leader stopped cleanly, successor known to all and takes writes", 300, values);
}

/// Each round has a supervisor of its own: a process that is killed often is started again ever later.
fn restart_of_killed_redis(rounds: usize) {
    let mut values = Vec::new();
    for _ in 0..rounds {
        let mut ring = Ring::with_profile(1, "lan");
        ring.start(&plan("redis"), &[]);
        let node = &ring.nodes[0];
        node.wait_healthy(REDIS);
        let old = node.service_pid(REDIS).expect("redis has a process");
        let began = Instant::now();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(old), nix::sys::signal::Signal::SIGKILL).expect("killed");
        wait_until("redis answers again", || !is_alive(old) && ask(node.ip, "PING").is_some());
        values.push(began.elapsed());
    }
    report("redis-server killed, running again", 250, values);
}

fn config_on_redis(rounds: usize) {
    let (ring, _) = three_redis("lan");
    let mut values = Vec::new();
    for round in 0..rounds {
        let megabytes = 100 + round;
        let toml = format!("maxmemory = \"{megabytes}mb\"\n");
        let expected = format!("maxmemory {}", megabytes * 1024 * 1024);
        let began = Instant::now();
        let answer = ring.nodes[0].sup_with_input(&["config", "apply", REDIS, "-", "--no-wait"], &toml);
        assert_eq!(answer.code, 0, "{answer:?}");
        for node in &ring.nodes {
            wait_until("redis has it", || ask(node.ip, "CONFIG GET maxmemory").as_ref() == Some(&expected));
        }
        values.push(began.elapsed());
        for node in &ring.nodes {
            node.wait_healthy(REDIS);
        }
    }
    report("config applied, in force on three redis", 250, values);
}

fn config_on_ten_demo_nodes(rounds: usize) {
    let mut ring = Ring::with_profile(10, "lan");
    ring.start("demo", &[]);
    ring.wait_whole();
    for node in &ring.nodes {
        node.wait_healthy(DEMO);
    }
    let mut values = Vec::new();
    for round in 0..rounds {
        let message = format!("round {round}");
        let began = Instant::now();
        let toml = format!("message = \"{message}\"\n");
        let answer = ring.nodes[0].sup_with_input(&["config", "apply", DEMO, "-", "--no-wait"], &toml);
        assert_eq!(answer.code, 0, "{answer:?}");
        for node in &ring.nodes {
            let rendered = node.data.join("svc/demo/config/demo.toml");
            wait_until("it is rendered", || {
                std::fs::read_to_string(&rendered).is_ok_and(|text| text.contains(&message))
            });
        }
        values.push(began.elapsed());
        for node in &ring.nodes {
            wait_until("the service says it", || {
                get(node.ip, 8080, "/").is_some_and(|answer| answer.to_string().contains(&message))
            });
        }
    }
    report("config applied, rendered on ten demo nodes", 100, values);
}

/// Five redis on hosts of their own, cut three to two with the leader in the two.
fn cuts(rounds: usize) {
    let Some(hosts) = partition::five("lan") else { return };
    let outcomes: Vec<partition::Outcome> = (0..rounds).map(|_| partition::cut(&hosts)).collect();
    let of = |figure: fn(&partition::Outcome) -> Duration| outcomes.iter().map(figure).collect();
    report("cut 3|2 with the leader in the two: both sides took writes for", 1, of(|outcome| outcome.both));
    report("cut 3|2: the three take writes again", 2500, of(|outcome| outcome.again));
    report("cut healed: all see all", 5000, of(|outcome| outcome.whole));
    report("cut healed: the old leader follows", 5000, of(|outcome| outcome.follows));
}

/// Reads a process's memory in bytes and the processor time that it has used.
fn usage(pid: i32) -> (u64, Duration) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let rss = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()));
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<u64> = stat
        .rsplit_once(") ")
        .map(|(_, rest)| rest.split(' ').map(|field| field.parse().unwrap_or(0)).collect())
        .unwrap_or_default();
    // utime and stime are fields 14 and 15 of proc(5), in hundredths of a second.
    let ticks = fields.get(11).copied().unwrap_or(0) + fields.get(12).copied().unwrap_or(0);
    (rss.unwrap_or(0) * 1024, Duration::from_millis(ticks * 10))
}

fn gossip_bytes_sent(ip: Ipv4Addr) -> f64 {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect((ip, 9631)) {
        let asked = write!(stream, "GET /metrics HTTP/1.1\r\nHost: {ip}\r\nConnection: close\r\n\r\n");
        if asked.and_then(|()| stream.read_to_string(&mut text).map(drop)).is_err() {
            return 0.0;
        }
    }
    let sent = |line: &&str| line.starts_with("sup_network_sent_bytes_total");
    text.lines().filter(sent).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

fn twenty_nodes(rounds: usize) {
    const NODES: usize = 20;
    let (mut joins, mut deaths) = (Vec::new(), Vec::new());
    let mut idle = None;
    for round in 0..rounds {
        let mut ring = Ring::with_profile(NODES, "lan");
        let began = Instant::now();
        for number in 0..NODES {
            ring.spawn(number, &["run"]);
        }
        for node in &ring.nodes {
            wait_until("all see twenty", || alive(node.ip) == Some(NODES));
        }
        joins.push(began.elapsed());
        if round == 0 {
            idle = Some(idle_cost(&ring));
        }
        let victim = NODES / 2;
        let began = Instant::now();
        ring.nodes[victim].kill();
        for (number, node) in ring.nodes.iter().enumerate() {
            if number != victim {
                wait_until("all know of the death", || alive(node.ip) == Some(NODES - 1));
            }
        }
        deaths.push(began.elapsed());
    }
    report("20 supervisors started at once, all see 20", 3000, joins);
    report("one of 20 killed, all know", 2000, deaths);
    if let Some(idle) = idle {
        println!("{idle}");
    }
}

/// What a node of an idle ring costs, over half a minute.
fn idle_cost(ring: &Ring) -> String {
    let span = Duration::from_secs(30);
    let settle = Duration::from_secs(5);
    std::thread::sleep(settle);
    let before: Vec<(Duration, f64)> =
        ring.nodes.iter().map(|node| (usage(node.pid().as_raw()).1, gossip_bytes_sent(node.ip))).collect();
    std::thread::sleep(span);
    let (mut worst_rss, mut cpu, mut bytes) = (0, 0.0, 0.0);
    for (node, (time_before, sent_before)) in ring.nodes.iter().zip(before) {
        let (rss, time) = usage(node.pid().as_raw());
        worst_rss = worst_rss.max(rss);
        cpu += (time - time_before).as_secs_f64();
        bytes += gossip_bytes_sent(node.ip) - sent_before;
    }
    let nodes = ring.nodes.len() as f64;
    let seconds = span.as_secs_f64();
    format!(
        "an idle node of 20: at most {:.1} MiB RSS (target 20), {:.3} % of a core (target 0.3), {:.0} B/s sent (target 400)",
        worst_rss as f64 / 1024.0 / 1024.0,
        cpu / nodes / seconds * 100.0,
        bytes / nodes / seconds
    )
}
