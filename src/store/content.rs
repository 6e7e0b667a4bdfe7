//! What a state holds, and how it is laid out in the database.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::base::{GroupId, NodeId, Wall};
use crate::records::{Record, Remembered, Write};

/// The format of what is stored. A higher number is not read by this version.
pub(super) const FORMAT: u64 = 1;

pub(super) const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const BLOBS: TableDefinition<&str, &[u8]> = TableDefinition::new("blobs");
pub(super) const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");
const ELECTIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("elections");

// Names in `NUMBERS` and `BLOBS`.
pub(super) const FORMAT_NAME: &str = "format";
const GENERATION: &str = "generation";
const LAST_SEEN: &str = "last-seen-ms";
const NODE_ID: &str = "node-id";
const REMEMBERED: &str = "remembered";

/// What a state holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) node_id: Option<NodeId>,
    pub(super) generation: u64,
    pub(super) last_seen: Option<Wall>,
    pub(super) remembered: Vec<Remembered>,
    pub(super) records: Vec<Record>,
    pub(super) elections: BTreeMap<GroupId, Bytes>,
}

/// Says whose state this is, and in which generation it runs.
pub(super) fn identify(
    transaction: &redb::WriteTransaction,
    node_id: NodeId,
    generation: u64,
) -> Result<(), redb::Error> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    numbers.insert(FORMAT_NAME, FORMAT)?;
    numbers.insert(GENERATION, generation)?;
    transaction.open_table(BLOBS)?.insert(NODE_ID, node_id.as_bytes().as_slice())?;
    Ok(())
}

/// Does one write.
pub(super) fn apply(transaction: &redb::WriteTransaction, write: &Write) -> Result<(), redb::Error> {
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

/// What reading a database came to.
pub(super) enum ReadOutcome {
    /// Nothing was ever written there.
    Empty,
    /// All was read.
    Read(Stored),
    /// It is of a later format.
    Newer { found: u64 },
    /// It is not what was ever written.
    Damaged(String),
}

/// Reads all of it.
pub(super) fn read(database: &Database) -> Result<ReadOutcome, redb::Error> {
    let transaction = database.begin_read()?;
    let numbers = match transaction.open_table(NUMBERS) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(ReadOutcome::Empty),
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
