//! Which content a plan has, in short.

use std::fmt;

use crate::base::Hash;

/// The hash of a plan's [`Content`](super::Content), shown as its first 12 hex digits: the same files have the same
/// release, wherever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release(Hash);

impl Release {
    /// All of the hash.
    #[must_use]
    pub const fn hash(self) -> Hash {
        self.0
    }
}

impl From<Hash> for Release {
    fn from(hash: Hash) -> Self {
        Self(hash)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.short())
    }
}
