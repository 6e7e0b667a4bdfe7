//! What nodes say to each other about records, and what [`super::Records`] asks of its surroundings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::key::Key;
use super::record::Record;
use super::stamp::Stamp;
use crate::base::NodeId;

/// A message that may be lost: repair makes up for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordsDatagram {
    /// Here are new records.
    New(Vec<Record>),
    /// There are new records, too large for a datagram: fetch those that you lack from me.
    Offer(Vec<(Key, Stamp)>),
    /// The hash over all that I know: ask for a repair if yours is another one.
    Root(u64),
}

/// A question on a stream; every one has exactly one answer, and the asked keeps nothing between two of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordsRequest {
    /// Send me these: the answer to an offer.
    Fetch(Vec<Key>),
    /// First step of a repair: the hashes of my branches.
    Branches {
        /// One hash per branch.
        hashes: Vec<u64>,
    },
    /// Second step: all that I have in these leaves.
    Compare {
        /// The leaves, ascending.
        leaves: Vec<u16>,
        /// Everything that I have in them.
        entries: Vec<Entry>,
        /// Whether I was here all along, so that what I have not is not.
        current: bool,
    },
    /// Third step: what you wanted.
    Push(Vec<Record>),
}

/// What a node has under a key, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Its stamp.
    pub stamp: Stamp,
    /// Part of its hash: tells two contents with one stamp apart.
    pub tag: u16,
}

/// The answer to a [`RecordsRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordsResponse {
    /// To `Fetch`: what of it is here.
    Records(Vec<Record>),
    /// To `Branches`: the leaves of the branches that differ.
    Leaves {
        /// The branches that differ, ascending.
        branches: Vec<u8>,
        /// All of my leaves in them that are not empty, with their hashes.
        leaves: Vec<(u16, u64)>,
        /// Whether I was here all along, so that what I have not is not.
        current: bool,
    },
    /// To `Compare`.
    Differences {
        /// What you lack.
        records: Vec<Record>,
        /// What I lack.
        wanted: Vec<Key>,
        /// Keys that you have from long ago, and I have not: deleted before the deletion was forgotten.
        unknown: Vec<Key>,
        /// The first leaf that did not fit this answer: ask again from there.
        next: Option<u16>,
        /// Whether I was here all along, so that what I have not is not.
        current: bool,
    },
    /// To `Push`: taken.
    Pushed,
}

/// What [`super::Records`] wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordsAction {
    /// Send a datagram.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        msg: RecordsDatagram,
    },
    /// Ask on a stream, and hand in the answer, or that there is none.
    Request {
        /// Names the answer.
        request: u64,
        /// Whom.
        to: NodeId,
        /// What.
        msg: RecordsRequest,
    },
    /// Store these (shared and fenced records only).
    Persist(Vec<Record>),
    /// Forget these in the store.
    Unpersist(Vec<Key>),
    /// What can be read under these keys changed.
    Changed(Vec<Key>),
    /// A record was not taken. Said at most once a minute for one writer and reason.
    Refused {
        /// Its key.
        key: Key,
        /// Whose stamp it has.
        from: NodeId,
        /// Why.
        why: RefusedWhy,
    },
    /// The repair that was asked for with this member is complete.
    Synced(NodeId),
    /// The repair that was asked for with this member broke off. What was exchanged until then is kept.
    SyncFailed(NodeId),
}

/// Why a record of another node was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum RefusedWhy {
    /// Its writer's clock is further ahead than is tolerated (or ours is behind).
    #[error("its stamp is {} s ahead of this node's clock: check the clocks of both (is NTP running?)", .0.as_secs())]
    AheadOfClock(Duration),
    /// The key is owned by a node, and another one wrote it.
    #[error("only the owner of the key may write it")]
    NotOwner,
    /// The key is not fenced, and the stamp has a term.
    #[error("only fenced keys have terms")]
    TermOnUnfenced,
    /// The value is larger than [`crate::base::limits::RECORD_VALUE_BYTES`].
    #[error("its value of {0} bytes is too large")]
    ValueTooLarge(usize),
    /// Its owner has as many records as one node may have.
    #[error("its owner has as many records as a node may have")]
    OwnerFull,
    /// There are as many records as a ring may have.
    #[error("the ring has as many records as it may have")]
    RingFull,
}

/// Why a record of this node was not taken. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The key is owned by another node.
    #[error("{0} belongs to another node")]
    NotOwner(Key),
    /// The value is too large.
    #[error("the value of {key} has {len} bytes: at most {} are allowed", crate::base::limits::RECORD_VALUE_BYTES)]
    ValueTooLarge {
        /// The key.
        key: Key,
        /// The value's length.
        len: usize,
    },
    /// A term was given for a key that has none.
    #[error("{0} is not fenced, and takes no term")]
    TermOnUnfenced(Key),
    /// Somebody wrote it under a higher term.
    #[error("{key} was written under term {newest} already")]
    Fenced {
        /// The key.
        key: Key,
        /// The term that it was written under.
        newest: u64,
    },
    /// A limit on the number of records is reached.
    #[error("{key} does not fit: there are {limit} records already")]
    Full {
        /// The key.
        key: Key,
        /// The limit.
        limit: usize,
    },
}
