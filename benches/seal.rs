//! What encryption costs: per datagram, per stream, and per idle node.
//!
//! Run by `cargo bench --bench seal`. Each figure is taken in clear text and sealed; what sealing costs is the difference.

#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/real/harness.rs"]
mod harness;

use std::hint::black_box;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use harness::{Ring, SUP, run};
use sup::base::limits::DATAGRAM_PAYLOAD_BYTES;
use sup::net::{Drained, Gate, KeySet, Receivers, RingKey, Sockets, Versions, accept, bind};
use tokio::sync::mpsc;

/// Datagrams that are sent before they are received: as many as the kernel's buffer holds, and not one is lost.
const BURST: u32 = 64;
/// How often the idle nodes are given time to be idle.
const IDLE: Duration = Duration::from_secs(30);

/// Measures what encryption costs.
#[derive(Parser)]
struct Args {
    /// Bursts of datagrams, and streams
    #[arg(long, default_value_t = 2000)]
    rounds: u32,
    /// Only measurements whose name contains this
    #[arg(default_value = "")]
    only: String,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn sockets(keys: KeySet) -> (Sockets, SocketAddr) {
    let gate = Gate::new("bench".parse().expect("a name"), Versions::default(), keys).expect("randomness");
    let gate = Arc::new(gate);
    loop {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr()).expect("a port");
        if let Ok(sockets) = bind(free, &gate) {
            return (sockets, free);
        }
    }
}

fn kinds() -> [(&'static str, KeySet); 2] {
    [("clear", KeySet::clear()), ("sealed", KeySet::sealed(RingKey::draw().expect("randomness")))]
}

fn per(took: Duration, count: u32) -> u128 {
    took.as_nanos() / u128::from(count.max(1))
}

/// Sends and receives through the kernel, both in this thread.
async fn datagrams(rounds: u32) {
    for bytes in [60, 500, DATAGRAM_PAYLOAD_BYTES] {
        for (kind, keys) in kinds() {
            let (mut sockets, address) = sockets(keys);
            let payload = vec![7; bytes];
            // Until the runtime has been told that the socket can be written, what is sent is dropped.
            tokio::time::sleep(Duration::from_millis(10)).await;
            let (mut sending, mut receiving, mut heard) = (Duration::ZERO, Duration::ZERO, 0);
            for _ in 0..rounds {
                let began = Instant::now();
                for _ in 0..BURST {
                    sockets.datagrams.send(address, &payload);
                }
                sending += began.elapsed();
                sockets.datagrams.readable().await.expect("a socket");
                let began = Instant::now();
                let _all: Drained = sockets.datagrams.drain(BURST as usize, |_, payload| {
                    black_box(payload);
                    heard += 1;
                });
                receiving += began.elapsed();
            }
            let sent = rounds * BURST;
            println!(
                "datagrams of {bytes:4} bytes, {kind:6}: {:5} ns to send, {:5} ns to receive ({heard} of {sent} heard)",
                per(sending, sent),
                per(receiving, heard)
            );
        }
    }
}

/// Requests and their responses, each over a stream of its own.
async fn streams(rounds: u32) {
    for (kind, keys) in kinds() {
        let (sockets, address) = sockets(keys);
        let (requests, mut incoming) = mpsc::channel(8);
        let (blobs, _nobody) = mpsc::channel(1);
        let receivers = Receivers { keys: requests.clone(), requests, blobs };
        tokio::spawn(accept(sockets.listener, receivers, sockets.gate, sockets.counters));
        tokio::spawn(async move {
            while let Some(inbound) = incoming.recv().await {
                inbound.reply.send(inbound.request).ok();
            }
        });
        for bytes in [1000, 1_000_000] {
            let rounds = if bytes > 1000 { (rounds / 20).max(1) } else { rounds };
            let request = vec![7; bytes];
            let began = Instant::now();
            for _ in 0..rounds {
                sockets.dialer.request(address, &request).await.expect("a response");
            }
            let each = per(began.elapsed(), rounds) / 1000;
            println!("streams that echo {bytes:7} bytes, {kind:6}: {each} us");
        }
    }
}

/// Processor time that this node has taken.
fn cpu(node: &harness::Node) -> Duration {
    let stat = std::fs::read_dir(format!("/proc/{}/task", node.pid())).expect("it runs").flatten().map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(stat.sum())
}

/// Three nodes that have nothing to do.
fn idle() {
    for kind in ["clear", "sealed"] {
        let mut ring = Ring::with_profile(3, "lan");
        let file = ring.dir().join("key");
        let made = run(Command::new(SUP).args(["ring", "key", "new"]).arg(&file), "");
        assert_eq!(made.code, 0, "{made:?}");
        let file = file.display().to_string();
        let args = if kind == "sealed" { vec!["run", "--ring-key-file", &file] } else { vec!["run"] };
        (0..3).for_each(|number| ring.spawn(number, &args));
        ring.wait_whole();
        let before: Vec<Duration> = ring.nodes.iter().map(cpu).collect();
        std::thread::sleep(IDLE);
        let after = ring.nodes.iter().map(cpu);
        let share =
            after.zip(before).map(|(after, before)| (after - before).as_secs_f64() / IDLE.as_secs_f64() * 100.0);
        let shares: Vec<String> = share.map(|share| format!("{share:.3} %")).collect();
        println!("an idle node of three, {kind:6}: {} of a processor", shares.join(", "));
    }
}

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if "datagrams".contains(&args.only) {
        runtime.block_on(datagrams(args.rounds));
    }
    if "streams".contains(&args.only) {
        runtime.block_on(streams(args.rounds));
    }
    if "idle".contains(&args.only) {
        idle();
    }
}
