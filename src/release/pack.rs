//! A directory becomes an archive.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::PackError;
use super::label::Label;
use super::limits::Limits;
use super::sign::SecretKey;
use super::tar::{END, Entry, padding};
use super::{LABEL, MANIFEST, SIGNATURE};
use crate::base::ReleaseId;
use crate::plan::{ContentFile, Plan, check, check_path};

/// What the names of archives end with.
pub const SUFFIX: &str = ".sup";
/// How hard it is compressed. The default of zstd: beyond it, time grows faster than archives shrink.
const LEVEL: i32 = 3;
/// How much is copied at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// An archive that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// What is in it.
    pub id: ReleaseId,
    /// Where it is.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// How many files are in it.
    pub files: usize,
}

/// Where an archive is to be written.
#[derive(Debug, Clone, Copy)]
pub enum Out<'a> {
    /// To this file; one that is there is replaced.
    File(&'a Path),
    /// Into this directory, as `NAME-VERSION-HASH.sup`.
    Dir(&'a Path),
}

/// Packs the plan in `dir`. The same files make the same archive, to the byte, wherever they are and whoever packs
/// them, with the same version of sup and key.
///
/// # Errors
/// It is no plan that could be run, or cannot be packed. A file that is at `out` is as it was.
pub fn pack(dir: &Path, out: Out<'_>, key: Option<&SecretKey>) -> Result<Packed, PackError> {
    let plan = Plan::load(dir)?;
    check::check(&plan).map_err(PackError::Check)?;
    for file in plan.content.files() {
        let path = || file.path.clone();
        check_path(path().as_os_str().as_encoded_bytes()).map_err(|source| PackError::Path { path: path(), source })?;
    }
    if let Some((bytes, limit)) = Limits::default().exceeded_by(&plan.content) {
        return Err(PackError::TooLarge { bytes, limit });
    }
    let id = Label::of(&plan).with(plan.release.hash());
    let path = place(&plan, &id, out)?;
    let bytes = write_whole(&path, |archive| Writer { archive }.write(&plan, key, &path))?;
    Ok(Packed { id, path, bytes, files: plan.content.files().len() })
}

/// The archive's path. Within the plan it would be packed into the next one.
fn place(plan: &Plan, id: &ReleaseId, out: Out<'_>) -> Result<PathBuf, PackError> {
    let path = match out {
        Out::File(path) => path.to_owned(),
        Out::Dir(dir) => dir.join(format!("{}-{}-{}{SUFFIX}", id.name, id.version, id.manifest.short())),
    };
    let dir = parent(&path).canonicalize().map_err(|source| PackError::Write { path: path.clone(), source })?;
    if dir.starts_with(&plan.dir) { Err(PackError::InsidePlan(path)) } else { Ok(path) }
}

/// The directory of a file.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file, compressed: whole, or not at all. Returns its length.
fn write_whole(path: &Path, content: impl FnOnce(&mut dyn Write) -> Result<(), PackError>) -> Result<u64, PackError> {
    let failed = |source| PackError::Write { path: path.to_owned(), source };
    let file = tempfile::NamedTempFile::new_in(parent(path)).map_err(failed)?;
    let mut compressed = zstd::Encoder::new(BufWriter::new(file), LEVEL).map_err(failed)?;
    content(&mut compressed)?;
    let file = compressed.finish().map_err(failed)?.into_inner().map_err(|error| failed(error.into_error()))?;
    let finish = || -> io::Result<u64> {
        // A temporary file is its owner's; an archive is as any file that a program writes.
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        let bytes = file.as_file().metadata()?.len();
        file.persist(path)?;
        Ok(bytes)
    };
    finish().map_err(failed)
}

struct Writer<'a> {
    archive: &'a mut dyn Write,
}

impl Writer<'_> {
    fn write(mut self, plan: &Plan, key: Option<&SecretKey>, path: &Path) -> Result<(), PackError> {
        let failed = |source| PackError::Write { path: path.to_owned(), source };
        self.text(LABEL, Label::of(plan).text().as_bytes()).map_err(failed)?;
        self.text(MANIFEST, &plan.content.to_bytes()).map_err(failed)?;
        if let Some(key) = key {
            self.text(SIGNATURE, key.sign(plan.release.hash()).as_bytes()).map_err(failed)?;
        }
        for file in plan.content.files() {
            self.file(&plan.dir, file, &failed)?;
        }
        self.archive.write_all(&[0; END]).map_err(failed)
    }

    fn text(&mut self, name: &str, text: &[u8]) -> io::Result<()> {
        self.header(name, "644", text.len() as u64)?;
        self.archive.write_all(text)?;
        self.pad(text.len() as u64)
    }

    /// A file, hashed once more as it is read: what is packed is what is in the list, or nothing is packed.
    fn file(
        &mut self,
        dir: &Path,
        file: &ContentFile,
        failed: &impl Fn(io::Error) -> PackError,
    ) -> Result<(), PackError> {
        let path = dir.join(&file.path);
        let unreadable = |source| PackError::Read { path: path.clone(), source };
        let changed = || PackError::Changed(path.clone());
        self.header(&file.path.to_string_lossy(), file.mode.as_str(), file.bytes).map_err(failed)?;
        let mut content = File::open(&path).map_err(unreadable)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = [0; BUFFER];
        let mut left = file.bytes;
        loop {
            let read = content.read(&mut buffer).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            left = left.checked_sub(read as u64).ok_or_else(changed)?;
            hasher.update(&buffer[..read]);
            self.archive.write_all(&buffer[..read]).map_err(failed)?;
        }
        if left > 0 || hasher.finalize() != blake3::Hash::from_bytes(*file.hash.as_bytes()) {
            return Err(changed());
        }
        self.pad(file.bytes).map_err(failed)
    }

    fn header(&mut self, path: &str, mode: &'static str, bytes: u64) -> io::Result<()> {
        let header = Entry { path: path.to_owned(), mode, bytes }.header();
        // Paths and sizes are checked before anything is written.
        let header = header.ok_or_else(|| io::Error::other(format!("{path:?} does not fit into a header")))?;
        self.archive.write_all(&header)
    }

    fn pad(&mut self, bytes: u64) -> io::Result<()> {
        self.archive.write_all(&[0; END][..padding(bytes)])
    }
}
