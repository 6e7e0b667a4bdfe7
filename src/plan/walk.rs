//! The files of a plan's directory, within limits.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::load::PlanError;
use super::{PLAN_DEPTH, PLAN_FILES};

/// One file of a plan.
#[derive(Debug, Clone)]
pub struct PlanFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether its owner may execute it. No more of its mode counts: the rest comes from the umask of who checked
    /// the plan out.
    pub executable: bool,
}

/// The files of a plan, by their path below its directory.
pub type PlanFiles = BTreeMap<PathBuf, PlanFile>;

/// Finds the files below `dir`. Hidden ones and an editor's backups (`x~`) are no part of a plan. Symbolic links are
/// followed as long as they stay within it.
pub fn walk(dir: &Path) -> Result<PlanFiles, PlanError> {
    let root = dir.canonicalize().map_err(|source| PlanError::Read { path: dir.to_owned(), source })?;
    let mut files = PlanFiles::new();
    // Depth first with a stack of our own. A link to a directory above itself ends at the limit of depth.
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        let here = dir.join(&below);
        if below.components().count() > PLAN_DEPTH {
            return Err(PlanError::TooDeep(here));
        }
        let unreadable = |source| PlanError::Read { path: here.clone(), source };
        for entry in fs::read_dir(&here).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let shown = name.to_string_lossy();
            if shown.starts_with('.') || shown.ends_with('~') {
                continue;
            }
            let path = here.join(&name);
            let metadata = metadata(&path, &root)?;
            if metadata.is_dir() {
                pending.push(below.join(&name));
            } else if metadata.is_file() {
                let executable = metadata.permissions().mode() & 0o100 != 0;
                files.insert(below.join(&name), PlanFile { path, executable });
            } else {
                return Err(PlanError::NotAFile(path));
            }
            // Directories that are still to be read count, too: they are what a bomb of links is made of.
            if files.len() + pending.len() > PLAN_FILES {
                return Err(PlanError::TooManyFiles(dir.to_owned()));
            }
        }
    }
    Ok(files)
}

/// What is at `path`, which may be a link that stays below `root`.
fn metadata(path: &Path, root: &Path) -> Result<fs::Metadata, PlanError> {
    let unreadable = |source| PlanError::Read { path: path.to_owned(), source };
    let metadata = fs::symlink_metadata(path).map_err(unreadable)?;
    if !metadata.is_symlink() {
        return Ok(metadata);
    }
    let target = path.canonicalize().map_err(unreadable)?;
    if !target.starts_with(root) {
        return Err(PlanError::Outside { link: path.to_owned(), target });
    }
    fs::metadata(target).map_err(unreadable)
}

/// The text of a file that is at most `limit` bytes long.
pub fn read_text(path: &Path, limit: u64) -> Result<String, PlanError> {
    let unreadable = |source| PlanError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too long, even one that grows or that has no length (/dev/zero).
    let read = file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if read as u64 > limit {
        let bytes = fs::metadata(path).map_or(limit + 1, |metadata| metadata.len());
        return Err(PlanError::TooLarge { path: path.to_owned(), bytes, limit });
    }
    String::from_utf8(bytes).map_err(|_| PlanError::NotText(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{PLAN_DEPTH, PLAN_FILES, PlanError, read_text, walk};

    #[test]
    fn files_are_found_and_hidden_ones_and_backups_are_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::create_dir_all(dir.path().join(".git")).unwrap();
        for file in ["x", "a/b/y", ".hidden", ".git/z", "x~"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let files = walk(dir.path()).unwrap();
        assert_eq!(files.keys().map(|path| path.to_str().unwrap()).collect::<Vec<_>>(), ["a/b/y", "x"]);
    }

    #[test]
    fn as_many_files_as_allowed_are_taken_and_one_more_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for at in 0..PLAN_FILES {
            std::fs::write(dir.path().join(at.to_string()), "").unwrap();
        }
        assert_eq!(walk(dir.path()).unwrap().len(), PLAN_FILES);
        std::fs::write(dir.path().join("more"), "").unwrap();
        assert!(matches!(walk(dir.path()), Err(PlanError::TooManyFiles(_))));
    }

    #[test]
    fn directories_are_as_deep_as_allowed_and_no_deeper() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join(vec!["d"; PLAN_DEPTH].join("/"));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("x"), "").unwrap();
        assert_eq!(walk(dir.path()).unwrap().len(), 1);
        std::fs::create_dir(deep.join("d")).unwrap();
        assert!(matches!(walk(dir.path()), Err(PlanError::TooDeep(_))));
    }

    #[test]
    fn links_are_followed_within_the_plan_and_not_out_of_it() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), "").unwrap();
        symlink("x", dir.path().join("y")).unwrap();
        assert_eq!(walk(dir.path()).unwrap().len(), 2);
        symlink(outside.path(), dir.path().join("out")).unwrap();
        assert!(matches!(walk(dir.path()), Err(PlanError::Outside { .. })));
    }

    #[test]
    fn a_loop_of_links_ends_at_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        symlink(".", dir.path().join("again")).unwrap();
        assert!(matches!(walk(dir.path()), Err(PlanError::TooDeep(_))));
    }

    #[test]
    fn a_text_is_read_up_to_its_limit_and_not_one_byte_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        assert!(matches!(read_text(&path, 4), Err(PlanError::TooLarge { bytes: 5, limit: 4, .. })));
        std::fs::write(&path, b"\xff").unwrap();
        assert!(matches!(read_text(&path, 5), Err(PlanError::NotText(_))));
    }
}
