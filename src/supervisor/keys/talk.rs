//! What nodes say to each other about keys, over streams that are sealed with one of them.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::KeyChange;
use crate::base::NodeId;
use crate::net::{KeyId, KeySet, RingKey};

/// What is asked of another node. New kinds are added at the end: who does not know one does not answer.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::supervisor) enum KeyRequest {
    /// Which keys it has.
    List,
    /// To install this one.
    Install([u8; 32]),
    /// To use this one.
    Use(KeyId),
    /// To take no clear text any more.
    Close,
    /// To remove this one.
    Remove(KeyId),
}

/// How a node's keys stand, after what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct KeyAnswer {
    /// Which node it is.
    pub node: NodeId,
    /// The keys that it has.
    pub installed: Vec<KeyId>,
    /// The one that it seals with.
    pub in_use: Option<KeyId>,
    /// Whether it takes clear text.
    pub takes_clear_text: bool,
    /// Why it did not do what was asked.
    pub problem: Option<String>,
}

impl KeyAnswer {
    pub(super) fn of(node: NodeId, keys: &KeySet) -> Self {
        Self {
            node,
            installed: keys.installed().collect(),
            in_use: keys.in_use(),
            takes_clear_text: keys.takes_clear_text(),
            problem: None,
        }
    }
}

impl KeyRequest {
    /// The change that is asked for, if any.
    pub(super) fn change(&self) -> Option<KeyChange> {
        match self {
            Self::List => None,
            Self::Install(key) => Some(KeyChange::Install(RingKey::from_bytes(*key))),
            Self::Use(id) => Some(KeyChange::Use(*id)),
            Self::Close => Some(KeyChange::Close),
            Self::Remove(id) => Some(KeyChange::Remove(*id)),
        }
    }
}

impl From<&KeyChange> for KeyRequest {
    fn from(change: &KeyChange) -> Self {
        match change {
            KeyChange::Install(key) => Self::Install(*key.as_bytes()),
            KeyChange::Use(id) => Self::Use(*id),
            KeyChange::Close => Self::Close,
            KeyChange::Remove(id) => Self::Remove(*id),
        }
    }
}

/// How a message is written down. None: it cannot be, which only happens to what was made wrong.
pub(in crate::supervisor) fn encode<T: Serialize>(message: &T) -> Option<Bytes> {
    postcard::to_stdvec(message).ok().map(Bytes::from)
}

/// Reads a message. What follows it are fields that a newer node added at its end.
pub(in crate::supervisor) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::take_from_bytes(bytes).ok().map(|(message, _)| message)
}
