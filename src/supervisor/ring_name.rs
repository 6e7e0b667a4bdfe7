//! Which ring a data directory belongs to. A node that changed its ring would take to the other one all that it knows of
//! this one, and the two would be mixed after all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::RingName;
use crate::whole;

/// Where it is written down, in the data directory.
const FILE: &str = "ring.name";

/// The data directory cannot be used for this ring. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RingNameFileError {
    /// It belongs to another one.
    #[error(
        "the data directory {} belongs to the ring \"{stored}\", not to \"{given}\": start with --ring {stored}, or with \
         another data directory; to give the ring itself another name, stop all its nodes, and remove {FILE} from the \
         data directory of each", dir.display()
    )]
    OtherRing {
        /// The directory.
        dir: PathBuf,
        /// What it belongs to.
        stored: String,
        /// What it was to be used for.
        given: RingName,
    },
    /// The file cannot be read or written.
    #[error("cannot read or write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Checks that the directory belongs to this ring; one that belongs to none does from now on.
pub(super) fn claim(dir: &Path, ring: &RingName) -> Result<(), RingNameFileError> {
    let path = dir.join(FILE);
    let failed = |source| RingNameFileError::Io { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(stored) if stored.trim() == ring.as_str() => Ok(()),
        // A machine that lost power in the middle of its first start.
        Ok(stored) if stored.trim().is_empty() => write(&path, ring).map_err(failed),
        Ok(stored) => {
            let stored = stored.trim().chars().take(80).collect();
            Err(RingNameFileError::OtherRing { dir: dir.to_owned(), stored, given: ring.clone() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => write(&path, ring).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

fn write(path: &Path, ring: &RingName) -> io::Result<()> {
    whole::write(path, format!("{ring}\n").as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::{RingNameFileError, claim};

    #[test]
    fn a_directory_belongs_to_the_ring_that_used_it_first() {
        let dir = tempfile::tempdir().unwrap();
        let (blue, green) = ("blue".parse().unwrap(), "green".parse().unwrap());
        claim(dir.path(), &blue).unwrap();
        claim(dir.path(), &blue).unwrap();
        let error = claim(dir.path(), &green).unwrap_err();
        assert!(matches!(error, RingNameFileError::OtherRing { .. }));
        assert!(error.to_string().contains("--ring blue"), "{error}");
        std::fs::write(dir.path().join("ring.name"), "").unwrap();
        claim(dir.path(), &green).unwrap();
    }
}
