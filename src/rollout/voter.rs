//! A voter's side: which version of the rollout record this node has on disk.
//!
//! A version that the updater counts as stored must survive this node's crash; so a version is told only after its write.

use super::message::Version;

/// What of a group's rollout record is on disk here.
#[derive(Debug, Default)]
pub struct Voter {
    durable: Version,
    /// Being written, with the number of the write; later ones last.
    pending: Vec<(u64, Version)>,
}

impl Voter {
    /// A node that found this version on its disk.
    #[must_use]
    pub fn restored(durable: Version) -> Self {
        Self { durable, pending: Vec::new() }
    }

    /// What is on disk.
    #[must_use]
    pub fn durable(&self) -> Version {
        self.durable
    }

    /// A version is being written.
    pub fn writing(&mut self, write: u64, version: Version) {
        self.pending.push((write, version));
    }

    /// Whether a version is on disk or on its way there: if not, its write failed.
    #[must_use]
    pub fn has(&self, version: Version) -> bool {
        self.durable >= version || self.pending.iter().any(|(_, pending)| *pending >= version)
    }

    /// A write is on disk, or failed. Returns the version that is on disk now, if it is another than before.
    pub fn written(&mut self, write: u64, ok: bool) -> Option<Version> {
        let at = self.pending.iter().position(|(number, _)| *number == write)?;
        let (_, version) = self.pending.remove(at);
        if !ok || version <= self.durable {
            return None;
        }
        self.durable = version;
        Some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::{Version, Voter};
    use crate::base::Term;

    fn version(step: u64) -> Version {
        Version { term: Term(1), step }
    }

    #[test]
    fn a_version_is_told_once_it_is_on_disk_and_not_when_its_write_failed() {
        let mut voter = Voter::restored(version(1));
        voter.writing(7, version(2));
        assert!(voter.has(version(2)));
        assert_eq!(voter.written(7, false), None);
        assert!(!voter.has(version(2)) && voter.durable() == version(1));
        voter.writing(8, version(2));
        assert_eq!(voter.written(9, true), None);
        assert_eq!(voter.written(8, true), Some(version(2)));
    }

    #[test]
    fn an_earlier_version_that_comes_to_disk_later_takes_nothing_back() {
        let mut voter = Voter::default();
        voter.writing(1, version(1));
        voter.writing(2, version(2));
        assert_eq!(voter.written(2, true), Some(version(2)));
        assert_eq!(voter.written(1, true), None);
        assert_eq!(voter.durable(), version(2));
    }
}
