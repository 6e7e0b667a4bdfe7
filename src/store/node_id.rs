//! The node's id in a file of its own: it survives the loss of the state, and a person can read it.

use std::fs;
use std::path::Path;

use super::error::StoreError;
use crate::base::NodeId;
use crate::whole;

/// The file's name.
pub(super) const NAME: &str = "node-id";

/// The id in `dir`; none if there is none, or it cannot be read as one.
pub(super) fn read(dir: &Path) -> Option<NodeId> {
    fs::read_to_string(dir.join(NAME)).ok()?.trim().parse().ok()
}

/// A new id, from the system's randomness: drawn once in a node's life.
pub(super) fn draw() -> Result<NodeId, StoreError> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|error| StoreError::Draw(error.into()))?;
    Ok(NodeId::from_u128(u128::from_be_bytes(bits)))
}

/// Writes the id, whole or not at all.
pub(super) fn write(dir: &Path, id: NodeId) -> Result<(), StoreError> {
    let path = dir.join(NAME);
    let written = whole::write(&path, format!("{id}\n").as_bytes(), 0o600);
    written.map_err(|source| StoreError::Io { what: "write the node id to", path: path.clone(), source })
}
