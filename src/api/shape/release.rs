//! Releases, as they are handed over.

use serde::{Deserialize, Serialize};

use crate::base::Hash;

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
