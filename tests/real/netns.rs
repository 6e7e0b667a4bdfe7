//! Hosts of their own on this machine: a network namespace per node, and a network between them that can be cut, lose
//! and delay.
//!
//! Takes root. Where the tests do not have it, [`Hosts::new`] says so in one line, and the test has nothing to do.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CloneFlags, setns};
use nix::unistd::Uid;

use crate::harness::Ring;
use crate::switch::{Path, Port, Switch, make_device};

/// Which of the networks 10.88.0.0/16 has: one lock file each, so that tests in different processes differ.
const NETWORKS: u8 = 250;
/// The last byte of this process's own address in each of them.
const OWN: u8 = 254;

/// A ring whose nodes are hosts of their own.
pub struct Hosts {
    pub ring: Ring,
    network: Network,
}

/// The namespaces, and the network between them.
struct Network {
    number: u8,
    hosts: usize,
    /// Its ports are the hosts, and then this process.
    switch: Option<Switch>,
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
        let mut network = Self { number, hosts, switch: None, _reserved: reserved };
        // What a test that was killed has left.
        network.remove();
        network.make();
        network
    }

    fn make(&mut self) {
        let number = self.number;
        let mut ports = Vec::new();
        for host in 0..self.hosts {
            let namespace = self.namespace(host);
            ip(&format!("netns add {namespace}"));
            let device = within(namespace.clone(), || make_device("eth0")).join().expect("a device is made");
            let address = self.address(host);
            ip(&format!("-n {namespace} addr add {address}/24 dev eth0"));
            ip(&format!("-n {namespace} link set eth0 up"));
            ip(&format!("-n {namespace} link set lo up"));
            ports.push(Port { device, address: address.octets()[3] });
        }
        let own = format!("sup{number}");
        let device = make_device(&own);
        ip(&format!("addr add 10.88.{number}.{OWN}/24 dev {own}"));
        ip(&format!("link set {own} up"));
        ports.push(Port { device, address: OWN });
        self.switch = Some(Switch::start(ports));
    }

    /// Whatever there is of it. A device goes with the process that made it.
    fn remove(&self) {
        for host in 0..self.hosts {
            // What is not there need not go.
            let _absent = Command::new("ip").args(["netns", "del", &self.namespace(host)]).output();
        }
    }

    fn namespace(&self, host: usize) -> String {
        format!("sup{}-{host}", self.number)
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

/// Runs something in a network namespace, in a thread of its own: what it connects to is what that host can reach.
fn within<T: Send + 'static>(namespace: String, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::spawn(move || {
        let namespace = File::open(format!("/var/run/netns/{namespace}")).expect("the namespace is there");
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter it");
        work()
    })
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

    /// Cuts these hosts off from all others; among each other they stay connected, and with this process.
    pub fn cut(&self, hosts: &[usize]) {
        self.change(|from, to, path| path.is_cut |= hosts.contains(&from) != hosts.contains(&to));
    }

    /// Cuts each of the first off from each of the second; all others stay connected with all.
    pub fn cut_between(&self, first: &[usize], second: &[usize]) {
        let is_between = |from, to| first.contains(&from) && second.contains(&to);
        self.change(|from, to, path| path.is_cut |= is_between(from, to) || is_between(to, from));
    }

    /// What these hosts send does not reach any other; what is sent to them does.
    pub fn mute(&self, hosts: &[usize]) {
        self.change(|from, to, path| path.is_cut |= hosts.contains(&from) && !hosts.contains(&to));
    }

    /// So many of a hundred packets between any two hosts are lost.
    pub fn lose(&self, percent: u8) {
        self.change(|_, _, path| path.loss = percent);
    }

    /// Each packet between two hosts takes so long, give or take.
    pub fn delay(&self, delay: Duration, jitter: Duration) {
        self.change(|_, _, path| (path.delay, path.jitter) = (delay, jitter));
    }

    /// Nothing is cut, lost or delayed any more.
    pub fn heal(&self) {
        self.change(|_, _, path| *path = Path::default());
    }

    /// Runs something on one of the hosts, in a thread of its own: what it connects to is what that host can reach.
    pub fn within<T: Send + 'static>(&self, host: usize, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        within(self.network.namespace(host), work)
    }

    fn change(&self, change: impl Fn(usize, usize, &mut Path)) {
        let hosts = self.network.hosts;
        let switch = self.network.switch.as_ref().expect("it runs for as long as its network is there");
        switch.change(|from, to, path| {
            if from < hosts && to < hosts {
                change(from, to, path);
            }
        });
    }
}
