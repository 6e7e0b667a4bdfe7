//! Files with a secret in them, which not everybody may be able to read.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Largest file that is read, in bytes: a chain of keys, and what a person wrote beside it.
const FILE_BYTES: u64 = 64 * 1024;
/// What users have that are neither the owner nor of the file's group. A group is left to whoever made it: `ssl-cert`.
const OTHERS: u32 = 0o007;

/// A file with a secret cannot be used. What is in it is not repeated.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is no secret.
    #[error("{path} is open to every user of this machine (mode {mode:03o}): chmod 600 {path}", path = path.display())]
    Open {
        /// Which one.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// Reads a file that only its owner, or its group, may read.
///
/// # Errors
/// It cannot be read, is too large, or others may read it.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let failed = |source| SecretFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Of what was opened, not of what is at the path by now.
    let meta = file.metadata().map_err(failed)?;
    if meta.is_file() && meta.mode() & OTHERS != 0 {
        return Err(SecretFileError::Open { path: path.to_owned(), mode: meta.mode() & 0o777 });
    }
    // Large enough from the start: what is moved when it grows leaves its traces.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(meta.len().min(FILE_BYTES)).unwrap_or(0) + 1));
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::{FILE_BYTES, SecretFileError, read};

    #[test]
    fn a_secret_that_every_user_can_read_is_refused_with_the_way_to_mend_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "hush").unwrap();
        for (mode, taken) in [(0o600, true), (0o640, true), (0o644, false), (0o602, false), (0o601, false)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let read = read(&path);
            assert_eq!(read.is_ok(), taken, "{mode:o}");
            if let Err(error) = read {
                let text = error.to_string();
                assert!(text.contains(&format!("chmod 600 {}", path.display())) && !text.contains("hush"), "{text}");
            }
        }
    }

    #[test]
    fn a_secret_is_read_at_its_limit_and_refused_one_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let limit = usize::try_from(FILE_BYTES).unwrap();
        for (length, taken) in [(limit, true), (limit + 1, false)] {
            fs::write(&path, vec![b'x'; length]).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert_eq!(read(&path).is_ok(), taken, "{length}");
        }
        assert!(matches!(read(&dir.path().join("none")), Err(SecretFileError::Read { .. })));
    }
}
