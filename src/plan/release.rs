//! Which content a plan has.

use std::fmt;
use std::fs::File;
use std::path::Path;

use super::load::PlanError;
use super::walk::PlanFiles;

/// How many hex digits of the hash make a release.
const DIGITS: usize = 12;

/// The first 12 hex digits of the hash of a plan's files: the same files have the same release, wherever they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release(String);

impl Release {
    /// The 12 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The release of these files: the hash over every file's path, mode, size and hash, in the order of the paths.
    pub(super) fn of(files: &PlanFiles) -> Result<Self, PlanError> {
        let mut all = blake3::Hasher::new();
        for (name, file) in files {
            let (size, hash) = hash(&file.path)?;
            let mode = if file.executable { "755" } else { "644" };
            // A path has no zero byte, so no two lists of files read alike.
            all.update(name.as_os_str().as_encoded_bytes());
            all.update(format!("\0{mode} {size} {hash}\n").as_bytes());
        }
        let mut text = all.finalize().to_hex().to_string();
        text.truncate(DIGITS);
        Ok(Self(text))
    }
}

fn hash(path: &Path) -> Result<(u64, blake3::Hash), PlanError> {
    let unreadable = |source| PlanError::Read { path: path.to_owned(), source };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path).map_err(unreadable)?).map_err(unreadable)?;
    Ok((hasher.count(), hasher.finalize()))
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::{DIGITS, Release};
    use crate::plan::walk::walk;

    fn plan(files: &[(&str, &str, u32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text, mode) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(*mode)).unwrap();
        }
        dir
    }

    fn release(dir: &Path) -> Release {
        Release::of(&walk(dir).unwrap()).unwrap()
    }

    #[test]
    fn the_same_files_have_the_same_release_anywhere() {
        let one = plan(&[("plan.toml", "a", 0o644), ("hooks/run", "b", 0o755)]);
        let two = plan(&[("hooks/run", "b", 0o700), ("plan.toml", "a", 0o600)]);
        assert_eq!(release(one.path()), release(two.path()));
        assert_eq!(release(one.path()).as_str().len(), DIGITS);
    }

    #[test]
    fn a_change_of_a_path_a_text_or_a_mode_is_another_release() {
        let first = release(plan(&[("plan.toml", "ab", 0o644), ("x", "", 0o644)]).path());
        for other in [
            plan(&[("plan.toml", "ab", 0o644), ("y", "", 0o644)]),
            plan(&[("plan.toml", "ac", 0o644), ("x", "", 0o644)]),
            plan(&[("plan.toml", "a", 0o644), ("x", "b", 0o644)]),
            plan(&[("plan.toml", "ab", 0o644), ("x", "", 0o755)]),
            plan(&[("plan.toml", "ab", 0o644)]),
        ] {
            assert_ne!(release(other.path()), first);
        }
    }
}
