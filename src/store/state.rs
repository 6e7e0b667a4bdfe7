//! The database: how it is opened, read and written, and what is done when that fails.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, Durability, StorageBackend};

use super::content::{FORMAT, ReadOutcome, Stored, read};
use super::error::StoreError;

/// What redb may cache. All is read once, at start; more would only add to the process.
const CACHE_BYTES: usize = 1024 * 1024;
/// How much is rewritten at a time when a database is opened.
const PIECE_BYTES: u64 = 1024 * 1024;

/// Opens the database of a path, or makes it.
type Open = dyn Fn(&Path) -> Result<Database, redb::Error> + Send + Sync;

/// Where the bytes of databases are.
#[derive(Clone)]
pub(super) struct Medium(Arc<Open>);

impl Medium {
    /// Files.
    pub(super) fn files() -> Self {
        Self::new(|path| {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
            Ok(FileBackend::new(file)?)
        })
    }

    /// What `open` finds under a path.
    pub(super) fn new<B: StorageBackend>(
        open: impl Fn(&Path) -> Result<B, redb::Error> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |path| {
            let backend = open(path)?;
            rewrite(&backend)?;
            Ok(Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend)?)
        }))
    }
}

impl fmt::Debug for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Medium")
    }
}

/// Writes every byte to where it was read from, and syncs.
///
/// A sync that fails is told once, to whoever had the file open. The pages that it was about are clean from then on: what
/// is read from the kernel's memory is not what is on the disk, and no later sync makes it so. A promise that was seen
/// there would be relied on, and gone after a power cut. So nothing that is read here is believed before it was written
/// once more.
fn rewrite(backend: &impl StorageBackend) -> io::Result<()> {
    let length = backend.len()?;
    let mut at = 0;
    let mut piece = Vec::new();
    while at < length {
        let bytes = PIECE_BYTES.min(length - at);
        piece.resize(usize::try_from(bytes).map_err(io::Error::other)?, 0);
        backend.read(at, &mut piece)?;
        backend.write(at, &piece)?;
        at += bytes;
    }
    if length > 0 { backend.sync_data() } else { Ok(()) }
}

/// Why a state cannot be loaded.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// It is damaged: nothing in it can be relied on.
    Damaged(String),
    /// It may be fine.
    Failed(StoreError),
}

/// A state that is open.
#[derive(Debug)]
pub(super) struct State {
    path: PathBuf,
    medium: Medium,
    /// None after a failed write. redb refuses all work then, and rightly: only what is opened anew is known to be there.
    database: Option<Database>,
}

impl State {
    /// Opens a database, making it if there is none, and reads all of it. None: nothing was ever written there.
    pub(super) fn load(path: &Path, medium: Medium) -> Result<(Self, Option<Stored>), Unreadable> {
        let loaded = guarded(|| {
            let mut database = (medium.0)(path)?;
            // A page that rotted since it was written: found now, rather than in the middle of an election.
            if !database.check_integrity()? {
                return Err(redb::Error::Corrupted("its checksums do not match".to_owned()));
            }
            let stored = read(&database)?;
            Ok((database, stored))
        });
        let state = |database| Self { path: path.to_owned(), medium, database: Some(database) };
        match loaded {
            Ok((_, ReadOutcome::Newer { found })) => {
                Err(Unreadable::Failed(StoreError::Newer { path: path.to_owned(), found, known: FORMAT }))
            }
            Ok((_, ReadOutcome::Damaged(why))) => Err(Unreadable::Damaged(why)),
            Ok((database, ReadOutcome::Empty)) => Ok((state(database), None)),
            Ok((database, ReadOutcome::Read(stored))) => Ok((state(database), Some(stored))),
            Err(error) if is_damage(&error) => Err(Unreadable::Damaged(error.to_string())),
            Err(error) => {
                Err(Unreadable::Failed(StoreError::State { what: "open", path: path.to_owned(), source: error.into() }))
            }
        }
    }

    /// Opens a database that is being made here. Damage in it is no loss: nothing was ever stored there.
    pub(super) fn load_made(path: &Path, medium: Medium) -> Result<Self, StoreError> {
        match Self::load(path, medium) {
            Ok((state, _)) => Ok(state),
            Err(Unreadable::Failed(error)) => Err(error),
            Err(Unreadable::Damaged(why)) => {
                let source = redb::Error::Corrupted(why).into();
                Err(StoreError::State { what: "make", path: path.to_owned(), source })
            }
        }
    }

    /// Makes a change as a whole, or nothing of it; it is on disk when this returns.
    ///
    /// # Errors
    /// Nothing was told to be stored. Whether it is there nevertheless shows when the state is opened the next time;
    /// the next change does so first.
    pub(super) fn transact(
        &mut self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => guarded(|| (self.medium.0)(&self.path)).map_err(|error| self.error("reopen", error))?,
        };
        let outcome = guarded(|| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        });
        match outcome {
            Ok(()) => {
                self.database = Some(database);
                Ok(())
            }
            Err(error) => {
                // Closing tidies up, which can meet the same trouble.
                let closed = guarded(move || {
                    drop(database);
                    Ok(())
                });
                Err(self.error(if closed.is_ok() { "write" } else { "write and close" }, error))
            }
        }
    }

    /// Closes it, which writes a little.
    pub(super) fn close(mut self) -> Result<(), StoreError> {
        let database = self.database.take();
        guarded(move || {
            drop(database);
            Ok(())
        })
        .map_err(|error| self.error("close", error))
    }

    fn error(&self, what: &'static str, error: redb::Error) -> StoreError {
        StoreError::State { what, path: self.path.clone(), source: Box::new(error) }
    }
}

/// Runs `work` on a database. redb asserts what a sound file guarantees, so that a damaged one may make it panic.
fn guarded<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it is not consistent");
            Err(redb::Error::Corrupted(text.to_owned()))
        }
    }
}

/// Whether the file's content is at fault, and not the disk, its permissions or the memory.
fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(error) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::RepairAborted
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. } => true,
        // redb's enum is not exhaustive; the rest are wrong uses and failures of the system.
        _ => false,
    }
}
