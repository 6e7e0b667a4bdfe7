//! Blobs: what is too large for a record. Release archives and uploaded files.
//!
//! | file | subject |
//! | --- | --- |
//! | `list` | a blob is cut into chunks; its id is the hash of the list of their hashes |
//! | `set` | which chunks somebody has |
//! | `service` | the blobs that this node wants, and is getting |
//! | `store`, `error` | the blobs of this node, on its disk |
//!
//! What it does not do: it does not know what a blob is for, nor who may have it.

mod error;
mod list;
mod service;
mod set;
mod store;

pub use error::BlobError;
pub use list::{BLOB_BYTES_MAX, CHUNK_BYTES};
pub use service::{BlobState, BlobStatus, Blobs, NotWanted, Sources};
pub use set::ChunkSet;
pub use store::{BLOBS_MAX, BlobStore, Pin};
