//! Why a release cannot be packed or unpacked.

use std::io;
use std::path::PathBuf;

use super::trust::TrustError;
use crate::base::{Hash, ReleaseId};
use crate::plan::{Complaints, ContentError, PathError, PlanError};

/// A directory cannot be packed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It is no plan, or one with mistakes.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It is a plan that fails its check.
    #[error("{0}")]
    Check(Complaints),
    /// A file's path cannot be one of a release.
    #[error("cannot pack {path:?}")]
    Path {
        /// The path below the plan.
        path: PathBuf,
        /// Why not.
        #[source]
        source: PathError,
    },
    /// It is too large.
    #[error("its files have {bytes} bytes together; a release has at most {limit}")]
    TooLarge {
        /// How long they are.
        bytes: u64,
        /// How long they may be.
        limit: u64,
    },
    /// A file was written to meanwhile.
    #[error("{} changed while it was read; repeat this once nothing writes to it", .0.display())]
    Changed(PathBuf),
    /// The archive would lie in the plan: the next one would have it in it.
    #[error("{} is in the plan itself; name a file elsewhere by -o", .0.display())]
    InsidePlan(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// An archive is refused, or cannot be unpacked. Nothing is left of it on the disk. Unless it could not be read or
/// written, no retry with the same archive helps.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is no archive at all.
    #[error("it is no release archive: it is not compressed by zstd")]
    NotAnArchive,
    /// It is some other archive.
    #[error("it is no release archive: {0}")]
    NotARelease(String),
    /// A newer version wrote it.
    #[error("it has the format {0}, and this version of sup reads the format 1; install a newer one")]
    Format(i64),
    /// What it says of itself is nonsense.
    #[error("what it says of itself is not valid: {0}")]
    Label(String),
    /// It ends too early.
    #[error("it is truncated: it ends within {entry}")]
    Truncated {
        /// What was being read.
        entry: String,
    },
    /// Its compression is damaged, or it asks for too much memory.
    #[error("it cannot be decompressed; it is damaged at {entry}")]
    Damaged {
        /// What was being read.
        entry: String,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// A header or what fills up an entry is not as it is written.
    #[error("it is damaged: the header of {entry} is not as it is written")]
    Header {
        /// Which entry, or where.
        entry: String,
    },
    /// Its list of files is not valid.
    #[error("its list of files is not valid")]
    List(#[source] ContentError),
    /// Its list of files is another release's.
    #[error("it is the release {found}, not {expected}", found = found.short(), expected = expected.short())]
    OtherRelease {
        /// What was to be unpacked.
        expected: Hash,
        /// What it is.
        found: Hash,
    },
    /// It announces more than is taken.
    #[error("it would unpack to {bytes} bytes; at most {limit} are taken")]
    TooLarge {
        /// How much it announces.
        bytes: u64,
        /// How much is taken.
        limit: u64,
    },
    /// One of its parts is longer than it can be.
    #[error("{entry} is {bytes} bytes long; at most {limit} are taken")]
    EntryTooLarge {
        /// Which one.
        entry: String,
        /// How long it is.
        bytes: u64,
        /// How long it may be.
        limit: u64,
    },
    /// Its signature is not one of it.
    #[error("its signature is wrong: it was tampered with, or signed with another key than it says")]
    Signature,
    /// It is not signed as this node asks for.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// An entry is no file.
    #[error("{entry:?} is {kind}; a release has files only")]
    Kind {
        /// Which one.
        entry: String,
        /// What it is.
        kind: String,
    },
    /// An entry's path must not be written to.
    #[error("the path {entry:?} is refused")]
    Path {
        /// The path.
        entry: String,
        /// Why.
        #[source]
        source: PathError,
    },
    /// A file is not in the list.
    #[error("{entry:?} is not in its list of files")]
    NotListed {
        /// Which one.
        entry: String,
    },
    /// A file comes twice.
    #[error("{entry:?} comes twice")]
    Duplicate {
        /// Which one.
        entry: String,
    },
    /// A file that is in the list is not there.
    #[error("{entry:?} is in its list of files, and missing")]
    Missing {
        /// Which one.
        entry: String,
    },
    /// A file is not as long as the list says, or has another mode.
    #[error("{entry:?} has {found}; its list of files says {listed}")]
    Differs {
        /// Which one.
        entry: String,
        /// What it has.
        found: String,
        /// What it should have.
        listed: String,
    },
    /// What is in a file is not what the list says.
    #[error("{entry:?} was tampered with: its content is not what its list of files says")]
    Tampered {
        /// Which one.
        entry: String,
    },
    /// Something comes after the end.
    #[error("something comes after its end")]
    Garbage,
    /// What was unpacked is no plan that can be used.
    #[error("its plan is not valid")]
    Plan(#[source] PlanError),
    /// Its `plan.toml` is another plan's than it says.
    #[error("it says that it is {said}, and its plan.toml that it is {found}")]
    OtherPlan {
        /// What it says.
        said: Box<ReleaseId>,
        /// What it is.
        found: Box<ReleaseId>,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}
