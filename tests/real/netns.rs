//! Hosts of their own on this machine: a network namespace per node, and bridges between them that can be taken apart.
//!
//! Takes root. Where the tests do not have it, [`Hosts::new`] says so in one line, and the test has nothing to do.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;

use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CloneFlags, setns};
use nix::unistd::Uid;

use crate::harness::Ring;

/// Which of the networks 10.88.0.0/16 has: one lock file each, so that tests in different processes differ.
const NETWORKS: u8 = 250;

/// A ring whose nodes are hosts of their own.
pub struct Hosts {
    pub ring: Ring,
    network: Network,
}

/// The namespaces and bridges.
struct Network {
    number: u8,
    hosts: usize,
    bridges: AtomicU8,
    _reserved: Flock<File>,
}

fn ip(args: &str) {
    let output = Command::new("ip").args(args.split(' ')).output().expect("ip runs");
    assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Network {
    fn reserve(hosts: usize) -> Self {
        let dir = std::env::temp_dir();
        let reserved = (1..=NETWORKS).find_map(|number| {
            let file = File::create(dir.join(format!("sup-test-network-{number}.lock"))).ok()?;
            Flock::lock(file, FlockArg::LockExclusiveNonblock).ok().map(|lock| (number, lock))
        });
        let (number, reserved) = reserved.expect("one of the networks is free");
        let network = Self { number, hosts, bridges: AtomicU8::new(1), _reserved: reserved };
        // What a test that was killed has left.
        network.remove();
        network.make();
        network
    }

    fn make(&self) {
        let number = self.number;
        self.make_bridge(0);
        ip(&format!("addr add 10.88.{number}.254/24 dev {}", self.bridge(0)));
        for host in 0..self.hosts {
            let (namespace, link) = (self.namespace(host), self.link(host));
            ip(&format!("netns add {namespace}"));
            ip(&format!("link add {link} type veth peer name eth0 netns {namespace}"));
            ip(&format!("-n {namespace} addr add {}/24 dev eth0", self.address(host)));
            ip(&format!("-n {namespace} link set eth0 up"));
            ip(&format!("-n {namespace} link set lo up"));
            self.attach(host, 0);
        }
    }

    fn make_bridge(&self, bridge: u8) {
        ip(&format!("link add {} type bridge", self.bridge(bridge)));
        ip(&format!("link set {} up", self.bridge(bridge)));
    }

    fn attach(&self, host: usize, bridge: u8) {
        ip(&format!("link set {} master {} up", self.link(host), self.bridge(bridge)));
    }

    /// Whatever there is of it.
    fn remove(&self) {
        let run = |args: String| {
            // What is not there need not go.
            let _absent = Command::new("ip").args(args.split(' ')).output();
        };
        for host in 0..self.hosts {
            run(format!("netns del {}", self.namespace(host)));
            run(format!("link del {}", self.link(host)));
        }
        for bridge in 0..=self.bridges.load(Ordering::Relaxed) {
            run(format!("link del {}", self.bridge(bridge)));
        }
    }

    fn namespace(&self, host: usize) -> String {
        format!("sup{}-{host}", self.number)
    }

    fn link(&self, host: usize) -> String {
        format!("sup{}v{host}", self.number)
    }

    fn bridge(&self, bridge: u8) -> String {
        format!("sup{}b{bridge}", self.number)
    }

    fn address(&self, host: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 88, self.number, u8::try_from(host + 1).expect("a few hosts"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Hosts {
    /// So many hosts, connected; none where the tests are not run by root.
    pub fn new(count: usize) -> Option<Self> {
        Self::with_profile(count, "local")
    }

    /// The same, on another profile.
    pub fn with_profile(count: usize, profile: &'static str) -> Option<Self> {
        if !Uid::effective().is_root() {
            println!("skipped: network namespaces take root");
            return None;
        }
        let network = Network::reserve(count);
        let mut ring = Ring::with_profile(count, profile);
        for (number, node) in ring.nodes.iter_mut().enumerate() {
            node.ip = network.address(number);
            node.namespace = Some(network.namespace(number));
        }
        Some(Self { ring, network })
    }

    /// Cuts these hosts off from all others; among each other they stay connected. This process keeps its connection to
    /// the others.
    pub fn cut(&self, hosts: &[usize]) {
        let bridge = self.network.bridges.fetch_add(1, Ordering::Relaxed);
        self.network.make_bridge(bridge);
        for host in hosts {
            self.network.attach(*host, bridge);
        }
    }

    /// Runs something on one of the hosts, in a thread of its own: what it connects to is what that host can reach.
    pub fn within<T: Send + 'static>(&self, host: usize, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let namespace = format!("/var/run/netns/{}", self.network.namespace(host));
        std::thread::spawn(move || {
            let namespace = File::open(namespace).expect("the namespace is there");
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter it");
            work()
        })
    }

    /// Connects all of them again.
    pub fn heal(&self) {
        for host in 0..self.network.hosts {
            self.network.attach(host, 0);
        }
    }
}
