//! The node: one state machine composed of ring, records, census and elections. The simulator and the supervisor
//! drive this very code.
//!
//! In: [`Input`]s (what happened outside) and [`Command`]s (what this node's shell wants). Out: [`Output`]s, to be done
//! in order, and the [`Census`] to read. Between the two, no policy is left to the shell.
//!
//! | file | subject |
//! | --- | --- |
//! | `io.rs`, `note.rs`, `command.rs` | what goes in and comes out |
//! | `packet.rs` | the encoding of what nodes say to each other |
//! | `join.rs` | from start to ready: join, sync, or give up waiting |
//! | `input.rs` | inputs, routed to the component that they are for |
//! | `settle.rs` | actions of the components, routed to each other and out, until all are quiet |
//! | `groups.rs` | the groups that this node is a member or a voter of, and their elections |
//! | `rollouts.rs` | the rollouts of those groups |
//! | `status.rs` | what this node says of its members, and when it is told |
//! | `configs.rs` | revisions of configs: apply, roll back, unset |
//! | `files.rs` | revisions of files: upload, roll back, remove |
//! | `revisions.rs` | what both have in common |
//! | `departed.rs` | members that are gone for good |
//! | `stray.rs` | records of nodes that nobody here has heard of |
//! | `tokens.rs` | tokens of the API, known to all nodes |
//! | `desired.rs` | what a group should be, and what a person wants of its rollout |
//!
//! What it does not do: no clock, no socket, no disk, no process, and no opinion on when a service starts.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod command;
mod configs;
mod departed;
mod desired;
mod execute;
mod files;
mod groups;
mod input;
mod io;
mod join;
mod note;
mod packet;
mod revisions;
mod rollouts;
mod settle;
mod status;
mod stray;
mod tokens;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::base::{GroupId, Mono, NodeId, Now};
use crate::census::Census;
use crate::records::{Record, Records, RecordsConfig};
use crate::ring::{Awareness, Identity, Profile, Remembered, Ring, RingConfig};

pub use crate::election::GroupRules;
pub use command::{Command, CommandError, Done};
pub use departed::Force;
pub use files::FILES_PER_GROUP_MAX;
pub use groups::ElectionReport;
pub use io::{Input, NodeEvent, Output};
pub use note::Note;
pub use packet::{
    Packet, PacketError, Request, Response, decode_datagram, decode_frame, encode_datagram, encode_frame,
};
pub use revisions::REVISIONS_KEPT;
pub use tokens::TOKENS_MAX;

use groups::Group;
use join::Joining;
use stray::Strays;

/// How a node is set up. The same for its whole life.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Who it is. The generation is higher than any that it used before.
    pub me: Identity,
    /// Which network it is on: sets the paces of the ring and of the leases.
    pub profile: Profile,
    /// Whether peers were named, so that it is expected to find somebody.
    pub has_peers: bool,
    /// How long it looks for somebody before it goes on alone.
    pub join_timeout: Duration,
    /// How far ahead of this node's wall clock a record's stamp may be.
    pub max_clock_skew: Duration,
    /// The source of all its randomness.
    pub seed: u64,
}

/// What a node has from before.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// For how long it was not running, as far as it knows.
    pub away: Duration,
    /// Shared and fenced records.
    pub records: Vec<Record>,
    /// What its elections persisted.
    pub elections: BTreeMap<GroupId, Bytes>,
    /// Members that it knew.
    pub remembered: Vec<Remembered>,
}

/// Where an answer of the shell goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    Ring(u64),
    Records(u64),
}

/// One node of the ring.
pub struct Node {
    me: NodeId,
    config: NodeConfig,
    ring: Ring,
    records: Records,
    census: Census,
    groups: BTreeMap<GroupId, Group>,
    /// Elections whose stored state could not be read: the node has no part in them, lest it breaks a promise.
    unreadable: BTreeMap<GroupId, String>,
    restored_elections: BTreeMap<GroupId, Bytes>,
    joining: Joining,
    leaving: bool,
    /// Who does not let this node in.
    banned: Option<SocketAddr>,
    claims_due: Option<Mono>,
    /// Streams that were opened and are not answered. Bounded by the components, which each have few under way.
    requests: BTreeMap<u64, Asker>,
    next_request: u64,
    /// Writes under way that an election waits for: ours to (group, its own number).
    writes: BTreeMap<u64, (GroupId, u64)>,
    next_write: u64,
    writes_fail: bool,
    next_last_seen: Mono,
    strays: Strays,
    /// Messages that could not be read.
    unread: u64,
    outputs: Vec<Output>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("me", &self.me).field("joining", &self.joining).finish_non_exhaustive()
    }
}

impl Node {
    /// A node that begins at `now`, with what it has from before.
    #[must_use]
    pub fn new(config: NodeConfig, restored: Restored, now: Now) -> Self {
        let me = config.me.id;
        let seeks = config.has_peers || !restored.remembered.is_empty();
        let ring = Ring::new(
            RingConfig {
                me: config.me,
                profile: config.profile,
                seed: config.seed,
                remembered: restored.remembered,
                has_peers: config.has_peers,
                awareness: Awareness::On,
            },
            now,
        );
        let records_config = RecordsConfig { max_clock_skew: config.max_clock_skew, ..RecordsConfig::default() };
        // The components draw from different streams, so that a change in one does not shift the other's.
        let mut records = Records::new(me, records_config, config.seed ^ 0x7265_636f_7264_7300);
        records.restore(now, restored.records, restored.away);
        let mut node = Self {
            me,
            joining: Joining::new(now, seeks, config.join_timeout),
            config,
            ring,
            records,
            census: Census::new(me),
            groups: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            restored_elections: restored.elections,
            leaving: false,
            banned: None,
            claims_due: None,
            requests: BTreeMap::new(),
            next_request: 0,
            writes: BTreeMap::new(),
            next_write: 0,
            writes_fail: false,
            next_last_seen: now.mono,
            strays: Strays::new(now.mono),
            unread: 0,
            outputs: Vec::new(),
        };
        node.start(now);
        node
    }

    /// Takes in something that happened outside, and returns what to do about it.
    #[must_use]
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Output> {
        self.take(now, input);
        self.settle(now);
        std::mem::take(&mut self.outputs)
    }

    /// Carries out a command. The outputs are to be done whether it was refused or not.
    pub fn execute(&mut self, now: Now, command: Command) -> (Result<Done, CommandError>, Vec<Output>) {
        let result = self.carry_out(now, command);
        self.settle(now);
        (result, std::mem::take(&mut self.outputs))
    }

    /// When [`Input::Timer`] is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let groups = self.groups.values().filter_map(Group::deadline);
        [
            self.ring.deadline(),
            self.records.deadline(),
            self.joining.deadline(),
            self.claims_due,
            Some(self.next_last_seen),
            Some(self.strays.deadline()),
        ]
        .into_iter()
        .flatten()
        .chain(groups)
        .min()
    }

    /// What is known of the ring.
    #[must_use]
    pub fn census(&self) -> &Census {
        &self.census
    }

    /// The records, to be counted and compared.
    #[must_use]
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// How much this node keeps, for tests and benchmarks to compare: what grows with the ring, and what is under way.
    pub fn sizes(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let own = [
            ("groups", self.groups.len()),
            ("nodes", self.census.nodes().count()),
            ("requests", self.requests.len()),
            ("writes", self.writes.len()),
            ("strays", self.strays.len()),
        ];
        own.into_iter().chain(self.ring.sizes()).chain(self.records.sizes())
    }

    /// How many messages could not be read: they are of kinds that only newer nodes know, or damaged by whoever made them.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.unread + self.ring.rejected()
    }

    /// How badly this node keeps up: 0 is well, 8 the worst. A starved or paused node doubts itself before others.
    #[must_use]
    pub const fn local_health(&self) -> u8 {
        self.ring.local_health()
    }

    /// Who this node is on the ring now. The generation changes while it lives.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.ring.me()
    }

    /// Whether it has joined and synced, or gave up waiting for that.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.joining.is_over()
    }
}
