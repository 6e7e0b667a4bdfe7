//! What a rolling change costs beyond the members' own stops and starts.

use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::fleet::{GROUP, Kind, fleet, release, update, version};
use crate::harness::{Node, Ring, wait_until};
use crate::http;

const MEMBERS: usize = 10;
const BATCH: usize = 3;
/// How much longer than its members one after the other a rollout may take, and one in batches.
const ROLLING_LIMIT: f64 = 1.25;
const BATCH_LIMIT: f64 = 1.4;

/// How long a member takes from the command to restart it until its check is ok again.
fn restart(node: &Node) -> Duration {
    let began = Instant::now();
    let answer = node.sup(&["restart", "demo"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    node.wait_healthy(GROUP);
    began.elapsed()
}

fn roll(ring: &Ring, version_name: &str, options: &[&str]) -> Duration {
    let next = release(ring, version_name, Kind::Good);
    let began = Instant::now();
    let answer = update(&ring.nodes[0], &next, &[&["--min-healthy", "0s"], options].concat());
    assert_eq!(answer.code, 0, "{answer:?}");
    let took = began.elapsed();
    for node in &ring.nodes {
        wait_until("it answers as the new version", || version(node).as_deref() == Some(version_name));
    }
    took
}

/// How long the same batches take that are restarted by hand, the members of each side by side: they share this
/// machine's processors then, as they do in the rollout.
fn restart_in_batches(nodes: &[Node]) -> Duration {
    // The canary goes alone.
    let (first, others) = nodes.split_at(1);
    let batches = std::iter::once(first).chain(others.chunks(BATCH));
    batches
        .map(|batch| {
            let began = Instant::now();
            std::thread::scope(|scope| batch.iter().for_each(|node| drop(scope.spawn(|| restart(node)))));
            began.elapsed()
        })
        .sum()
}

/// Ten members, one at a time and three at a time, against the same members restarted by hand.
pub fn measure(rounds: usize) {
    let ring = fleet(MEMBERS);
    let (mut rolling, mut batches) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let sum: Duration = ring.nodes.iter().map(restart).sum();
        let one = roll(&ring, &format!("1.{round}.1"), &["--batch", "1"]);
        let ideal = restart_in_batches(&ring.nodes);
        let three = roll(&ring, &format!("1.{round}.3"), &["--batch", "3"]);
        let ratio = |took: Duration, of: Duration| took.as_secs_f64() / of.as_secs_f64();
        println!(
            "rollout of {MEMBERS}: {one:?}, their restarts {sum:?}; in batches of {BATCH}: {three:?}, by hand {ideal:?}"
        );
        rolling.push(ratio(one, sum));
        batches.push(ratio(three, ideal));
    }
    summarise("one after the other, against the sum of their restarts", rolling, ROLLING_LIMIT);
    summarise("in batches, against the same batches by hand", batches, BATCH_LIMIT);
}

fn summarise(what: &str, mut ratios: Vec<f64>, limit: f64) {
    ratios.sort_by(f64::total_cmp);
    let (median, worst) = (ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
    let verdict = if median <= limit { "met" } else { "MISSED" };
    println!("rollout {what}: median {median:.2}, worst {worst:.2} (limit {limit}: {verdict})");
}

/// The size of what is given out.
const RELEASE_BYTES: u64 = 50 * 1024 * 1024;
/// How often its own size the origin may send.
const SENT_LIMIT: f64 = 2.0;

/// A release with so much in it that nothing can be squeezed out of.
fn large(ring: &Ring, version_name: &str) -> String {
    let dir = release(ring, version_name, Kind::Good);
    let mut noise = Vec::new();
    let random = std::fs::File::open("/dev/urandom").expect("the system has random bytes");
    random.take(RELEASE_BYTES).read_to_end(&mut noise).expect("they are read");
    let payload = Path::new(&dir).join("static");
    std::fs::create_dir_all(&payload).expect("the directory is made");
    std::fs::write(payload.join("noise"), noise).expect("the payload is written");
    dir
}

fn bytes_sent(node: &Node) -> f64 {
    let metrics = http::get((node.ip, 9631), "/metrics").map(|answer| answer.body).unwrap_or_default();
    let line = metrics.lines().find(|line| line.starts_with("sup_blob_sent_bytes_total"));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_default()
}

/// How many releases are on a node's disk.
fn releases(node: &Node) -> usize {
    node.try_json(&["release", "list"]).and_then(|list| Some(list["releases"].as_array()?.len())).unwrap_or_default()
}

/// From the moment that the origin has it until all have it, and how much the origin sent.
fn give_out(ring: &Ring, version_name: &str) -> (Duration, f64) {
    let next = large(ring, version_name);
    let origin = &ring.nodes[0];
    let (sent, had) = (bytes_sent(origin), ring.nodes.iter().map(releases).collect::<Vec<_>>());
    let answer = update(origin, &next, &["--no-wait"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let began = Instant::now();
    for (node, had) in ring.nodes.iter().zip(had) {
        wait_until("the release is there", || releases(node) > had);
    }
    (began.elapsed(), bytes_sent(origin) - sent)
}

/// A large release to one other node, and to nine others.
pub fn measure_distribution(rounds: usize) {
    for round in 0..rounds {
        let (one, _) = give_out(&fleet(2), "2.0.0");
        let (all, sent) = give_out(&fleet(MEMBERS), "2.0.0");
        let times = sent / RELEASE_BYTES as f64;
        println!(
            "round {round}: {} MiB to {MEMBERS} nodes in {all:?}, {:.1} x the {one:?} that one copy takes; the origin sent \
             {times:.2} x its size (limit {SENT_LIMIT}: {})",
            RELEASE_BYTES >> 20,
            all.as_secs_f64() / one.as_secs_f64(),
            if times < SENT_LIMIT { "met" } else { "MISSED" },
        );
    }
}
