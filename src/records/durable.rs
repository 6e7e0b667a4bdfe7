//! What a node keeps on disk: the words in which the core asks for it, and gets it back.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::key::Key;
use super::record::Record;
use crate::base::{GroupId, NodeId, Wall};
pub use crate::ring::Remembered;

/// One thing to store. A batch of them is stored whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// The identity's generation.
    Generation(u64),
    /// The members worth remembering, instead of those stored before.
    Remembered(Vec<Remembered>),
    /// Records, each instead of the one of the same key.
    Records(Vec<Record>),
    /// Records to forget.
    DropRecords(Vec<Key>),
    /// A group's promises and council.
    Election {
        /// The group.
        group: GroupId,
        /// The election's own encoding of them.
        state: Bytes,
    },
    /// The node runs at this time: says after a restart for how long it was away.
    LastSeen(Wall),
}

/// What was stored before the node started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Who this node is.
    pub node_id: NodeId,
    /// The generation to run with: higher than that of any run before, and stored already.
    pub generation: u64,
    /// Members that were known.
    pub remembered: Vec<Remembered>,
    /// Shared and fenced records.
    pub records: Vec<Record>,
    /// Promises and councils, in the election's own encoding.
    pub elections: BTreeMap<GroupId, Bytes>,
    /// When it last ran; none if that is not known.
    pub last_seen: Option<Wall>,
}
