//! The store itself.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::error::StoreError;
use super::lock::DirLock;
use super::node_id;
use crate::base::{GroupId, NodeId, Wall};
use crate::records::{Record, Remembered, Restored, Write};

/// The state's file name.
const STATE: &str = "state.redb";
/// The format of what is stored. A higher number is not read by this version.
const FORMAT: u64 = 1;
/// What redb may cache. All is read once, at start; more would only add to the process.
const CACHE_BYTES: usize = 1024 * 1024;

const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const BLOBS: TableDefinition<&str, &[u8]> = TableDefinition::new("blobs");
const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");
const ELECTIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("elections");

// Names in `NUMBERS` and `BLOBS`.
const FORMAT_NAME: &str = "format";
const GENERATION: &str = "generation";
const LAST_SEEN: &str = "last-seen-ms";
const NODE_ID: &str = "node-id";
const REMEMBERED: &str = "remembered";

/// An open store. While it lives, no other process can open the same directory.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// None after a failed write: redb wants to be opened anew then.
    database: Option<Database>,
    /// Held for its lock.
    _lock: DirLock,
}

/// What an opened store held.
#[derive(Debug)]
pub struct Loaded {
    /// What was stored.
    pub restored: Restored,
    /// That the state was unreadable, and is out of the way now.
    pub moved_aside: Option<MovedAside>,
}

/// The state was damaged: it was renamed, and the node began anew, under the same id where that could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the state was damaged ({why}) and is now {}: this node goes on with what the ring tells it; the file can be deleted",
    to.display()
)]
pub struct MovedAside {
    /// Where it is now.
    pub to: PathBuf,
    /// What was wrong with it.
    pub why: String,
}

/// Why a state cannot be loaded.
enum Unreadable {
    /// It is damaged: nothing in it can be relied on.
    Damaged(String),
    /// It may be fine.
    Failed(StoreError),
}

impl Store {
    /// Opens the store of `dir`, making it if there is none, and takes the directory's lock.
    ///
    /// # Errors
    /// Another supervisor holds the directory, or it cannot be written. Damage is not an error: see [`MovedAside`].
    pub fn open(dir: &Path) -> Result<(Self, Loaded), StoreError> {
        let io_error = |what, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { what, path, source }
        };
        // Promises and configs are nobody else's business.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(io_error("make the data directory", dir))?;
        let lock = DirLock::take(dir)?;
        let path = dir.join(STATE);
        let known_id = node_id::read(dir);
        let is_first_start = known_id.is_none() && !path.exists();

        let (database, stored, moved_aside) = match load(&path) {
            Ok((database, stored)) => (database, stored, None),
            Err(Unreadable::Failed(error)) => return Err(error),
            Err(Unreadable::Damaged(why)) => {
                let to = dir.join(format!("{STATE}.corrupt-{}", unix_ms() / 1000));
                fs::rename(&path, &to).map_err(io_error("move aside the damaged state", &path))?;
                let (database, stored) = load(&path).map_err(|unreadable| match unreadable {
                    Unreadable::Failed(error) => error,
                    Unreadable::Damaged(why) => StoreError::State {
                        what: "make",
                        path: path.clone(),
                        source: redb::Error::Corrupted(why).into(),
                    },
                })?;
                (database, stored, Some(MovedAside { to, why }))
            }
        };
        let mut store = Self { path, database: Some(database), _lock: lock };
        // The state's id first: its promises were made under it.
        let node_id = match stored.node_id.or(known_id) {
            Some(id) => id,
            None => node_id::draw()?,
        };
        // Milliseconds, so that even a node that lost its state, and with it the last generation, has a higher one.
        let generation = stored.generation.saturating_add(1).max(unix_ms());
        store.identify(node_id, generation)?;
        if known_id != Some(node_id) {
            node_id::write(dir, node_id)?;
        }
        let restored = Restored {
            node_id,
            fresh: is_first_start,
            generation,
            remembered: stored.remembered,
            records: stored.records,
            elections: stored.elections,
            last_seen: stored.last_seen,
        };
        Ok((store, Loaded { restored, moved_aside }))
    }

    /// Stores all of `batch`, or nothing of it; it is on disk when this returns.
    ///
    /// # Errors
    /// Nothing of the batch was stored. The store can be used on, and a retry may work.
    pub fn write(&mut self, batch: &[Write]) -> Result<(), StoreError> {
        self.transact(|transaction| batch.iter().try_for_each(|write| apply(transaction, write)))
    }

    fn identify(&mut self, node_id: NodeId, generation: u64) -> Result<(), StoreError> {
        self.transact(|transaction| {
            let mut numbers = transaction.open_table(NUMBERS)?;
            numbers.insert(FORMAT_NAME, FORMAT)?;
            numbers.insert(GENERATION, generation)?;
            transaction.open_table(BLOBS)?.insert(NODE_ID, node_id.as_bytes().as_slice())?;
            Ok(())
        })
    }

    fn transact(
        &mut self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => guarded(|| open_database(&self.path)).map_err(|error| self.state_error("reopen", error))?,
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
            // The database is closed, so that the next write opens it anew: redb refuses all work after an I/O error.
            Err(error) => {
                // Closing tidies up, which can meet the same trouble.
                if guarded(move || {
                    drop(database);
                    Ok(())
                })
                .is_err()
                {
                    return Err(self.state_error("write and close", error));
                }
                Err(self.state_error("write", error))
            }
        }
    }

    fn state_error(&self, what: &'static str, error: redb::Error) -> StoreError {
        StoreError::State { what, path: self.path.clone(), source: Box::new(error) }
    }
}

fn apply(transaction: &redb::WriteTransaction, write: &Write) -> Result<(), redb::Error> {
    match write {
        Write::Generation(generation) => {
            transaction.open_table(NUMBERS)?.insert(GENERATION, *generation)?;
        }
        Write::LastSeen(Wall(ms)) => {
            transaction.open_table(NUMBERS)?.insert(LAST_SEEN, *ms)?;
        }
        Write::Remembered(remembered) => {
            transaction.open_table(BLOBS)?.insert(REMEMBERED, encode(remembered)?.as_slice())?;
        }
        Write::Records(records) => {
            let mut table = transaction.open_table(RECORDS)?;
            for record in records {
                table.insert(record.key.as_str(), encode(record)?.as_slice())?;
            }
        }
        Write::DropRecords(keys) => {
            let mut table = transaction.open_table(RECORDS)?;
            for key in keys {
                table.remove(key.as_str())?;
            }
        }
        Write::Election { group, state } => {
            transaction.open_table(ELECTIONS)?.insert(group.to_string().as_str(), state.as_ref())?;
        }
    }
    Ok(())
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, redb::Error> {
    postcard::to_stdvec(value).map_err(|error| redb::Error::Io(io::Error::other(error)))
}

/// What a state holds.
#[derive(Default)]
struct Stored {
    node_id: Option<NodeId>,
    generation: u64,
    last_seen: Option<Wall>,
    remembered: Vec<Remembered>,
    records: Vec<Record>,
    elections: BTreeMap<GroupId, Bytes>,
}

fn open_database(path: &Path) -> Result<Database, redb::Error> {
    Ok(Database::builder().set_cache_size(CACHE_BYTES).create(path)?)
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

fn load(path: &Path) -> Result<(Database, Stored), Unreadable> {
    let loaded = guarded(|| {
        let mut database = open_database(path)?;
        // A page that rotted since it was written: found now, rather than in the middle of an election.
        if !database.check_integrity()? {
            return Err(redb::Error::Corrupted("its checksums do not match".to_owned()));
        }
        let stored = read(&database)?;
        Ok((database, stored))
    });
    match loaded {
        Ok((_, ReadOutcome::Newer { found })) => {
            Err(Unreadable::Failed(StoreError::Newer { path: path.to_owned(), found, known: FORMAT }))
        }
        Ok((_, ReadOutcome::Damaged(why))) => Err(Unreadable::Damaged(why)),
        Ok((database, ReadOutcome::Read(stored))) => Ok((database, stored)),
        Err(error) if is_damage(&error) => Err(Unreadable::Damaged(error.to_string())),
        Err(error) => {
            Err(Unreadable::Failed(StoreError::State { what: "open", path: path.to_owned(), source: error.into() }))
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

enum ReadOutcome {
    Read(Stored),
    Newer { found: u64 },
    Damaged(String),
}

fn read(database: &Database) -> Result<ReadOutcome, redb::Error> {
    let transaction = database.begin_read()?;
    let numbers = match transaction.open_table(NUMBERS) {
        Ok(table) => table,
        // A new file.
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(ReadOutcome::Read(Stored::default())),
        Err(error) => return Err(error.into()),
    };
    let number = |name| numbers.get(name).map(|found| found.map(|value| value.value()));
    match number(FORMAT_NAME)? {
        Some(found) if found > FORMAT => return Ok(ReadOutcome::Newer { found }),
        Some(_) => {}
        None => return Ok(ReadOutcome::Damaged("it has no format number".to_owned())),
    }
    let mut stored = Stored {
        generation: number(GENERATION)?.unwrap_or(0),
        last_seen: number(LAST_SEEN)?.map(Wall),
        ..Stored::default()
    };
    let blobs = transaction.open_table(BLOBS)?;
    if let Some(bits) = blobs.get(NODE_ID)? {
        let Ok(bits) = <[u8; 16]>::try_from(bits.value()) else {
            return Ok(ReadOutcome::Damaged("its node id has not 16 bytes".to_owned()));
        };
        stored.node_id = Some(NodeId::from_u128(u128::from_be_bytes(bits)));
    }
    let undecodable = |what: &str, error: &dyn std::fmt::Display| {
        Ok(ReadOutcome::Damaged(format!("{what} cannot be decoded: {error}")))
    };
    if let Some(bytes) = blobs.get(REMEMBERED)? {
        match postcard::from_bytes(bytes.value()) {
            Ok(remembered) => stored.remembered = remembered,
            Err(error) => return undecodable("the list of members", &error),
        }
    }
    match transaction.open_table(RECORDS) {
        Ok(table) => {
            for entry in table.iter()? {
                let (key, bytes) = entry?;
                match postcard::from_bytes(bytes.value()) {
                    Ok(record) => stored.records.push(record),
                    Err(error) => return undecodable(&format!("the record {}", key.value()), &error),
                }
            }
        }
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    match transaction.open_table(ELECTIONS) {
        Ok(table) => {
            for entry in table.iter()? {
                let (group, state) = entry?;
                match group.value().parse() {
                    Ok(group) => stored.elections.insert(group, Bytes::copy_from_slice(state.value())),
                    Err(error) => return undecodable("the name of a group", &error),
                };
            }
        }
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(ReadOutcome::Read(stored))
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
