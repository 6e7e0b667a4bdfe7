//! One machine: its clocks, its disk, its service, and the node while it runs.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use crate::base::NodeId;
use crate::node::{Input, Node, NodeConfig};
use crate::records::value::MemberStatus;
use crate::ring::{Identity, Profile};

use super::clock::{Clock, True};
use super::disk::Disk;
use super::service::{FakeService, ServiceEvent};

/// The port that every simulated node uses.
const PORT: u16 = 9638;
/// Datagrams that a socket holds while its node does not read; more are lost, as in life.
pub(super) const SOCKET_BUFFER: usize = 256;

/// What the process on a machine is doing.
#[derive(Debug)]
pub(super) enum Process {
    /// It does not run: its port refuses.
    Dead,
    /// It runs.
    Running(Box<Node>),
    /// It is stopped until then: its port accepts, and nothing answers.
    Paused { node: Box<Node>, inbox: Vec<Input> },
}

/// Whether a machine is one that the others have to get along with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existence {
    /// Nobody has heard of it yet.
    Unborn,
    /// It is there, or comes back.
    There,
    /// It is lost for good.
    Gone,
}

/// One machine.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) existence: Existence,
    pub(super) id: NodeId,
    pub(super) address: SocketAddr,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    pub(super) service: FakeService,
    pub(super) process: Process,
    /// Counts starts of the process, so that what was meant for an earlier one does not reach the next.
    pub(super) epoch: u64,
    /// Numbers the timers, so that only the latest one fires.
    pub(super) timer: u64,
    pub(super) timer_at: Option<True>,
    /// Datagrams that wait for a write.
    pub(super) held_back: Vec<(u64, usize, Bytes)>,
    /// Writes that failed: what depends on them is never sent.
    pub(super) failed_writes: BTreeSet<u64>,
    pub(super) writes_under_way: BTreeSet<u64>,
    pub(super) renewals: u64,
    /// What happened to the service while the process was stopped, and it did not look.
    pub(super) unseen: Vec<ServiceEvent>,
    /// What was said of the service last.
    pub(super) said: Option<MemberStatus>,
}

impl Host {
    pub(super) fn new(number: usize, id: NodeId, clock: Clock, service: FakeService) -> Self {
        Self {
            existence: Existence::There,
            id,
            address: Self::address_of(number),
            clock,
            disk: Disk::default(),
            service,
            process: Process::Dead,
            epoch: 0,
            timer: 0,
            timer_at: None,
            held_back: Vec::new(),
            failed_writes: BTreeSet::new(),
            writes_under_way: BTreeSet::new(),
            renewals: 0,
            unseen: Vec::new(),
            said: None,
        }
    }

    pub(super) fn address_of(number: usize) -> SocketAddr {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        SocketAddr::new(Ipv4Addr::from(0x0a00_0001_u32.saturating_add(number)).into(), PORT)
    }

    /// Makes the node that starts now, from what is on disk.
    pub(super) fn boot(&mut self, at: True, profile: Profile, has_peers: bool, seed: u64) -> Node {
        let now = self.clock.now(at);
        let (restored, generation) = self.disk.restore(now.wall);
        self.epoch += 1;
        self.held_back.clear();
        self.failed_writes.clear();
        self.writes_under_way.clear();
        let config = NodeConfig {
            me: Identity { id: self.id, address: self.address, generation },
            profile,
            has_peers,
            join_timeout: Duration::from_secs(10),
            max_clock_skew: Duration::from_secs(300),
            seed: seed ^ self.epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        Node::new(config, restored, now)
    }

    pub(super) fn node(&self) -> Option<&Node> {
        match &self.process {
            Process::Running(node) | Process::Paused { node, .. } => Some(node),
            Process::Dead => None,
        }
    }
}
