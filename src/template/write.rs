//! Files in memory become files on disk.
//!
//! Each file is old or new at any moment, never a part (see [`crate::whole`]). What was rendered is written down in
//! `.rendered`, so that a file goes when its template does, and what the service itself keeps in its config directory
//! stays.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::render::RenderedFile;
use crate::whole::{self, WholeFile};

/// The list of rendered files, in the service's directory.
const RENDERED: &str = ".rendered";
/// Who may read the list of rendered files.
const LIST_MODE: u32 = 0o640;

/// Who owns the files that are written. Nothing is changed about what is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user's id.
    pub uid: Option<u32>,
    /// The group's id.
    pub gid: Option<u32>,
}

/// A file could not be written. Those before it were; each is either old or new, never a part. A retry writes what is
/// still missing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk or a permission is in the way.
    #[error("cannot write {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is a symbolic link where a file or directory should be.
    #[error("{} is a symbolic link; rendered files are not written through links: remove it", .0.display())]
    Link(PathBuf),
    /// A path leads out of the service's directory.
    #[error("{} is not a path below the service's directory", .0.display())]
    Outside(PathBuf),
}

/// Writes `files` below `dir` (the service's directory), each only if its bytes differ, and removes what was rendered
/// before and is no more. Says which paths, below `dir`, changed.
///
/// # Errors
/// When a file cannot be written or removed.
pub fn write(files: &[RenderedFile], dir: &Path, owner: Owner) -> Result<Vec<PathBuf>, WriteError> {
    let mut changed = Vec::new();
    for file in files {
        if write_one(&file.path, &file.bytes, file.mode, dir, owner)? == Written::Changed {
            changed.push(file.path.clone());
        }
    }
    let now: BTreeSet<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    let before = read_list(dir)?;
    for gone in before.difference(&now) {
        if remove(gone, dir)? == Written::Changed {
            changed.push(gone.clone());
        }
    }
    if before != now {
        let list: String = now.iter().map(|path| format!("{}\n", path.display())).collect();
        write_one(Path::new(RENDERED), list.as_bytes(), LIST_MODE, dir, owner)?;
    }
    Ok(changed)
}

/// Whether anything was done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Changed,
    Unchanged,
}

fn write_one(below: &Path, bytes: &[u8], mode: u32, dir: &Path, owner: Owner) -> Result<Written, WriteError> {
    let path = dir.join(below);
    let parent = parent(below, dir)?;
    let failed = |source| WriteError::Io { path: path.clone(), source };
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_symlink() => return Err(WriteError::Link(path)),
        // The same length first: most files that differ are not even read.
        Ok(metadata) if metadata.len() == bytes.len() as u64 && fs::read(&path).map_err(failed)? == bytes => {
            restore(&path, &metadata, mode, owner).map_err(failed)?;
            return Ok(Written::Unchanged);
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    replace(&path, &parent, bytes, mode, owner).map_err(failed)?;
    Ok(Written::Changed)
}

/// Mode and owner of a file whose bytes are right.
fn restore(path: &Path, metadata: &fs::Metadata, mode: u32, owner: Owner) -> io::Result<()> {
    if metadata.permissions().mode() & 0o7777 != mode {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    let differs = |wanted: Option<u32>, is: u32| wanted.is_some_and(|wanted| wanted != is);
    if differs(owner.uid, metadata.uid()) || differs(owner.gid, metadata.gid()) {
        chown(path, owner)?;
    }
    Ok(())
}

fn replace(path: &Path, parent: &Path, bytes: &[u8], mode: u32, owner: Owner) -> io::Result<()> {
    // One task at a time writes a service's files, so what is half-written was left by a crash.
    whole::clear(parent)?;
    let mut file = WholeFile::begin(path)?;
    file.write_all(bytes)?;
    file.file().set_permissions(Permissions::from_mode(mode))?;
    if owner != Owner::default() {
        chown(file.place(), owner)?;
    }
    file.commit()
}

fn chown(path: &Path, owner: Owner) -> io::Result<()> {
    let Owner { uid, gid } = owner;
    nix::unistd::chown(path, uid.map(Uid::from_raw), gid.map(Gid::from_raw)).map_err(io::Error::from)
}

/// The directory of `below`, made if it is not there; no part of it is a link.
fn parent(below: &Path, dir: &Path) -> Result<PathBuf, WriteError> {
    let is_inside = below.components().all(|part| matches!(part, Component::Normal(_)));
    let Some(parent) = below.parent().filter(|_| is_inside) else {
        return Err(WriteError::Outside(below.to_owned()));
    };
    let mut path = dir.to_owned();
    for part in parent.components() {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => return Err(WriteError::Link(path)),
            Ok(_) => {}
            Err(_) => fs::create_dir_all(&path).map_err(|source| WriteError::Io { path: path.clone(), source })?,
        }
    }
    Ok(path)
}

/// What was rendered last time. Nothing if there is no list, and no line that leads elsewhere.
fn read_list(dir: &Path) -> Result<BTreeSet<PathBuf>, WriteError> {
    let path = dir.join(RENDERED);
    match fs::read_to_string(&path) {
        Ok(list) => {
            let is_ours = |path: &PathBuf| {
                let is_inside = path.components().all(|part| matches!(part, Component::Normal(_)));
                is_inside && (path.starts_with("config") || path.starts_with("hooks"))
            };
            Ok(list.lines().map(PathBuf::from).filter(is_ours).collect())
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            Ok(BTreeSet::new())
        }
        Err(source) => Err(WriteError::Io { path, source }),
    }
}

fn remove(below: &Path, dir: &Path) -> Result<Written, WriteError> {
    parent(below, dir)?;
    let path = dir.join(below);
    match fs::remove_file(&path) {
        Ok(()) => Ok(Written::Changed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Written::Unchanged),
        Err(source) => Err(WriteError::Io { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    use super::{Owner, WriteError, write};
    use crate::template::render::{RenderedFile, RenderedKind};
    use crate::whole::{PREFIX, faults};

    fn file(path: &str, text: &str) -> RenderedFile {
        RenderedFile { kind: RenderedKind::Config, path: path.into(), bytes: text.into(), mode: 0o640 }
    }

    fn put(files: &[RenderedFile], dir: &Path) -> Vec<PathBuf> {
        write(files, dir, Owner::default()).unwrap()
    }

    #[test]
    fn only_files_whose_bytes_differ_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (file("config/a", "1"), file("config/sub/b", "1"));
        assert_eq!(put(&[a.clone(), b.clone()], dir.path()), [a.path.clone(), b.path.clone()]);
        let inode = |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().ino();
        let before = (inode("config/a"), inode("config/sub/b"));
        assert!(put(&[a.clone(), b], dir.path()).is_empty());
        assert_eq!(put(&[a, file("config/sub/b", "2")], dir.path()), [Path::new("config/sub/b")]);
        assert_eq!(inode("config/a"), before.0);
        assert_ne!(inode("config/sub/b"), before.1);
    }

    #[test]
    fn a_file_is_the_old_or_the_new_one_whatever_fails_while_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        put(&[file("config/a", "old")], dir.path());
        let path = dir.path().join("config/a");
        let write = || write(&[file("config/a", "the new one")], dir.path(), Owner::default());
        faults::whole_at_every_step(&path, b"old", b"the new one", || write().map(drop));
    }

    #[test]
    fn modes_are_set_and_set_right_again() {
        let dir = tempfile::tempdir().unwrap();
        let hook = RenderedFile { mode: 0o755, ..file("hooks/init", "x") };
        let path = dir.path().join("hooks/init");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        put(std::slice::from_ref(&hook), dir.path());
        assert_eq!(mode(), 0o755);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(put(&[hook], dir.path()).is_empty());
        assert_eq!(mode(), 0o755);
    }

    #[test]
    fn a_file_goes_with_its_template_and_what_the_service_wrote_stays() {
        let dir = tempfile::tempdir().unwrap();
        put(&[file("config/a", "1"), file("config/b", "1")], dir.path());
        std::fs::write(dir.path().join("config/own"), "kept").unwrap();
        assert_eq!(put(&[file("config/a", "1")], dir.path()), [Path::new("config/b")]);
        assert!(!dir.path().join("config/b").exists());
        assert!(dir.path().join("config/own").exists());
    }

    #[test]
    fn a_list_that_leads_elsewhere_removes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("svc");
        put(&[file("config/a", "1")], &dir);
        let outside = root.path().join("precious");
        std::fs::write(&outside, "x").unwrap();
        std::fs::write(dir.join(".rendered"), format!("{}\nconfig/../../precious\n", outside.display())).unwrap();
        assert!(put(&[], &dir).is_empty());
        assert!(outside.exists());
    }

    #[test]
    fn links_are_not_written_through() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("config")).unwrap();
        symlink(outside.path().join("x"), dir.path().join("config/a")).unwrap();
        symlink(outside.path(), dir.path().join("config/sub")).unwrap();
        for path in ["config/a", "config/sub/b"] {
            let result = write(&[file(path, "1")], dir.path(), Owner::default());
            assert!(matches!(result, Err(WriteError::Link(_))), "{path}");
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["../a", "/tmp/a", "config/../../a", ""] {
            let result = write(&[file(path, "1")], dir.path(), Owner::default());
            assert!(matches!(result, Err(WriteError::Outside(_))), "{path:?}");
        }
    }

    #[test]
    fn what_a_crash_left_is_cleared_and_nothing_temporary_stays() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("config")).unwrap();
        std::fs::write(dir.path().join("config").join(format!("{PREFIX}abc")), "half").unwrap();
        put(&[file("config/a", "1")], dir.path());
        let names = std::fs::read_dir(dir.path().join("config")).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        put(&[file("config/a", "old")], dir.path());
        // A directory in the place of a file cannot be replaced, not even by root.
        std::fs::create_dir(dir.path().join("config/b")).unwrap();
        let result = write(&[file("config/b", "x"), file("config/a", "new")], dir.path(), Owner::default());
        assert!(matches!(result, Err(WriteError::Io { path, .. }) if path.ends_with("config/b")));
        assert_eq!(std::fs::read_to_string(dir.path().join("config/a")).unwrap(), "old");
    }
}
