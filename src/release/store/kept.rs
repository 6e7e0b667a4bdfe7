//! What is known of a release that is here.

use std::cmp::Reverse;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::base::{BlobRef, Hash, Name, ReleaseId, ReleaseRef, Version, Wall};
use crate::plan::Content;
use crate::release::sign::PublicKey;
use crate::release::trust::{Signer, Trust};

/// A release that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which one.
    pub id: ReleaseId,
    /// Where it came from.
    pub source: Source,
    /// Who signed it, as this node sees it now.
    pub signer: Signer,
    /// When it came.
    pub added: Wall,
    /// How long its files are together.
    pub bytes: u64,
    /// How many files it has.
    pub files: usize,
}

/// Where a release came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From this archive, which is kept for others to fetch.
    Archive(BlobRef),
    /// It is a copy of what was in this directory of this node. Nobody else can fetch it.
    Copy(PathBuf),
}

impl Kept {
    /// The release as it can be asked for of this node; none if it never was an archive.
    #[must_use]
    pub fn release(&self) -> Option<ReleaseRef> {
        self.blob().map(|blob| self.id.clone().in_blob(blob))
    }

    /// The archive, if it came in one.
    #[must_use]
    pub const fn blob(&self) -> Option<BlobRef> {
        match self.source {
            Source::Archive(blob) => Some(blob),
            Source::Copy(_) => None,
        }
    }

    /// What it is a version of: releases of one line replace each other.
    pub(super) fn line(&self) -> (Option<Name>, Name) {
        (self.id.origin.clone(), self.id.name.clone())
    }

    /// Orders releases by when they came. Those of one moment have some order, the same each time.
    pub(super) const fn recency(&self) -> (Wall, Reverse<Hash>) {
        (self.added, Reverse(self.id.manifest))
    }
}

/// What is written of a release beside its plan.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    added_ms: u64,
    bytes: u64,
    files: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_by: Option<PublicKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    copy_of: Option<PathBuf>,
    release: ReleaseId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blob: Option<BlobRef>,
}

impl Record {
    pub(super) fn new(id: &ReleaseId, content: &Content, signer: Signer, source: &Source, now: Wall) -> Self {
        let (blob, copy_of) = match source {
            Source::Archive(blob) => (Some(*blob), None),
            Source::Copy(dir) => (None, Some(dir.clone())),
        };
        Self {
            added_ms: now.0,
            bytes: content.bytes(),
            files: content.files().len(),
            signed_by: match signer {
                Signer::Nobody => None,
                Signer::Trusted { key } | Signer::Unknown { key } => Some(key),
            },
            copy_of,
            release: id.clone(),
            blob,
        }
    }

    /// Reads one; none if there is none that can be read: the release is fetched again then.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let read = toml::from_str(&text);
        if let Err(error) = &read {
            warn!(path = %path.display(), %error, "cannot read what is known of a release");
        }
        read.ok()
    }

    pub(super) fn text(&self) -> io::Result<String> {
        toml::to_string(self).map_err(io::Error::other)
    }

    /// The release, if it is the one that its place says.
    pub(super) fn kept(self, release: Hash, trust: &Trust) -> Option<Kept> {
        let Self { added_ms, bytes, files, signed_by, copy_of, release: id, blob } = self;
        let source = match (blob, copy_of) {
            (Some(blob), _) => Source::Archive(blob),
            (None, Some(dir)) => Source::Copy(dir),
            (None, None) => return None,
        };
        (id.manifest == release).then(|| Kept {
            id,
            source,
            signer: trust.signer(signed_by),
            added: Wall(added_ms),
            bytes,
            files,
        })
    }
}

/// The first difference between two lists of files, for a person.
pub(super) fn difference(listed: &Content, found: &Content) -> Option<String> {
    let file_of = |content: &Content, path: &Path| content.files().iter().find(|file| file.path == path).cloned();
    for file in listed.files() {
        let shown = file.path.display();
        match file_of(found, &file.path) {
            None => return Some(format!("{shown} is missing")),
            Some(other) if other.hash != file.hash => return Some(format!("{shown} has another content")),
            Some(other) if other.mode != file.mode => return Some(format!("{shown} has another mode")),
            Some(_) => {}
        }
    }
    let more = found.files().iter().find(|file| file_of(listed, &file.path).is_none())?;
    Some(format!("{} is not of it", more.path.display()))
}

/// Which release is meant, as people and programs say it: `HASH`, or `[ORIGIN/]NAME/VERSION/HASH`. Of the hash, its
/// first digits will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    origin: Option<Name>,
    named: Option<(Name, Version)>,
    digits: String,
}

/// A text does not say which release is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a release is named by its hash or as NAME/VERSION/HASH, with {FEWEST_DIGITS} to 64 hex digits, not {0:?}")]
pub struct QueryError(String);

/// The fewest digits of a hash that say which release is meant.
const FEWEST_DIGITS: usize = 4;

impl Query {
    /// Whether this release is meant.
    #[must_use]
    pub fn means(&self, release: &ReleaseId) -> bool {
        let name = |(name, version): &(Name, Version)| *name == release.name && *version == release.version;
        let origin = self.origin.is_none() || self.origin == release.origin;
        origin && self.named.as_ref().is_none_or(name) && release.manifest.to_string().starts_with(&self.digits)
    }
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || QueryError(text.chars().take(160).collect());
        let mut parts = text.rsplit('/');
        let digits = parts.next().unwrap_or_default().to_owned();
        let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex || !(FEWEST_DIGITS..=64).contains(&digits.len()) {
            return Err(error());
        }
        let named = match (parts.next(), parts.next()) {
            (None, _) => None,
            (Some(_), None) => return Err(error()),
            (Some(version), Some(name)) => {
                Some((name.parse().map_err(|_| error())?, version.parse().map_err(|_| error())?))
            }
        };
        let origin = parts.next().map(str::parse).transpose().map_err(|_| error())?;
        if parts.next().is_some() {
            return Err(error());
        }
        Ok(Self { origin, named, digits })
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}/")?;
        }
        if let Some((name, version)) = &self.named {
            write!(f, "{name}/{version}/")?;
        }
        f.write_str(&self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::{Query, ReleaseId};
    use crate::base::Hash;

    #[test]
    fn a_release_is_found_by_its_hash_or_by_all_of_its_name() {
        let release = ReleaseId {
            origin: Some("core".parse().unwrap()),
            name: "redis".parse().unwrap(),
            version: "7.2".parse().unwrap(),
            manifest: Hash::from_bytes([0xab; 32]),
        };
        let means = |text: &str| text.parse::<Query>().unwrap().means(&release);
        let full = release.manifest.to_string();
        for text in ["abab", "redis/7.2/abababababab", "core/redis/7.2/abababababab", full.as_str()] {
            assert!(means(text), "{text}");
            assert_eq!(text.parse::<Query>().unwrap().to_string(), text);
        }
        for text in ["abac", "redis/7.3/abab", "nginx/7.2/abab", "acme/redis/7.2/abab"] {
            assert!(!means(text), "{text}");
        }
        for text in ["", "aba", "ABAB", "7.2/abab", "redis//abab", "x/core/redis/7.2/abab", "../../abab", "redis/7.2/"]
        {
            assert!(text.parse::<Query>().is_err(), "{text:?} was taken");
        }
        assert!(format!("{full}a").parse::<Query>().is_err());
    }
}
