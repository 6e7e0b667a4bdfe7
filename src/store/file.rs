//! The store itself.

use std::path::{Path, PathBuf};

use super::error::StoreError;
use crate::records::{Restored, Write};

/// An open store. While it lives, no other process can open the same directory.
#[derive(Debug)]
pub struct Store;

/// What an opened store held.
#[derive(Debug)]
pub struct Loaded {
    /// What was stored.
    pub restored: Restored,
    /// That the state was unreadable, and is out of the way now.
    pub moved_aside: Option<MovedAside>,
}

/// The state was damaged: it was renamed, and the node began anew, under the same id where that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedAside {
    /// Where it is now.
    pub to: PathBuf,
    /// What was wrong with it.
    pub why: String,
}

impl Store {
    /// Opens the store of `dir`, making it if there is none, and takes the directory's lock.
    ///
    /// # Errors
    /// Another supervisor holds the directory, or it cannot be written. Damage is not an error: see [`MovedAside`].
    pub fn open(_dir: &Path) -> Result<(Self, Loaded), StoreError> {
        todo!()
    }

    /// Stores all of `batch`, or nothing of it; it is on disk when this returns.
    ///
    /// # Errors
    /// Nothing of the batch was stored. The store can be used on, and a retry may work.
    pub fn write(&mut self, _batch: &[Write]) -> Result<(), StoreError> {
        todo!()
    }
}
