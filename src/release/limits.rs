//! How large a release may be.

use crate::plan::Content;

/// How large a release may be, at most, to be packed and to be unpacked. It has no more files than a plan may have
/// ([`PLAN_FILES`](crate::plan::PLAN_FILES)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long all its files may be together. Nothing is written of an archive that announces more, nor more than it
    /// announces: a few kilobytes that would unpack to terabytes do not.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1024 * 1024 * 1024 }
    }
}

impl Limits {
    /// How much too long the files are, if they are: what they are, and what they may be.
    pub(super) fn exceeded_by(self, content: &Content) -> Option<(u64, u64)> {
        let bytes = content.bytes();
        (bytes > self.bytes).then_some((bytes, self.bytes))
    }
}
