//! Releases: those of a node, and as they are handed over.

use serde::{Deserialize, Serialize};

use super::time::Time;
use crate::base::{GroupId, Hash};
use crate::plan::ContentFile;
use crate::release::{Kept, Signer, Source};

/// `GET /v1/releases`: the releases of this node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Releases {
    /// By name, and of one name the newest first.
    pub releases: Vec<Release>,
}

/// A release of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its name, `NAME/VERSION/HASH`.
    pub release: String,
    /// The hash of the list of its files.
    pub manifest: Hash,
    /// When it came to this node.
    pub added_at: Time,
    /// How long its files are together.
    pub bytes: u64,
    /// How many files it has.
    pub file_count: usize,
    /// How long its archive is; 0 where it has none.
    pub archive_bytes: u64,
    /// The directory that it is a copy of, made when a service was started from it: only this node has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<String>,
    /// Who signed it, as this node sees it.
    pub signature: Signer,
    /// The groups that run it, are to run it, or may have to go back to it: it is kept for them.
    pub groups: Vec<GroupId>,
    /// Its files; where one release is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<ReleaseFile>>,
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseFile {
    /// Its path below the plan.
    pub path: String,
    /// Its mode: 644 or 755.
    pub mode: String,
    /// How long it is.
    pub bytes: u64,
    /// The hash of what is in it.
    pub hash: Hash,
}

/// `POST /v1/releases/gc`: the releases that nobody needed, and are gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasesRemoved {
    /// Their names.
    pub removed: Vec<String>,
    /// How much room they took, with their archives.
    pub bytes: u64,
}

impl Release {
    /// A release that is kept for these groups.
    #[must_use]
    pub fn of(kept: &Kept, groups: Vec<GroupId>) -> Self {
        Self {
            release: kept.id.to_string(),
            manifest: kept.id.manifest,
            added_at: kept.added.into(),
            bytes: kept.bytes,
            file_count: kept.files,
            archive_bytes: kept.blob().map_or(0, |blob| blob.bytes),
            copy_of: match &kept.source {
                Source::Copy(dir) => Some(dir.display().to_string()),
                Source::Archive(_) => None,
            },
            signature: kept.signer,
            groups,
            files: None,
        }
    }
}

impl From<&ContentFile> for ReleaseFile {
    fn from(file: &ContentFile) -> Self {
        Self {
            path: file.path.display().to_string(),
            mode: file.mode.as_str().to_owned(),
            bytes: file.bytes,
            hash: file.hash,
        }
    }
}

/// `PUT /v1/releases`: the archive is good, and kept on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseAdded {
    /// Its name, `NAME/VERSION/HASH`.
    pub release: String,
    /// The hash of the list of its files, which it is asked for by.
    pub manifest: Hash,
    /// How long the archive is.
    pub bytes: u64,
}
