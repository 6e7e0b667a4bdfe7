//! The blobs of this node, on its disk.
//!
//! A whole blob is `ID`, with the list of its chunks beside it in `ID.chunks`. One of which chunks are missing is
//! `ID.partial`, also with its list. Nothing says which chunks of it are there: whoever goes on with it reads and
//! hashes what there is. So no crash, at whatever moment, can make a chunk count that is not on the disk as it should
//! be; and a blob is renamed to `ID` only once all of it is durable.
//!
//! Everything here blocks. All of it may be called from several threads at once.

mod partial;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tracing::warn;

use super::error::BlobError;
use super::list::{BLOB_BYTES_MAX, CHUNK_BYTES, ChunkList};
use super::set::ChunkSet;
use crate::base::{BlobRef, Hash};

pub(super) use partial::{Found, Taken};

use partial::Partial;

/// How many blobs a node has at most. A node of 200 services, each with a few releases and files.
pub const BLOBS_MAX: usize = 4096;

const CHUNKS: &str = "chunks";
const PARTIAL: &str = "partial";

/// A directory of blobs.
#[derive(Debug)]
pub struct BlobStore {
    dir: PathBuf,
    held: Mutex<Holdings>,
    /// Held while files come and go, so that none comes of a blob that is just going. Taken before `held`.
    files: Mutex<()>,
    /// Counts up with every chunk that is there now and was not before.
    progress: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Holdings {
    whole: BTreeMap<Hash, Arc<ChunkList>>,
    /// Those that somebody goes on with. Others may lie on the disk.
    partial: BTreeMap<Hash, Partial>,
    pins: BTreeMap<Hash, usize>,
}

/// Keeps a blob from being removed, while it lives.
#[derive(Debug)]
pub struct Pin {
    store: Arc<BlobStore>,
    id: Hash,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut held = self.store.held();
        if let Some(pins) = held.pins.get_mut(&self.id) {
            *pins -= 1;
            if *pins == 0 {
                held.pins.remove(&self.id);
            }
        }
    }
}

impl BlobStore {
    /// Opens the store in `dir`, making it if there is none, and clears away what a crash left half done.
    ///
    /// # Errors
    /// The directory cannot be made or read. Blobs that are damaged are removed and reported in the log.
    pub fn open(dir: &Path) -> Result<Self, BlobError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(BlobError::io("make the directory", dir, 0))?;
        let mut held = Holdings::default();
        let entries = fs::read_dir(dir).map_err(BlobError::io("read the directory", dir, 0))?;
        let names: BTreeSet<PathBuf> = entries.flatten().map(|entry| PathBuf::from(entry.file_name())).collect();
        for name in &names {
            match known(name) {
                Some((id, None)) => match load(dir, id) {
                    Some(list) => drop(held.whole.insert(id, Arc::new(list))),
                    None => {
                        warn!(blob = %id.short(), "a stored blob does not fit its list of chunks, and is removed");
                        clear(&[dir.join(name), dir.join(name).with_extension(CHUNKS)]);
                    }
                },
                Some((id, Some(kind))) => {
                    let id = PathBuf::from(id.to_string());
                    let belongs = match kind {
                        CHUNKS => names.contains(&id) || names.contains(&id.with_extension(PARTIAL)),
                        _partial => names.contains(&id.with_extension(CHUNKS)),
                    };
                    if !belongs {
                        clear(&[dir.join(name)]);
                    }
                }
                // A file of which a crash cut off the writing, or one that is not ours.
                None if name.to_string_lossy().starts_with(TEMPORARY) => clear(&[dir.join(name)]),
                None => {}
            }
        }
        Ok(Self {
            dir: dir.to_owned(),
            held: Mutex::new(held),
            files: Mutex::default(),
            progress: watch::Sender::new(0),
        })
    }

    fn held(&self) -> MutexGuard<'_, Holdings> {
        // Each change under the lock is one insertion or removal: whatever panicked left it as it was or as it is.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, id: Hash) -> PathBuf {
        self.dir.join(id.to_string())
    }

    fn list_place(&self, id: Hash) -> PathBuf {
        self.place(id).with_extension(CHUNKS)
    }

    fn partial_place(&self, id: Hash) -> PathBuf {
        self.place(id).with_extension(PARTIAL)
    }

    /// Stores content as a blob, and returns what it is called. `limit` is the most bytes that it may have.
    ///
    /// # Errors
    /// It is over the limit, cannot be read, or cannot be stored. Nothing of it is left.
    pub fn put(&self, mut content: impl Read, limit: u64) -> Result<BlobRef, BlobError> {
        let limit = limit.min(BLOB_BYTES_MAX);
        let failed = |bytes| BlobError::io("write a blob in", &self.dir, bytes);
        let temporary = self.temporary().map_err(|source| failed(0)(source))?;
        let mut file = temporary.as_file();
        let mut hashes = Vec::new();
        let mut bytes = 0;
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        loop {
            chunk.clear();
            content.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk).map_err(BlobError::Content)?;
            if chunk.is_empty() {
                break;
            }
            bytes += chunk.len() as u64;
            if bytes > limit {
                return Err(BlobError::TooLarge { limit });
            }
            file.write_all(&chunk).map_err(|source| failed(bytes)(source))?;
            hashes.push(Hash::of(&chunk));
        }
        let list = ChunkList::make(hashes, bytes);
        let id = list.blob().id;
        let blob = list.blob();
        file.sync_all().map_err(|source| failed(bytes)(source))?;
        let _files = self.files();
        if self.has(id) {
            return Ok(blob);
        }
        self.check_number()?;
        self.write_list(&list)?;
        temporary.persist(self.place(id)).map_err(|error| failed(bytes)(error.error))?;
        self.sync_dir()?;
        // Of one that is being fetched meanwhile, the file is no longer needed.
        clear(&[self.partial_place(id)]);
        self.is_whole(list);
        Ok(blob)
    }

    /// Stores a file as a blob. See [`Self::put`].
    ///
    /// # Errors
    /// It is over the limit, cannot be read, or cannot be stored. Nothing of it is left.
    pub fn put_file(&self, path: &Path, limit: u64) -> Result<BlobRef, BlobError> {
        self.put(File::open(path).map_err(BlobError::Content)?, limit)
    }

    /// Opens a blob, all of which is here.
    ///
    /// # Errors
    /// It is not here as a whole, or cannot be read.
    pub fn read(&self, id: Hash) -> Result<File, BlobError> {
        if !self.has(id) {
            return Err(BlobError::Missing { id });
        }
        let path = self.place(id);
        File::open(&path).map_err(BlobError::io("read", &path, 0))
    }

    /// Whether all of a blob is here.
    #[must_use]
    pub fn has(&self, id: Hash) -> bool {
        self.held().whole.contains_key(&id)
    }

    /// The blobs that are here as a whole.
    #[must_use]
    pub fn all(&self) -> Vec<BlobRef> {
        self.held().whole.values().map(|list| list.blob()).collect()
    }

    /// Keeps a blob from being removed, whether it is here or is still to come.
    #[must_use]
    pub fn pin(self: &Arc<Self>, id: Hash) -> Pin {
        *self.held().pins.entry(id).or_default() += 1;
        Pin { store: Arc::clone(self), id }
    }

    /// Removes a blob, or what there is of it, unless it is pinned. Who reads it at this moment can read on.
    ///
    /// # Errors
    /// It cannot be removed. It is not used any more, and is removed at the next start.
    pub fn remove(&self, id: Hash) -> Result<(), BlobError> {
        let _files = self.files();
        self.remove_files(id)
    }

    /// Removes what there is of a blob that is not here as a whole, unless it is pinned.
    pub(super) fn remove_partial(&self, id: Hash) -> Result<(), BlobError> {
        let _files = self.files();
        if self.has(id) { Ok(()) } else { self.remove_files(id) }
    }

    fn remove_files(&self, id: Hash) -> Result<(), BlobError> {
        {
            let mut held = self.held();
            if held.pins.contains_key(&id) {
                return Ok(());
            }
            held.whole.remove(&id);
            held.partial.remove(&id);
        }
        // The list last: data without a list is cleared away at the next start, should this be cut off here.
        for path in [self.place(id), self.partial_place(id), self.list_place(id)] {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(BlobError::Io { what: "remove", path, source });
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Removes all blobs that are neither referenced nor pinned, and what there is of others, and says which.
    ///
    /// # Errors
    /// One of them cannot be removed; the rest may still be there.
    pub fn sweep(&self, referenced: &BTreeSet<Hash>) -> Result<Vec<Hash>, BlobError> {
        let entries = fs::read_dir(&self.dir).map_err(BlobError::io("read the directory", &self.dir, 0))?;
        let ids = entries.flatten().filter_map(|entry| Some(known(Path::new(&entry.file_name()))?.0));
        let mut gone: Vec<Hash> = ids.filter(|id| !referenced.contains(id)).collect();
        gone.sort_unstable();
        gone.dedup();
        {
            let held = self.held();
            gone.retain(|id| !held.pins.contains_key(id));
        }
        gone.iter().try_for_each(|id| self.remove(*id))?;
        Ok(gone)
    }

    /// Follows what arrives: the value changes with every chunk.
    pub(super) fn progress(&self) -> watch::Receiver<u64> {
        self.progress.subscribe()
    }

    /// The list of a blob's chunks.
    pub(super) fn list(&self, id: Hash) -> Option<Arc<ChunkList>> {
        let held = self.held();
        held.whole.get(&id).or_else(|| held.partial.get(&id).map(|partial| &partial.list)).cloned()
    }

    /// Which chunks of a blob are here.
    pub(super) fn chunks(&self, id: Hash) -> Option<ChunkSet> {
        let held = self.held();
        let whole = held.whole.get(&id).map(|list| ChunkSet::all(list.chunks()));
        whole.or_else(|| held.partial.get(&id).map(|partial| partial.have.clone()))
    }

    /// How many bytes of a blob are here.
    pub(super) fn bytes_here(&self, id: Hash) -> u64 {
        let (list, chunks) = (self.list(id), self.chunks(id));
        let place = |list: &ChunkList, chunk| list.place(chunk).end - list.place(chunk).start;
        list.zip(chunks).map_or(0, |(list, chunks)| chunks.iter().map(|chunk| place(&list, chunk)).sum())
    }

    /// Reads a chunk that is here.
    pub(super) fn read_chunk(&self, id: Hash, chunk: usize, into: &mut Vec<u8>) -> Result<(), BlobError> {
        let (list, partial) = {
            let held = self.held();
            match (held.whole.get(&id), held.partial.get(&id)) {
                (Some(list), _) => (Arc::clone(list), None),
                (None, Some(partial)) => (Arc::clone(&partial.list), Some(Arc::clone(&partial.file))),
                (None, None) => return Err(BlobError::Missing { id }),
            }
        };
        let file = match partial {
            Some(file) => file,
            None => Arc::new(self.read(id)?),
        };
        let place = list.place(chunk);
        let length = usize::try_from(place.end.saturating_sub(place.start)).unwrap_or_default();
        into.resize(length, 0);
        file.read_exact_at(into, place.start).map_err(BlobError::io("read", &self.place(id), 0))
    }

    fn check_number(&self) -> Result<(), BlobError> {
        let held = self.held();
        match held.whole.len() + held.partial.len() {
            few if few < BLOBS_MAX => Ok(()),
            _ => Err(BlobError::TooMany { limit: BLOBS_MAX }),
        }
    }

    /// From now on it is here as a whole.
    fn is_whole(&self, list: ChunkList) {
        let id = list.blob().id;
        let mut held = self.held();
        held.whole.insert(id, Arc::new(list));
        held.partial.remove(&id);
        drop(held);
        self.progress.send_modify(|chunks| *chunks += 1);
    }

    fn write_list(&self, list: &ChunkList) -> Result<(), BlobError> {
        let path = self.list_place(list.blob().id);
        let written = list.written();
        let write = || {
            let temporary = self.temporary()?;
            temporary.as_file().write_all(&written)?;
            temporary.as_file().sync_all()?;
            temporary.persist(&path).map_err(|error| error.error)
        };
        write().map(drop).map_err(BlobError::io("write", &path, written.len() as u64))
    }

    fn temporary(&self) -> io::Result<tempfile::NamedTempFile> {
        tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.dir)
    }

    fn sync_dir(&self) -> Result<(), BlobError> {
        let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.map_err(BlobError::io("write the directory", &self.dir, 0))
    }
}

/// How the names of files begin that are being written.
const TEMPORARY: &str = ".writing-";

/// The blob that a file of the store belongs to, and which of its files it is.
fn known(name: &Path) -> Option<(Hash, Option<&str>)> {
    let id = name.file_stem()?.to_str()?.parse().ok()?;
    match name.extension() {
        None => Some((id, None)),
        Some(extension) => Some((id, [CHUNKS, PARTIAL].into_iter().find(|known| extension == *known)?))
            .map(|(id, kind)| (id, Some(kind))),
    }
}

/// The list of a whole blob, if it fits.
fn load(dir: &Path, id: Hash) -> Option<ChunkList> {
    let path = dir.join(id.to_string());
    let bytes = fs::metadata(&path).ok()?.len();
    let written = read_list(&path.with_extension(CHUNKS)).ok()?;
    ChunkList::read(&written, BlobRef { id, bytes })
}

/// Reads a list's file, and not more than the largest list has.
fn read_list(path: &Path) -> io::Result<Vec<u8>> {
    let mut written = Vec::new();
    File::open(path)?.take(BLOB_BYTES_MAX / CHUNK_BYTES as u64 * 32 + 1).read_to_end(&mut written)?;
    Ok(written)
}

/// Removes files of which nothing is lost. What cannot be removed is tried again at the next start.
fn clear(paths: &[PathBuf]) {
    for path in paths {
        fs::remove_file(path).ok();
    }
}

#[cfg(test)]
mod tests;
