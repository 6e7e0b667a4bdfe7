//! Blobs: what is too large for a record. Release archives and uploaded files.
//!
//! | file | subject |
//! | --- | --- |
//! | `list` | a blob is cut into chunks; its id is the hash of the list of their hashes |
//! | `set` | which chunks somebody has |
//! | `store`, `error` | the blobs of this node, on its disk |
//! | `wire` | what nodes say to each other about blobs |
//! | `serve` | gives others what is here, also of blobs that are still being fetched |
//! | `fetch` | gets one blob, from many sources at once |
//! | `source` | one connection to one source |
//! | `picker` | which chunk to ask whom for (pure) |
//! | `service` | the blobs that this node wants; and the thread that moves them |
//! | `counters` | what went in and out |
//!
//! A fetch first gets the list of the chunks' hashes, which proves itself by the blob's id, and then the chunks, each
//! of which proves itself by its hash: so it takes them from anybody, in any order, and goes on after a crash with what
//! it has. Nodes that fetch a blob at once share its chunks among them: whoever has all of it sends each about once.
//!
//! What it does not do: it does not know what a blob is for, nor who may have it.

#[doc(hidden)]
pub mod bare;
mod counters;
mod error;
mod fetch;
mod list;
mod picker;
mod serve;
mod service;
mod set;
mod source;
mod store;
mod wire;

pub use counters::BlobTraffic;
pub use error::BlobError;
pub use list::{BLOB_BYTES_MAX, CHUNK_BYTES};
pub use service::{BlobState, BlobStatus, BlobThread, Blobs, BlobsConfig, NotWanted, Sources};
pub use set::ChunkSet;
pub use store::{BLOBS_MAX, BlobStore, Pin};

#[cfg(test)]
mod tests;
