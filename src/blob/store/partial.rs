//! A blob of which chunks are missing.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use super::{BlobStore, read_list};
use crate::base::{BlobRef, Hash};
use crate::blob::error::BlobError;
use crate::blob::list::ChunkList;
use crate::blob::set::ChunkSet;

/// A blob that somebody goes on with.
#[derive(Debug)]
pub(super) struct Partial {
    pub list: Arc<ChunkList>,
    pub file: Arc<File>,
    /// The chunks that are in the file, each of them checked.
    pub have: ChunkSet,
}

/// What there is of a blob.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::blob) enum Found {
    /// All of it.
    Whole,
    /// Its list of chunks, and perhaps some chunks.
    Partial,
    /// Nothing.
    Nothing,
}

/// What became of a chunk.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::blob) enum Taken {
    /// It was missing, and is written now.
    New,
    /// It was there already.
    Known,
    /// It is not that chunk: whoever sent it is broken, or lies.
    Wrong,
}

impl BlobStore {
    /// Goes on with a blob: reads and checks what there is of it.
    pub(in crate::blob) fn resume(&self, blob: BlobRef) -> Result<Found, BlobError> {
        let id = blob.id;
        if self.has(id) {
            return Ok(Found::Whole);
        }
        if self.held().partial.contains_key(&id) {
            return Ok(Found::Partial);
        }
        // A list that cannot be read or is wrong is fetched again.
        let list = read_list(&self.list_place(id)).ok().and_then(|written| ChunkList::read(&written, blob));
        match list {
            Some(list) => {
                self.begin(list)?;
                Ok(Found::Partial)
            }
            None => Ok(Found::Nothing),
        }
    }

    /// Begins with a blob whose list has come, or goes on with what there is of it on the disk.
    pub(in crate::blob) fn begin(&self, list: ChunkList) -> Result<(), BlobError> {
        let BlobRef { id, bytes } = list.blob();
        let _files = self.files();
        if self.list(id).is_some() {
            return Ok(());
        }
        self.check_number()?;
        self.write_list(&list)?;
        let path = self.partial_place(id);
        let failed = |what| BlobError::io(what, &path, bytes);
        let mut options = fs::OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(failed("open"))?;
        let have = if file.metadata().map_err(failed("read"))?.len() == bytes {
            there_already(&file, &list, &path)?
        } else {
            ChunkSet::none(list.chunks())
        };
        make_room(&file, bytes).map_err(failed("make room for"))?;
        let partial = Partial { list: Arc::new(list), file: Arc::new(file), have };
        self.held().partial.insert(id, partial);
        Ok(())
    }

    /// Takes in a chunk, if it is that chunk.
    pub(in crate::blob) fn take_chunk(&self, id: Hash, chunk: usize, bytes: &[u8]) -> Result<Taken, BlobError> {
        let (list, file) = {
            let held = self.held();
            match held.partial.get(&id) {
                Some(partial) if partial.have.contains(chunk) => return Ok(Taken::Known),
                Some(partial) => (Arc::clone(&partial.list), Arc::clone(&partial.file)),
                None if held.whole.contains_key(&id) => return Ok(Taken::Known),
                None => return Err(BlobError::Missing { id }),
            }
        };
        if !list.is_chunk(chunk, bytes) {
            return Ok(Taken::Wrong);
        }
        let path = self.partial_place(id);
        file.write_all_at(bytes, list.place(chunk).start).map_err(BlobError::io("write", &path, bytes.len() as u64))?;
        if let Some(partial) = self.held().partial.get_mut(&id) {
            partial.have.insert(chunk);
        }
        self.progress.send_modify(|chunks| *chunks += 1);
        Ok(Taken::New)
    }

    /// Makes a blob whole whose chunks have all come. When this returns, it is durable.
    pub(in crate::blob) fn finish(&self, id: Hash) -> Result<(), BlobError> {
        let _files = self.files();
        let (list, file) = {
            let held = self.held();
            match held.partial.get(&id) {
                Some(partial) if partial.have.is_all() => (Arc::clone(&partial.list), Arc::clone(&partial.file)),
                None if held.whole.contains_key(&id) => return Ok(()),
                Some(_) | None => return Err(BlobError::Missing { id }),
            }
        };
        let (from, to) = (self.partial_place(id), self.place(id));
        file.sync_all().map_err(BlobError::io("write", &from, list.blob().bytes))?;
        fs::rename(&from, &to).map_err(BlobError::io("rename", &from, 0))?;
        self.sync_dir()?;
        self.is_whole(ChunkList::clone(&list));
        Ok(())
    }
}

/// The chunks that a file has from before.
fn there_already(file: &File, list: &ChunkList, path: &Path) -> Result<ChunkSet, BlobError> {
    let mut have = ChunkSet::none(list.chunks());
    let mut bytes = Vec::new();
    for chunk in 0..list.chunks() {
        let place = list.place(chunk);
        bytes.resize(usize::try_from(place.end - place.start).unwrap_or_default(), 0);
        file.read_exact_at(&mut bytes, place.start).map_err(BlobError::io("read", path, 0))?;
        if list.is_chunk(chunk, &bytes) {
            have.insert(chunk);
        }
    }
    Ok(have)
}

/// Has the disk set aside the room for all of it: better to hear that there is none before the first byte than after
/// the last but one. Where the file system cannot do that, it is heard then.
fn make_room(file: &File, bytes: u64) -> io::Result<()> {
    if bytes > 0 {
        match fallocate(file, FallocateFlags::empty(), 0, i64::try_from(bytes).map_err(io::Error::other)?) {
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    file.set_len(bytes)
}
