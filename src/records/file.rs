//! What is said of uploaded files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::limits::FILE_INLINE_BYTES;
use crate::base::{BlobRef, NodeId, Wall};

/// One revision of a file of a group (key [`super::Key::file`]). The current one is the one with the newest stamp.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileRevision {
    /// One more than the parent's.
    pub sequence: u64,
    /// The revision that this one was made from; none for the first. Two revisions with one parent were uploaded at
    /// the same time on two sides: the older is superseded.
    pub parent: Option<String>,
    /// What is in the file.
    pub content: FileContent,
    /// When it was uploaded.
    pub at: Wall,
    /// The node that it was uploaded to.
    pub by: Option<NodeId>,
    /// What it is, for a person: `upload`, `rollback to 3-1a2b3c4d`, `remove`.
    pub action: String,
}

/// What is in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileContent {
    /// There is no file (any more).
    #[default]
    Removed,
    /// This.
    Inline(InlineBytes),
    /// What is in this blob.
    Blob(BlobRef),
}

impl FileContent {
    /// How long the file is; none if there is none.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        match self {
            Self::Removed => None,
            Self::Inline(content) => Some(content.0.len() as u64),
            Self::Blob(blob) => Some(blob.bytes),
        }
    }
}

/// Content that is small enough for a record: at most [`FILE_INLINE_BYTES`]. In JSON it is base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineBytes(Bytes);

impl InlineBytes {
    /// None: it is too large for a record.
    #[must_use]
    pub fn new(content: Bytes) -> Option<Self> {
        (content.len() <= FILE_INLINE_BYTES).then_some(Self(content))
    }

    /// The content.
    #[must_use]
    pub const fn get(&self) -> &Bytes {
        &self.0
    }
}

impl Serialize for InlineBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for InlineBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let content = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Self::new(content.into()).ok_or_else(|| serde::de::Error::custom("it is too large for a record"))
    }
}

#[cfg(test)]
mod tests {
    use super::{FileContent, FileRevision, InlineBytes};
    use crate::base::limits::{FILE_INLINE_BYTES, RECORD_VALUE_BYTES};
    use crate::base::{BlobRef, Hash, NodeId, Wall};
    use crate::records::value::encode;

    fn revision(content: FileContent) -> FileRevision {
        FileRevision {
            sequence: u64::MAX,
            parent: Some("x".repeat(64)),
            content,
            at: Wall(u64::MAX),
            by: Some(NodeId::from_u128(u128::MAX)),
            action: format!("rollback to {}", "x".repeat(64)),
        }
    }

    #[test]
    fn content_at_the_limit_fits_a_record_and_one_beyond_is_none() {
        let largest = InlineBytes::new(vec![0xff; FILE_INLINE_BYTES].into()).unwrap();
        let value = encode(&revision(FileContent::Inline(largest))).unwrap();
        assert!(value.len() <= RECORD_VALUE_BYTES, "{}", value.len());
        assert_eq!(InlineBytes::new(vec![0; FILE_INLINE_BYTES + 1].into()), None);
    }

    #[test]
    fn each_content_reads_back_as_it_was_written() {
        let blob = BlobRef { id: Hash::of(b"x"), bytes: 7 };
        let inline = InlineBytes::new(b"\0\xff".to_vec().into()).unwrap();
        for content in [FileContent::Removed, FileContent::Blob(blob), FileContent::Inline(inline)] {
            let revision = revision(content);
            let written = encode(&revision).unwrap();
            assert_eq!(serde_json::from_slice::<FileRevision>(&written).unwrap(), revision);
        }
        assert!(serde_json::from_str::<FileRevision>(r#"{"content":{"inline":"no base64!"}}"#).is_err());
    }
}
