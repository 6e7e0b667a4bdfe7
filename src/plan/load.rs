//! Reading a plan's directory.

use std::io;
use std::path::{Path, PathBuf};

use super::complaint::Complaints;
use super::{PLAN_DEPTH, PLAN_FILES, Plan};

/// A directory is not a plan that can be used. Nothing was changed; a retry helps once the plan was.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is no `plan.toml`.
    #[error("{} is not a plan: it has no plan.toml", .0.display())]
    NotAPlan(PathBuf),
    /// A file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is beyond its limit.
    #[error("{} is {bytes} bytes long; at most {limit} are allowed", path.display())]
    TooLarge {
        /// Which one.
        path: PathBuf,
        /// How long it is.
        bytes: u64,
        /// How long it may be.
        limit: u64,
    },
    /// There are too many files.
    #[error("{} has more than {PLAN_FILES} files", .0.display())]
    TooManyFiles(PathBuf),
    /// A directory is too deep.
    #[error("{} is more than {PLAN_DEPTH} directories deep", .0.display())]
    TooDeep(PathBuf),
    /// A symbolic link leads out of the plan.
    #[error("{} is a link to {}, which is outside of the plan; copy the file into it", link.display(), target.display())]
    Outside {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// It is neither a file nor a directory.
    #[error("{} is neither a file nor a directory", .0.display())]
    NotAFile(PathBuf),
    /// A text is not UTF-8.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// What is in a file is wrong.
    #[error("{0}")]
    Wrong(Complaints),
}

impl Plan {
    /// Reads the plan in `dir`.
    ///
    /// # Errors
    /// When it is no plan, breaks a limit, or `plan.toml`, `default.toml` or the schema has mistakes: all of them are
    /// reported.
    pub fn load(dir: &Path) -> Result<Self, PlanError> {
        todo!("{}", dir.display())
    }
}
