//! A disk that loses power, fails to sync, and runs full, for the tests of the store.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;

/// What is written as a whole or not at all.
const SECTORS: [usize; 2] = [512, 4096];

/// Something that was asked of the disk.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
    Sync,
}

/// What happens when an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The sync of this number fails. The pages that it was about count as clean, and are read as they were written.
    SyncKeepsPages(usize),
    /// The same, and the pages are read as the disk has them.
    SyncDropsPages(usize),
    /// From the write of this number on there is no room, for so many.
    Full { from: usize, writes: usize },
}

#[derive(Debug, Default)]
struct Inner {
    /// What is read: the kernel's memory.
    seen: Vec<u8>,
    /// What is there after a power cut, and what may be, in order.
    kept: Vec<u8>,
    dirty: Vec<Op>,
    /// All that was ever asked.
    log: Vec<Op>,
    fault: Option<Fault>,
    syncs: usize,
    writes: usize,
    faults_met: usize,
}

/// The disk; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct FaultyDisk(Arc<Mutex<Inner>>);

impl FaultyDisk {
    /// A disk with this on it.
    pub(super) fn with(bytes: Vec<u8>) -> Self {
        let inner = Inner { seen: bytes.clone(), kept: bytes, ..Inner::default() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Plans a fault: operations are counted from now on.
    pub(super) fn plan(&self, fault: Fault) {
        let mut inner = self.inner();
        (inner.fault, inner.syncs, inner.writes) = (Some(fault), 0, 0);
    }

    /// How many operations failed.
    pub(super) fn faults_met(&self) -> usize {
        self.inner().faults_met
    }

    /// How much was asked so far.
    pub(super) fn operations(&self) -> usize {
        self.inner().log.len()
    }

    /// All that was asked.
    pub(super) fn log(&self) -> Vec<Op> {
        self.inner().log.clone()
    }

    /// What is there if the power goes now.
    pub(super) fn cut(&self, seed: u64) -> Vec<u8> {
        let inner = self.inner();
        survivors(&inner.kept, &inner.dirty, seed)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

/// What is left of `kept` and of what was written after that and not synced.
pub(super) fn survivors(kept: &[u8], dirty: &[Op], seed: u64) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut bytes = kept.to_vec();
    for op in dirty {
        match (rng.random_range(0..3), op) {
            (0, _) | (_, Op::Sync) => {}
            (1, op) | (_, op @ Op::Length(_)) => apply(&mut bytes, op),
            (_, Op::Write { at, bytes: written }) => {
                let sector = SECTORS[rng.random_range(0..SECTORS.len())];
                let mut from = 0;
                while from < written.len() {
                    // To the end of the sector in which it begins.
                    let to = (from + sector - (at + from) % sector).min(written.len());
                    if rng.random_bool(0.5) {
                        apply(&mut bytes, &Op::Write { at: at + from, bytes: written[from..to].to_vec() });
                    }
                    from = to;
                }
            }
        }
    }
    bytes
}

/// Does it, as if nothing could go wrong.
pub(super) fn apply(bytes: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write { at, bytes: written } => {
            let end = at + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(written);
        }
        Op::Length(length) => bytes.resize(*length, 0),
        Op::Sync => {}
    }
}

impl Inner {
    fn change(&mut self, op: Op) -> io::Result<()> {
        self.writes += 1;
        if let Some(Fault::Full { from, writes }) = self.fault
            && (from..from + writes).contains(&self.writes)
        {
            self.faults_met += 1;
            if let Op::Write { at, bytes } = op {
                let half = Op::Write { at, bytes: bytes[..bytes.len() / 2].to_vec() };
                apply(&mut self.seen, &half);
                self.dirty.push(half);
            }
            return Err(io::ErrorKind::StorageFull.into());
        }
        apply(&mut self.seen, &op);
        self.dirty.push(op.clone());
        self.log.push(op);
        Ok(())
    }
}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inner().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (inner, at) = (self.inner(), usize::try_from(offset).unwrap());
        let found = inner.seen.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner().change(Op::Length(usize::try_from(len).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.inner();
        inner.syncs += 1;
        let dirty = std::mem::take(&mut inner.dirty);
        let number = inner.syncs;
        match inner.fault {
            Some(Fault::SyncKeepsPages(at) | Fault::SyncDropsPages(at)) if at == number => {
                inner.faults_met += 1;
                inner.kept = survivors(&inner.kept, &dirty, number as u64);
                if inner.fault == Some(Fault::SyncDropsPages(at)) {
                    inner.seen = inner.kept.clone();
                }
                Err(io::Error::from_raw_os_error(nix::libc::EIO))
            }
            _ => {
                for op in &dirty {
                    apply(&mut inner.kept, op);
                }
                inner.log.push(Op::Sync);
                Ok(())
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner().change(Op::Write { at: usize::try_from(offset).unwrap(), bytes: data.to_vec() })
    }
}
