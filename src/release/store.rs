//! The releases of this node, unpacked.
//!
//! ```text
//! HASH/plan/          the plan, nobody's to write to
//! HASH/manifest       the list of its files, as the archive has it
//! HASH/release.toml   what it is, who signed it, when it came
//! .new-..., .gone-... what a crash left half done: removed at the next start
//! ```
//!
//! A release appears under its hash by one rename, after all of it is durable, and goes by one. The archives that they
//! came in are blobs: [`ReleaseStore`] says which, and does not keep them. One that was not handed in is a copy of the
//! directory that a service was started from (`copy`): it has no archive before it is asked for one.

mod copy;
mod kept;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;
use tracing::warn;

use super::error::{PackError, UnpackError};
use super::limits::Limits;
use super::pack::{Out, pack};
use super::sign::SecretKey;
use super::trust::Trust;
use super::unpack::{Terms, UNFINISHED, Unpacked, extract, make_dir, settle};
use crate::base::{Hash, ReleaseRef, Wall};
use crate::blob::{BLOB_BYTES_MAX, BlobError, BlobStore};
use crate::plan::{Content, Plan};
use kept::Record;

pub use kept::{Kept, Query, QueryError, Source};

/// The plan of a release.
const PLAN: &str = "plan";
/// The list of its files.
const LIST: &str = "manifest";
/// What it is.
const RECORD: &str = "release.toml";
/// What a release is called that is on its way out.
const GONE: &str = ".gone-";

/// A directory of releases.
#[derive(Debug)]
pub struct ReleaseStore {
    dir: PathBuf,
    trust: Trust,
    /// Held while a release appears or goes, so that one does not go that has just been found to be there already.
    change: Mutex<()>,
}

/// A release cannot be stored, or used. The store is as it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be packed.
    #[error("cannot pack the release")]
    Pack(#[source] PackError),
    /// Its archive is refused.
    #[error("the archive is refused")]
    Refused(#[source] UnpackError),
    /// Its archive is not the one that was announced.
    #[error("the archive is refused: it is {found}, and {announced} was announced")]
    Other {
        /// What was announced.
        announced: Box<ReleaseRef>,
        /// What it is.
        found: Box<ReleaseRef>,
    },
    /// Its archive cannot be kept for others to fetch.
    #[error("cannot keep the archive")]
    Blob(#[source] BlobError),
    /// It is not here.
    #[error("this node has no release {}", .0.short())]
    Missing(Hash),
    /// What is here of it is not what came.
    #[error("the release {} was changed on this node: {what}", release.short())]
    Altered {
        /// Which one.
        release: Hash,
        /// What was changed.
        what: String,
    },
    /// The store's directory or something in it cannot be made, read, written or removed.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { what, path: path.to_owned(), source }
}

impl ReleaseStore {
    /// Opens the store in `dir`, making it if there is none, and clears away what a crash left half done. Releases
    /// that this node takes from now on must satisfy `trust`.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(dir: &Path, trust: Trust) -> Result<Self, StoreError> {
        // Services run what is in it as whoever they run as. What is above it is the data directory's matter.
        make_dir(dir).map_err(failed("make the directory", dir))?;
        for entry in fs::read_dir(dir).map_err(failed("read the directory", dir))?.flatten() {
            let name = entry.file_name();
            let is_half_done = [UNFINISHED, GONE].iter().any(|prefix| name.to_string_lossy().starts_with(prefix));
            if is_half_done && let Err(error) = fs::remove_dir_all(entry.path()) {
                // It takes room, and is in nobody's way.
                warn!(path = %entry.path().display(), %error, "cannot remove what is left of a release");
            }
        }
        Ok(Self { dir: dir.to_owned(), trust, change: Mutex::new(()) })
    }

    /// Takes a release that was announced, from its archive. One that is here already, in that archive, is not read
    /// again.
    ///
    /// # Errors
    /// The archive is refused, or is another one's; or it cannot be stored.
    pub fn receive(&self, release: &ReleaseRef, archive: impl Read, now: Wall) -> Result<Kept, StoreError> {
        if let Some(kept) = self.get(release.manifest).filter(|kept| kept.release().as_ref() == Some(release)) {
            return Ok(kept);
        }
        let (unfinished, unpacked) = self.unpack(archive, Some(release.manifest))?;
        let found = unpacked.id.clone().in_blob(release.blob);
        if found != *release {
            return Err(StoreError::Other { announced: Box::new(release.clone()), found: Box::new(found) });
        }
        self.keep(&unfinished, &unpacked, Source::Archive(release.blob), now)
    }

    /// Takes the release in an archive that somebody handed in, and keeps the archive for others to fetch.
    ///
    /// # Errors
    /// The archive is refused, or cannot be stored.
    pub fn import(&self, archive: &Path, blobs: &Arc<BlobStore>, now: Wall) -> Result<Kept, StoreError> {
        let file = File::open(archive).map_err(failed("read", archive))?;
        let (unfinished, unpacked) = self.unpack(file, None)?;
        let blob = blobs.put_file(archive, BLOB_BYTES_MAX).map_err(StoreError::Blob)?;
        // Until the release is listed here nobody knows that the archive is needed.
        let pin = blobs.pin(blob.id);
        let kept = self.keep(&unfinished, &unpacked, Source::Archive(blob), now);
        drop(pin);
        kept
    }

    /// Packs the plan in a directory, signing it if there is a key, and takes the release.
    ///
    /// # Errors
    /// It cannot be packed or stored, or this node does not take its own signature.
    pub fn import_dir(
        &self,
        dir: &Path,
        key: Option<&SecretKey>,
        blobs: &Arc<BlobStore>,
        now: Wall,
    ) -> Result<Kept, StoreError> {
        let unfinished = self.unfinished()?;
        let packed = pack(dir, Out::Dir(unfinished.path()), key).map_err(StoreError::Pack)?;
        self.import(&packed.path, blobs, now)
    }

    /// A directory for what is on its way in, which goes with its handle, or at the next start.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn unfinished(&self) -> Result<TempDir, StoreError> {
        let made = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&self.dir);
        made.map_err(failed("make a directory in", &self.dir))
    }

    /// Where all of them are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The release with this hash, if it is here.
    #[must_use]
    pub fn get(&self, release: Hash) -> Option<Kept> {
        Record::read(&self.place(release).join(RECORD))?.kept(release, &self.trust)
    }

    /// Where the plan of a release is, if it is here.
    #[must_use]
    pub fn path(&self, release: Hash) -> Option<PathBuf> {
        let place = self.place(release);
        place.join(RECORD).is_file().then(|| place.join(PLAN))
    }

    /// The releases that are here: by name, and of one name the newest first.
    #[must_use]
    pub fn list(&self) -> Vec<Kept> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let hashes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut all: Vec<Kept> = hashes.filter_map(|release| self.get(release)).collect();
        all.sort_by(|a, b| a.line().cmp(&b.line()).then_with(|| b.recency().cmp(&a.recency())));
        all
    }

    /// The files of a release, as its archive lists them.
    ///
    /// # Errors
    /// It is not here, or its list was changed.
    pub fn content(&self, release: Hash) -> Result<Content, StoreError> {
        let path = self.path(release).ok_or(StoreError::Missing(release))?.with_file_name(LIST);
        let text = fs::read(&path).map_err(failed("read", &path))?;
        let altered = |what: String| StoreError::Altered { release, what };
        if Hash::of(&text) != release {
            return Err(altered(format!("{} is another list", path.display())));
        }
        Content::parse(&text).map_err(|error| altered(error.to_string()))
    }

    /// Whether the plan of a release is as it came, to the byte.
    ///
    /// # Errors
    /// It is not here, or is not as it came: what is different is named.
    pub fn verify(&self, release: Hash) -> Result<(), StoreError> {
        let listed = self.content(release)?;
        let altered = |what: String| StoreError::Altered { release, what };
        let plan = Plan::load(&self.place(release).join(PLAN)).map_err(|error| altered(error.to_string()))?;
        match kept::difference(&listed, &plan.content) {
            Some(what) => Err(altered(what)),
            None => Ok(()),
        }
    }

    /// Removes what nobody needs: all releases but those that are `referenced`, and of each name the `keep` newest of
    /// the others. Copies of directories count apart: restarts while a plan is written push no release out. Says which.
    ///
    /// # Errors
    /// One of them cannot be removed; the rest may still be there.
    pub fn gc(&self, keep: usize, referenced: &BTreeSet<Hash>) -> Result<Vec<Kept>, StoreError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spared: BTreeMap<_, usize> = BTreeMap::new();
        let mut gone = Vec::new();
        for kept in self.list() {
            if referenced.contains(&kept.id.manifest) {
                continue;
            }
            let spared = spared.entry((kept.line(), kept.blob().is_some())).or_default();
            if *spared < keep {
                *spared += 1;
            } else {
                self.remove(kept.id.manifest)?;
                gone.push(kept);
            }
        }
        Ok(gone)
    }

    /// Removes a release: gone at once, even if the rest of the work is cut off.
    fn remove(&self, release: Hash) -> Result<(), StoreError> {
        let place = self.place(release);
        let gone = self.dir.join(format!("{GONE}{release}"));
        fs::rename(&place, &gone).map_err(failed("remove", &place))?;
        fs::remove_dir_all(&gone).map_err(failed("remove", &gone))
    }

    fn place(&self, release: Hash) -> PathBuf {
        self.dir.join(release.to_string())
    }

    fn unpack(&self, archive: impl Read, expected: Option<Hash>) -> Result<(TempDir, Unpacked), StoreError> {
        let unfinished = self.unfinished()?;
        let terms = Terms { expected, limits: Limits::default(), trust: &self.trust };
        let unpacked = extract(archive, &unfinished.path().join(PLAN), terms).map_err(StoreError::Refused)?;
        Ok((unfinished, unpacked))
    }

    /// Puts what was unpacked in its place. Where it is already, only what is known of it is written anew: it may have
    /// come in another archive, signed by somebody else.
    fn keep(&self, unfinished: &TempDir, unpacked: &Unpacked, source: Source, now: Wall) -> Result<Kept, StoreError> {
        let release = unpacked.id.manifest;
        let place = self.place(release);
        let record = Record::new(&unpacked.id, &unpacked.content, unpacked.signer, &source, now);
        let dir = unfinished.path();
        let write = || -> io::Result<()> {
            fs::write(dir.join(LIST), unpacked.content.to_bytes())?;
            fs::write(dir.join(RECORD), record.text()?)?;
            // A temporary directory is its owner's; a service may run as somebody else.
            fs::set_permissions(dir, Permissions::from_mode(0o755))?;
            settle(dir)
        };
        write().map_err(failed("write a release to", dir))?;
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let moved = if self.path(release).is_some() {
            fs::rename(dir.join(RECORD), place.join(RECORD))
        } else {
            fs::rename(dir, &place)
        };
        moved.and_then(|()| File::open(&self.dir)?.sync_all()).map_err(failed("write a release to", &place))?;
        record.kept(release, &self.trust).ok_or(StoreError::Missing(release))
    }
}
