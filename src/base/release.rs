//! Releases, as the ring names them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::hash::Hash;
use super::limits::VERSION_CHARS;
use super::name::Name;

/// The version of a plan: 1 to [`VERSION_CHARS`] of letters, digits and `. - _ + ~`, not starting with a dot, so that
/// it is safe in a path, a key and a URL. Nothing reads an order into it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(Arc<str>);

/// A text cannot be a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a version is 1 to {VERSION_CHARS} of letters, digits and `.-_+~`, and starts with no dot: not {0:?}")]
pub struct VersionError(String);

impl Version {
    /// The text of the version.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+' | b'~');
        let fits = (1..=VERSION_CHARS).contains(&text.len());
        if fits && text.bytes().all(allowed) && !text.starts_with('.') {
            Ok(Self(text.into()))
        } else {
            Err(VersionError(text.chars().take(VERSION_CHARS + 1).collect()))
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Content that travels in chunks, from whoever has it: too large for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobRef {
    /// The hash over the list of its chunks' hashes.
    pub id: Hash,
    /// How long it is.
    pub bytes: u64,
}

/// A release: a plan's content under its name, and the archive that carries it.
///
/// `manifest` is what it is: two releases with the same one have the same files. `blob` is how to get it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReleaseRef {
    /// Who made the plan; none is `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Name>,
    /// The plan's name.
    pub name: Name,
    /// The plan's version.
    pub version: Version,
    /// The hash of the list of its files: every path, mode, size and hash.
    pub manifest: Hash,
    /// The archive.
    pub blob: BlobRef,
}

/// What a release is, without how to get it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReleaseId {
    /// Who made the plan; none is `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Name>,
    /// The plan's name.
    pub name: Name,
    /// The plan's version.
    pub version: Version,
    /// The hash of the list of its files: every path, mode, size and hash.
    pub manifest: Hash,
}

impl ReleaseId {
    /// The release, with the archive that carries it.
    #[must_use]
    pub fn in_blob(self, blob: BlobRef) -> ReleaseRef {
        let Self { origin, name, version, manifest } = self;
        ReleaseRef { origin, name, version, manifest, blob }
    }
}

impl ReleaseRef {
    /// What the release is.
    #[must_use]
    pub fn id(&self) -> ReleaseId {
        let Self { origin, name, version, manifest, .. } = self.clone();
        ReleaseId { origin, name, version, manifest }
    }
}

impl fmt::Display for ReleaseId {
    /// `NAME/VERSION/HASH`, with `ORIGIN/` before it where it has one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.origin.as_ref().map(|origin| format!("{origin}/")).unwrap_or_default();
        f.pad(&format!("{origin}{}/{}/{}", self.name, self.version, self.manifest.short()))
    }
}

impl fmt::Display for ReleaseRef {
    /// As its [`ReleaseId`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{BlobRef, Hash, ReleaseRef, VERSION_CHARS, Version};

    fn release() -> ReleaseRef {
        ReleaseRef {
            origin: None,
            name: "redis".parse().unwrap(),
            version: "7.2".parse().unwrap(),
            manifest: Hash::from_bytes([0xab; 32]),
            blob: BlobRef { id: Hash::from_bytes([1; 32]), bytes: 5 },
        }
    }

    #[test]
    fn a_release_is_shown_by_its_name_version_and_short_hash() {
        let release = release();
        assert_eq!(release.to_string(), "redis/7.2/abababababab");
        let with_origin = ReleaseRef { origin: Some("core".parse().unwrap()), ..release };
        assert_eq!(with_origin.to_string(), "core/redis/7.2/abababababab");
        assert_eq!(with_origin.id().in_blob(with_origin.blob), with_origin);
    }

    #[test]
    fn a_release_reads_back_as_it_was_written_and_nonsense_does_not() {
        let release = release();
        let json = serde_json::to_string(&release).unwrap();
        assert_eq!(serde_json::from_str::<ReleaseRef>(&json).unwrap(), release);
        let error = serde_json::from_str::<ReleaseRef>(&json.replace("7.2", "../7")).unwrap_err().to_string();
        assert!(error.contains("a version is 1 to 64 of") && error.contains("not \"../7\""), "{error}");
        assert!(serde_json::from_str::<ReleaseRef>(&json.replace("abab", "ab")).is_err());
    }

    #[test]
    fn a_version_is_taken_at_the_limit_and_refused_one_beyond() {
        assert!("1".repeat(VERSION_CHARS).parse::<Version>().is_ok());
        assert!("1".repeat(VERSION_CHARS + 1).parse::<Version>().is_err());
    }

    #[test]
    fn what_could_leave_a_directory_or_a_key_is_no_version() {
        assert!("1.0-rc_1+b~2".parse::<Version>().is_ok());
        for text in ["", ".", "..", ".1", "1/2", "1 2", "1\n", "ü", "1\0", "$(id)"] {
            assert!(text.parse::<Version>().is_err(), "{text:?} was taken for a version");
        }
    }
}
