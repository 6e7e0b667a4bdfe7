//! A record, and which of two versions of it stays.

use std::cmp::Ordering;

use bytes::Bytes;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::key::{Class, Key};
use super::stamp::Stamp;

/// One version of what is known under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is about.
    pub key: Key,
    /// Who wrote it, and when.
    pub stamp: Stamp,
    /// What it says; none for a tombstone: it was deleted.
    #[serde(with = "value_bytes")]
    pub value: Option<Bytes>,
}

impl Record {
    /// Whether this version is later than `other`, a version of the same key. Two versions with one stamp and different
    /// content (a node that was restored from a copy of its disk) are ordered by content, so that all nodes agree.
    #[must_use]
    pub fn beats(&self, other: &Self) -> bool {
        let order = self.stamp.cmp(&other.stamp).then_with(|| self.value.cmp(&other.value));
        order == Ordering::Greater
    }

    /// Whether it is a deletion.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// Whether it is kept on disk: all but what its owner tells again after a restart.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        match self.key.class() {
            Class::Owned(_) => false,
            Class::Shared | Class::Fenced => true,
        }
    }

    /// A hash over all of it, the same on every node.
    pub(super) fn hash(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        // The key's length first, so that no two records feed the same bytes.
        hasher.update(&(self.key.as_str().len() as u64).to_le_bytes());
        hasher.update(self.key.as_str().as_bytes());
        hasher.update(&self.stamp.term.to_le_bytes());
        hasher.update(&self.stamp.time.to_le_bytes());
        hasher.update(self.stamp.node.as_bytes());
        match &self.value {
            None => hasher.update(&[0]),
            Some(value) => hasher.update(&[1]).update(value),
        };
        first_u64(&hasher.finalize())
    }
}

/// The first eight bytes of a hash.
pub(super) fn first_u64(hash: &blake3::Hash) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// `Bytes` as a byte string, not as a sequence of numbers.
mod value_bytes {
    use super::{Bytes, Deserializer, Error, Serializer, Visitor};

    pub(super) fn serialize<S: Serializer>(value: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        struct Raw<'a>(&'a [u8]);
        impl serde::Serialize for Raw<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(self.0)
            }
        }
        match value {
            None => serializer.serialize_none(),
            Some(bytes) => serializer.serialize_some(&Raw(bytes)),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        struct Raw(Bytes);
        impl<'de> serde::Deserialize<'de> for Raw {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Copies;
                impl Visitor<'_> for Copies {
                    type Value = Raw;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("bytes")
                    }
                    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Raw, E> {
                        Ok(Raw(Bytes::copy_from_slice(bytes)))
                    }
                }
                deserializer.deserialize_bytes(Copies)
            }
        }
        let raw = <Option<Raw> as serde::Deserialize>::deserialize(deserializer)?;
        Ok(raw.map(|Raw(bytes)| bytes))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Record;
    use crate::base::NodeId;
    use crate::records::Stamp;

    fn record(value: Option<&'static [u8]>) -> Record {
        let stamp = Stamp { term: 0, time: 77, node: NodeId::from_u128(3) };
        Record { key: "shared/x".parse().unwrap(), stamp, value: value.map(Bytes::from_static) }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        for value in [None, Some(&b""[..]), Some(b"hello")] {
            let bytes = postcard::to_stdvec(&record(value)).unwrap();
            assert_eq!(postcard::from_bytes::<Record>(&bytes).unwrap(), record(value));
        }
    }

    #[test]
    fn a_value_costs_its_bytes_and_little_more() {
        let bytes = postcard::to_stdvec(&record(Some(&[0xff; 1000]))).unwrap();
        assert!(bytes.len() < 1000 + 40, "{} bytes", bytes.len());
    }

    #[test]
    fn a_deletion_and_an_empty_value_differ_in_hash_and_order() {
        let (deleted, empty) = (record(None), record(Some(b"")));
        assert_ne!(deleted.hash(), empty.hash());
        assert!(empty.beats(&deleted) && !deleted.beats(&empty));
        assert!(!empty.beats(&empty));
    }
}
