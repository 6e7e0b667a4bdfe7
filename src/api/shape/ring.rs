//! The keys of the ring, and what can be done with them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::action::Scope;
use super::node::MemberState;
use crate::base::{NodeId, RingName};
use crate::net::{KeyId, RingKey};

/// `GET /v1/ring/keys`: which node has which keys of the ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingKeys {
    /// The ring.
    pub ring: RingName,
    /// The nodes of the ring that are not gone for good, the one that answers first.
    pub nodes: Vec<NodeKeys>,
}

/// The keys of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeKeys {
    /// Which node.
    pub node_id: NodeId,
    /// Where it is reached.
    pub address: String,
    /// Whether it answers.
    pub state: MemberState,
    /// The keys that it has: any of them opens what it receives.
    pub keys: Vec<KeyId>,
    /// The key that it seals with what it sends; none: it sends clear text.
    pub in_use: Option<KeyId>,
    /// Whether it takes clear text.
    pub takes_clear_text: bool,
    /// Why it could not be asked, or did not do what it was asked for.
    pub problem: Option<String>,
}

/// What came of a change of keys: how each node stands after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysChanged {
    /// The key that it was about.
    pub key: KeyId,
    /// Whether all that were asked have done it.
    pub complete: bool,
    /// The nodes that were asked, the one that answers first.
    pub nodes: Vec<NodeKeys>,
}

/// `POST /v1/ring/keys/install`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInstall {
    /// The key.
    pub key: KeyText,
    /// Here, or on all members.
    pub scope: Scope,
}

/// `POST /v1/ring/keys/use` and `/v1/ring/keys/remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOrder {
    /// Which key.
    pub key: KeyId,
    /// Here, or on all members.
    pub scope: Scope,
    /// Whether to do it although it would cut somebody off.
    #[serde(default)]
    pub force: bool,
}

/// `GET /v1/ring/keys/ID`, through the local socket only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyShown {
    /// What it is called.
    pub id: KeyId,
    /// The key itself.
    pub key: KeyText,
}

/// A key itself. It is in no log: what is printed of it to look for mistakes is its id.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(pub RingKey);

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for KeyText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.text())
    }
}

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = zeroize::Zeroizing::new(String::deserialize(deserializer)?);
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyInstall, KeyText};
    use crate::api::shape::Scope;
    use crate::net::RingKey;

    #[test]
    fn a_request_reads_back_and_what_is_printed_of_it_is_no_key() {
        let request = KeyInstall { key: KeyText(RingKey::from_bytes([0xab; 32])), scope: Scope::Everywhere };
        let text = serde_json::to_string(&request).unwrap();
        assert!(text.contains("abab"));
        assert_eq!(serde_json::from_str::<KeyInstall>(&text).unwrap(), request);
        assert!(!format!("{request:?}").contains("abab"));
        let error = serde_json::from_str::<KeyInstall>(&text.replace("abab", "abax")).unwrap_err().to_string();
        assert!(!error.contains("aba"), "{error}");
    }
}
