//! The files of a group.

use serde::{Deserialize, Serialize};

use super::config::Revision;
use super::time::Time;
use crate::base::{FileName, GroupId, NodeId};

/// A file was put in force, or removed: `PUT /v1/groups/G/files/NAME?expect=REV` with the content as the body,
/// `DELETE` of the same, `POST .../rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileApplied {
    /// The group.
    pub group: GroupId,
    /// The file.
    pub name: FileName,
    /// The new revision; the one that was in force already if nothing changed. Empty if there never was such a file.
    pub revision: String,
    /// The revision that was in force before.
    pub previous: Option<String>,
    /// Whether anything changed.
    pub changed: bool,
}

/// `GET /v1/groups/G/files`: the files in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// The group.
    pub group: GroupId,
    /// One name for all of them, by which to compare what members have; none if there are none.
    #[serde(default)]
    pub revision: Option<String>,
    /// By name.
    pub files: Vec<File>,
}

/// A file in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name.
    pub name: FileName,
    /// The revision in force.
    pub revision: String,
    /// How long it is.
    pub bytes: u64,
    /// When that revision was made.
    pub at: Time,
    /// The node that it was made on.
    pub by: Option<NodeId>,
}

/// `GET /v1/groups/G/files/NAME/history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHistory {
    /// The group.
    pub group: GroupId,
    /// The file.
    pub name: FileName,
    /// The revisions that are kept, the newest first.
    pub revisions: Vec<FileRevision>,
}

/// One revision of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRevision {
    /// Which, and what became of it.
    #[serde(flatten)]
    pub revision: Revision,
    /// How long the file is; none where it was removed.
    pub bytes: Option<u64>,
}
