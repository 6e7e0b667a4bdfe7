//! The cut of `partition`, with redis-sentinel in the place of `sup`: what that is measured against.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::wait_for_within;
use crate::netns::Hosts;
use crate::partition::{Outcome, cut_off, wait_follows};
use crate::redis_client::Redis;

const HOSTS: usize = 5;
/// So many have to agree that the master is down: a majority. All else is as sentinel has it by default.
const QUORUM: usize = 3;
const PORT: u16 = 26379;
/// How long any of it may take: a sentinel waits for half a minute before it takes a master for down.
const PATIENCE: Duration = Duration::from_secs(120);

/// Five redis and five sentinels, one of each on each host.
struct Five {
    hosts: Hosts,
    processes: Vec<Child>,
    _dir: tempfile::TempDir,
}

impl Five {
    fn start() -> Option<Self> {
        let hosts = Hosts::new(HOSTS)?;
        let dir = tempfile::tempdir().expect("a directory");
        let mut processes = Vec::new();
        let master = hosts.ring.nodes[0].ip;
        for (number, node) in hosts.ring.nodes.iter().enumerate() {
            let own = dir.path().join(number.to_string());
            std::fs::create_dir(&own).expect("a directory");
            let config = format!("protected-mode no\nsentinel monitor five {master} 6379 {QUORUM}\n");
            std::fs::write(own.join("sentinel.conf"), config).expect("a file");
            let bind = ["--bind", &format!("{} 127.0.0.1", node.ip), "--protected-mode", "no"].map(str::to_owned);
            let mut redis = server(&own);
            redis.args(bind);
            if number > 0 {
                redis.args(["--replicaof", &format!("{master} 6379")]);
            }
            let mut sentinel = server(&own);
            sentinel.args(["sentinel.conf", "--sentinel"]);
            let started = hosts.within(number, move || [redis.spawn(), sentinel.spawn()]).join().expect("no panic");
            processes.extend(started.map(|process| process.expect("redis-server is installed")));
        }
        Some(Self { hosts, processes, _dir: dir })
    }

    /// Waits until all sentinels know all others, and one master; which host that is on.
    fn wait_whole(&self) -> usize {
        let nodes = &self.hosts.ring.nodes;
        let master = wait_for_within(PATIENCE, "all sentinels see all", || {
            let masters: Vec<_> = nodes.iter().map(|node| master_by(node.ip)).collect();
            masters[0].filter(|master| masters.iter().all(|other| *other == Some(*master)))
        });
        nodes.iter().position(|node| node.ip == master).expect("the master is one of the five")
    }
}

impl Drop for Five {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended by itself.
            let _ended = process.kill();
            let _ended = process.wait();
        }
    }
}

fn server(dir: &Path) -> Command {
    let mut command = Command::new("redis-server");
    command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The master by the sentinel of a host, if it is well and everybody else is known.
fn master_by(ip: Ipv4Addr) -> Option<Ipv4Addr> {
    let info = Redis::connect_to(SocketAddr::from((ip, PORT)))?.ask("INFO sentinel")?;
    let line = info.lines().find(|line| line.starts_with("master0:") && line.contains("status=ok"))?;
    let (_, address) = line.trim().split_once("address=")?;
    let (address, rest) = address.split_once(':')?;
    rest.ends_with("slaves=4,sentinels=5").then(|| address.parse().ok()).flatten()
}

/// Five redis under sentinels, cut three to two with the master in the two, as often.
pub fn measure(rounds: usize) {
    for _ in 0..rounds {
        let Some(five) = Five::start() else { return };
        let master = five.wait_whole();
        let nodes = &five.hosts.ring.nodes;
        for node in nodes.iter().filter(|node| node.ip != nodes[master].ip) {
            wait_follows(PATIENCE, node.ip, nodes[master].ip);
        }
        let outcome = cut_off(&five.hosts, master, PATIENCE, || {
            five.wait_whole();
        });
        let Outcome { both, again, whole, follows } = outcome;
        println!(
            "redis-sentinel, cut 3|2: both sides took writes for {}; the three take writes again after {}; healed, all \
             agree after {}, and the old master follows after {}",
            seconds(both),
            seconds(again),
            seconds(whole),
            seconds(follows)
        );
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
