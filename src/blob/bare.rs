//! The decoders of this folder without their streams, for the fuzz targets in `fuzz/`. Nothing else uses this.

use super::list::ChunkList;
use super::wire;
use crate::base::BlobRef;

/// What is said in a frame, written down again: read as a request, and as an answer with what follows it.
#[must_use]
pub fn again(frame: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let request = wire::request(frame).and_then(|request| wire::encode(&request));
    let answer = wire::answer(frame).and_then(|(answer, rest)| Some([&wire::encode(&answer)?, rest].concat()));
    (request, answer)
}

/// The number of chunks of a list, if it is one of this blob.
#[must_use]
pub fn list(written: &[u8], blob: BlobRef) -> Option<usize> {
    ChunkList::read(written, blob).map(|list| list.chunks())
}
