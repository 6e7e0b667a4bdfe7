//! A release that is a copy of a directory: what a service was started from stays what it was, whatever becomes of the
//! directory.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use tempfile::TempDir;

use super::{Kept, LIST, PLAN, RECORD, Record, ReleaseStore, Source, StoreError, failed};
use crate::base::{Hash, ReleaseRef, Wall};
use crate::blob::BlobStore;
use crate::plan::{ContentFile, Plan, check_path};
use crate::release::error::PackError;
use crate::release::label::Label;
use crate::release::limits::Limits;
use crate::release::sign::SecretKey;
use crate::release::trust::Signer;
use crate::release::unpack::{create, make_dir, settle};

/// How much is copied at once, in bytes.
const BUFFER: usize = 64 * 1024;
/// Up to so many files are flushed one by one. More of them take longer than everything that the disk has to write.
const FLUSHED_SINGLY_MAX: usize = 32;

impl ReleaseStore {
    /// Takes a copy of a plan's directory. What is here already is not copied again. It is not packed, nor asked for a
    /// signature: whoever may start a service from a directory of this node vouches for it.
    ///
    /// # Errors
    /// It is no plan that a release can carry, it was written to meanwhile, or it cannot be stored.
    pub fn copy(&self, plan: &Plan, now: Wall) -> Result<Kept, StoreError> {
        if let Some(kept) = self.get(plan.release.hash()) {
            return Ok(kept);
        }
        for file in plan.content.files() {
            let path = || file.path.clone();
            check_path(path().as_os_str().as_encoded_bytes())
                .map_err(|source| StoreError::Pack(PackError::Path { path: path(), source }))?;
        }
        if let Some((bytes, limit)) = Limits::default().exceeded_by(&plan.content) {
            return Err(StoreError::Pack(PackError::TooLarge { bytes, limit }));
        }
        let unfinished = self.unfinished()?;
        let tree = unfinished.path().join(PLAN);
        make_dir(&tree).map_err(failed("make the directory", &tree))?;
        for file in plan.content.files() {
            copy_file(&plan.dir, &tree, file)?;
        }
        self.keep_copy(&unfinished, plan, now)
    }

    /// A release as others can fetch it: one that is a copy of a directory is packed first.
    ///
    /// # Errors
    /// It is not here, cannot be packed or stored, or this node does not take it without a signature.
    pub fn offer(
        &self,
        release: Hash,
        key: Option<&SecretKey>,
        blobs: &Arc<BlobStore>,
        now: Wall,
    ) -> Result<ReleaseRef, StoreError> {
        let missing = StoreError::Missing(release);
        match self.get(release) {
            None => Err(missing),
            Some(Kept { source: Source::Archive(blob), id, .. }) => Ok(id.in_blob(blob)),
            Some(Kept { source: Source::Copy(_), .. }) => {
                let dir = self.path(release).ok_or(StoreError::Missing(release))?;
                self.import_dir(&dir, key, blobs, now)?.release().ok_or(missing)
            }
        }
    }

    fn keep_copy(&self, unfinished: &TempDir, plan: &Plan, now: Wall) -> Result<Kept, StoreError> {
        let id = Label::of(plan).with(plan.release.hash());
        let (dir, release, place) = (unfinished.path(), id.manifest, self.place(id.manifest));
        let record = Record::new(&id, &plan.content, Signer::Nobody, &Source::Copy(plan.dir.clone()), now);
        let write = || -> io::Result<()> {
            fs::write(dir.join(LIST), plan.content.to_bytes())?;
            fs::write(dir.join(RECORD), record.text()?)?;
            fs::set_permissions(dir, Permissions::from_mode(0o755))?;
            flush(dir, plan)
        };
        write().map_err(failed("write a release to", dir))?;
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = self.get(release) {
            return Ok(kept);
        }
        let moved = fs::rename(dir, &place).and_then(|()| File::open(self.dir())?.sync_all());
        moved.map_err(failed("write a release to", &place))?;
        record.kept(release, &self.trust).ok_or(StoreError::Missing(release))
    }
}

/// Makes durable what was written.
fn flush(dir: &Path, plan: &Plan) -> io::Result<()> {
    let files = plan.content.files();
    if files.len() > FLUSHED_SINGLY_MAX {
        return settle(dir);
    }
    let tree = dir.join(PLAN);
    for file in files {
        let path = tree.join(&file.path);
        File::open(&path)?.sync_all()?;
        // Those that hold several files are flushed once for each, which costs nothing when they are clean.
        for above in path.ancestors().skip(1).take_while(|above| above.starts_with(&tree)) {
            File::open(above)?.sync_all()?;
        }
    }
    for name in [LIST, RECORD] {
        File::open(dir.join(name))?.sync_all()?;
    }
    File::open(dir)?.sync_all()
}

/// Copies a file, hashed once more as it is read: what is copied is what is in the list, or nothing is.
fn copy_file(dir: &Path, tree: &Path, listed: &ContentFile) -> Result<(), StoreError> {
    let (from, to) = (dir.join(&listed.path), tree.join(&listed.path));
    let unreadable = |source| StoreError::Pack(PackError::Read { path: from.clone(), source });
    make_dir(to.parent().unwrap_or(tree)).map_err(failed("make the directory of", &to))?;
    let mut source = File::open(&from).map_err(unreadable)?;
    let mut target = create(&to, listed).map_err(failed("write", &to))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = source.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        target.write_all(&buffer[..read]).map_err(failed("write", &to))?;
    }
    if Hash::from(hasher.finalize()) == listed.hash { Ok(()) } else { Err(StoreError::Pack(PackError::Changed(from))) }
}
