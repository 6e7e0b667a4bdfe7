//! Files that are written as a whole or not at all: after a power cut at any moment, a full disk, or a process that is
//! killed, a name has the old content or the new one, and never half of either.
//!
//! What the supervisor writes into its data directory, and does not only ever append to, goes through here: specs, what
//! services have accepted to be, keys, rendered and uploaded files, the node's id and the ring's name. The new content is
//! written beside the old one, synced, renamed, and then the directory is synced: only with that is the rename durable.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

#[cfg(test)]
pub(crate) mod faults;

/// How the names of files begin that are being written.
pub(crate) const PREFIX: &str = ".sup-writing-";

/// What is done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Write,
    Sync,
    Rename,
    SyncDir,
}

/// A step is about to be taken: in tests it may fail.
#[cfg_attr(not(test), expect(clippy::unnecessary_wraps, reason = "tests fail here"))]
fn step(step: Step) -> io::Result<()> {
    #[cfg(test)]
    faults::take(step)?;
    #[cfg(not(test))]
    let _: Step = step;
    Ok(())
}

/// Writes a file with this content and mode. It is on disk when this returns.
///
/// # Errors
/// The old content is in place; only when the directory could not be synced may it be either.
pub fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = WholeFile::begin(path)?;
    file.write_all(content)?;
    file.file().set_permissions(Permissions::from_mode(mode))?;
    file.commit()
}

/// Removes a file. It is gone for good when this returns; that there is none is fine.
///
/// # Errors
/// It is there and cannot be removed, or may be there again after a power cut.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => File::open(parent(path))?.sync_all(),
    }
}

/// Removes what was being written in `dir` when a process died. Nobody may be writing there now.
///
/// # Errors
/// The directory cannot be read, or something in it cannot be removed.
pub fn clear(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// New content of a file, which is not there before [`commit`](Self::commit).
#[derive(Debug)]
pub struct WholeFile {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl WholeFile {
    /// Begins to write the file at `path`. Until its mode is changed, only its owner can read it.
    ///
    /// # Errors
    /// Nothing can be written in its directory.
    pub fn begin(path: &Path) -> io::Result<Self> {
        step(Step::Create)?;
        let temporary = tempfile::Builder::new().prefix(PREFIX).tempfile_in(parent(path)).map_err(nameless)?;
        Ok(Self { temporary, path: path.to_owned() })
    }

    /// The file that has the new content: for its mode and its owner.
    #[must_use]
    pub fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Where the new content is until then.
    #[must_use]
    pub fn place(&self) -> &Path {
        self.temporary.path()
    }

    /// Puts the new content in the place of the old one. It is on disk when this returns.
    ///
    /// # Errors
    /// The old content is in place; only when the directory could not be synced may it be either.
    pub fn commit(self) -> io::Result<()> {
        step(Step::Sync)?;
        self.temporary.as_file().sync_all()?;
        step(Step::Rename)?;
        self.temporary.persist(&self.path).map_err(|error| error.error)?;
        step(Step::SyncDir)?;
        File::open(parent(&self.path))?.sync_all()
    }
}

/// The same error without the name of the temporary file.
fn nameless(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() { error } else { error.kind().into() }
}

/// Not through the temporary file's own methods: their errors name it, which is of no interest and another one each time.
impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        step(Step::Write)?;
        self.temporary.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Step, WholeFile, clear, faults, remove, write};

    #[test]
    fn a_failure_is_told_alike_each_time() {
        let path = std::path::Path::new("/nowhere/at/all");
        let told = || WholeFile::begin(path).unwrap_err().to_string();
        assert_eq!((told(), told()), ("entity not found".to_owned(), "entity not found".to_owned()));
    }

    #[test]
    fn a_file_is_synced_before_it_has_its_name_and_the_name_is_synced_after_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let ((), steps) = faults::recorded(|| write(&path, b"content", 0o640).unwrap());
        assert_eq!(steps, [Step::Create, Step::Write, Step::Sync, Step::Rename, Step::SyncDir]);
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn what_was_left_half_written_is_removed_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".sup-writing-x"), "half").unwrap();
        fs::write(dir.path().join("whole"), "whole").unwrap();
        clear(dir.path()).unwrap();
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["whole"]);
        clear(&dir.path().join("none")).unwrap();
    }

    #[test]
    fn what_is_removed_is_gone_and_that_nothing_is_there_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "").unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
        remove(&path).unwrap();
    }
}
