//! The store itself.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::content::{self, Stored};
use super::error::StoreError;
use super::lock::DirLock;
use super::node_id;
use super::state::{Medium, State, Unreadable};
use crate::base::NodeId;
use crate::records::{Restored, Write};
use crate::whole;

/// The state's file name.
const STATE: &str = "state.redb";
/// What a new state is called until it is whole.
const NEW: &str = "state.redb.new";

/// An open store. While it lives, no other process can open the same directory.
#[derive(Debug)]
pub struct Store {
    state: State,
    /// Held for its lock.
    _lock: DirLock,
}

/// What an opened store held.
#[derive(Debug)]
pub struct Loaded {
    /// What was stored.
    pub restored: Restored,
    /// That what was stored is lost.
    pub lost: Option<Lost>,
}

/// What was stored is lost. The node goes on under another id: the earlier one may have promised its vote, which nobody
/// knows any more, and so must never vote again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{how}: this node joins as a new one, {now}{}, and learns from the ring what it knew", formerly(*.before))]
pub struct Lost {
    /// How it was lost.
    pub how: LostHow,
    /// Who this node was, if that is known.
    pub before: Option<NodeId>,
    /// Who it is from now on.
    pub now: NodeId,
}

/// How a state was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LostHow {
    /// It was damaged, and is out of the way now.
    #[error("the state cannot be read ({why}) and is now {}, which can be deleted", to.display())]
    Damaged {
        /// Where it is now.
        to: PathBuf,
        /// What was wrong with it.
        why: String,
    },
    /// The file is not there, in a directory that had one.
    #[error("the state {} is gone", path.display())]
    Gone {
        /// Where it should be.
        path: PathBuf,
    },
}

fn formerly(before: Option<NodeId>) -> String {
    before.map_or_else(String::new, |id| format!(" (it was {id})"))
}

impl Store {
    /// Opens the store of `dir`, making it if there is none, and takes the directory's lock.
    ///
    /// # Errors
    /// Another supervisor holds the directory, or it cannot be written. Damage is not an error: see [`Lost`].
    pub fn open(dir: &Path) -> Result<(Self, Loaded), StoreError> {
        Self::open_on(dir, Medium::files())
    }

    pub(super) fn open_on(dir: &Path, medium: Medium) -> Result<(Self, Loaded), StoreError> {
        make_dir(dir).map_err(io_error("make the data directory", dir))?;
        let lock = DirLock::take(dir)?;
        let path = dir.join(STATE);
        let known_id = node_id::read(dir);
        let how = if path.try_exists().map_err(io_error("look for the state", &path))? {
            match State::load(&path, medium.clone()) {
                Ok((state, Some(stored))) => return Self::go_on(dir, lock, state, stored),
                Err(Unreadable::Failed(error)) => return Err(error),
                Ok((_, None)) => Some(move_aside(dir, "nothing is in it".to_owned())?),
                Err(Unreadable::Damaged(why)) => Some(move_aside(dir, why)?),
            }
        } else if known_id.is_some() {
            Some(LostHow::Gone { path: path.clone() })
        } else {
            None
        };
        let now = node_id::draw()?;
        make_state(dir, &medium, now)?;
        let state = State::load_made(&path, medium)?;
        let (store, mut loaded) = Self::go_on(dir, lock, state, Stored { node_id: Some(now), ..Stored::default() })?;
        loaded.lost = how.map(|how| Lost { how, before: known_id, now });
        Ok((store, loaded))
    }

    /// Goes on as who this node is, in another generation.
    fn go_on(dir: &Path, lock: DirLock, mut state: State, stored: Stored) -> Result<(Self, Loaded), StoreError> {
        let Stored { node_id, generation, last_seen, remembered, records, elections } = stored;
        // Whatever was stored was stored by somebody.
        let node_id = match node_id {
            Some(id) => id,
            None => node_id::draw()?,
        };
        // Milliseconds, so that a node whose disk was set back to an earlier day has a higher one, too.
        let generation = generation.saturating_add(1).max(unix_ms());
        state.transact(|transaction| content::identify(transaction, node_id, generation))?;
        if node_id::read(dir) != Some(node_id) {
            node_id::write(dir, node_id)?;
        }
        let restored = Restored { node_id, generation, remembered, records, elections, last_seen };
        Ok((Self { state, _lock: lock }, Loaded { restored, lost: None }))
    }

    /// Stores all of `batch`, or nothing of it; it is on disk when this returns.
    ///
    /// # Errors
    /// Nothing of the batch was acknowledged. The store can be used on: the next write first opens the state anew and
    /// brings all of it to the disk, so that no write that failed is relied on.
    pub fn write(&mut self, batch: &[Write]) -> Result<(), StoreError> {
        self.state.transact(|transaction| batch.iter().try_for_each(|write| content::apply(transaction, write)))
    }
}

fn io_error<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { what, path: path.to_owned(), source }
}

/// Promises and configs are nobody else's business.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}

fn move_aside(dir: &Path, why: String) -> Result<LostHow, StoreError> {
    let (path, to) = (dir.join(STATE), dir.join(format!("{STATE}.unreadable-{}", unix_ms())));
    fs::rename(&path, &to).map_err(io_error("move aside the damaged state", &path))?;
    Ok(LostHow::Damaged { to, why })
}

/// Makes a state that says whose it is. Its name is there with that in it, or not at all: a state that says nothing
/// would be taken for one that was lost.
fn make_state(dir: &Path, medium: &Medium, node_id: NodeId) -> Result<(), StoreError> {
    let (new, path) = (dir.join(NEW), dir.join(STATE));
    whole::remove(&new).map_err(io_error("remove", &new))?;
    let mut state = State::load_made(&new, medium.clone())?;
    state.transact(|transaction| content::identify(transaction, node_id, 0))?;
    state.close()?;
    let renamed = fs::rename(&new, &path).and_then(|()| File::open(dir)?.sync_all());
    renamed.map_err(io_error("make", &path))
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
