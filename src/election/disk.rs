//! What is on its way to the disk. Every write carries all of the state, so the latest one is the only one that counts.

use crate::base::Mono;

/// The writes of one election.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Disk {
    /// The latest write that was asked for.
    last: u64,
    /// The latest one that is on disk.
    done: u64,
    health: Health,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Health {
    #[default]
    Fine,
    /// A write failed, and none has succeeded since; another is tried then.
    Failing { retry_at: Mono },
}

/// When something may be told that rests on what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tellable {
    Now,
    /// When this write is on disk.
    After(u64),
    /// Not at all: the disk takes no writes.
    Never,
}

impl Disk {
    /// The number of a new write.
    pub(super) fn begin(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// A write is on disk, or could not be written.
    pub(super) fn finished(&mut self, write: u64, ok: bool, retry_at: Mono) {
        if ok {
            self.done = self.done.max(write);
            self.health = Health::Fine;
        } else if write > self.done {
            self.health = Health::Failing { retry_at };
        }
    }

    pub(super) const fn is_failing(&self) -> bool {
        matches!(self.health, Health::Failing { .. })
    }

    pub(super) const fn is_on_disk(&self, write: u64) -> bool {
        write <= self.done
    }

    /// When a failed write is to be tried again.
    pub(super) const fn retry_at(&self) -> Option<Mono> {
        match self.health {
            Health::Fine => None,
            Health::Failing { retry_at } => Some(retry_at),
        }
    }

    /// Another try is under way.
    pub(super) fn retrying(&mut self, retry_at: Mono) {
        self.health = Health::Failing { retry_at };
    }

    pub(super) const fn tellable(&self) -> Tellable {
        match self.health {
            Health::Failing { .. } => Tellable::Never,
            Health::Fine if self.last > self.done => Tellable::After(self.last),
            Health::Fine => Tellable::Now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_waits_for_the_latest_write() {
        let mut disk = Disk::default();
        assert_eq!(disk.tellable(), Tellable::Now);
        let (first, second) = (disk.begin(), disk.begin());
        assert_eq!(disk.tellable(), Tellable::After(second));
        disk.finished(first, true, Mono(0));
        assert_eq!(disk.tellable(), Tellable::After(second));
        disk.finished(second, true, Mono(0));
        assert_eq!(disk.tellable(), Tellable::Now);
    }

    #[test]
    fn after_a_failed_write_nothing_is_told_until_a_later_one_succeeds() {
        let mut disk = Disk::default();
        let first = disk.begin();
        disk.finished(first, false, Mono(9));
        assert_eq!((disk.tellable(), disk.retry_at()), (Tellable::Never, Some(Mono(9))));
        let second = disk.begin();
        assert_eq!(disk.tellable(), Tellable::Never);
        disk.finished(second, true, Mono(9));
        assert_eq!(disk.tellable(), Tellable::Now);
        assert!(disk.is_on_disk(first), "the later write carries all that the earlier one did");
    }
}
