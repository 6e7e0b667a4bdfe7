//! The hashes of a blob's chunks, from which its id is made.

use std::ops::Range;

use crate::base::{BlobRef, Hash};

/// Into pieces of so many bytes blobs are cut; the last one has what is left. Half a frame of a stream, so that it
/// fits with what is around it; and large enough that a round trip of a wide network is short beside it.
pub const CHUNK_BYTES: usize = 512 * 1024;
/// The largest blob of all, in bytes. Its list of chunks is 64 KiB.
pub const BLOB_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Of how many chunks a blob of so many bytes is made.
pub(super) fn chunk_count(bytes: u64) -> usize {
    // No machine has the memory for a blob of more chunks than it can count.
    usize::try_from(bytes.div_ceil(CHUNK_BYTES as u64)).unwrap_or(usize::MAX)
}

/// The list of the hashes of a blob's chunks.
///
/// Invariant: `blob.id` is the hash over `hashes` and `blob.bytes`, and there are as many hashes as chunks. So each
/// chunk can be checked by itself as it arrives, from whomever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChunkList {
    blob: BlobRef,
    hashes: Vec<Hash>,
}

impl ChunkList {
    /// The list of a blob whose chunks hash to this.
    pub(super) fn make(hashes: Vec<Hash>, bytes: u64) -> Self {
        Self { blob: BlobRef { id: id(&hashes, bytes), bytes }, hashes }
    }

    /// The list as somebody else wrote it down. None: it is not the list of this blob.
    pub(super) fn read(written: &[u8], blob: BlobRef) -> Option<Self> {
        let (hashes, rest) = written.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() != chunk_count(blob.bytes) {
            return None;
        }
        let hashes: Vec<Hash> = hashes.iter().map(|bytes| Hash::from_bytes(*bytes)).collect();
        (id(&hashes, blob.bytes) == blob.id).then_some(Self { blob, hashes })
    }

    /// How it is written down.
    pub(super) fn written(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }

    pub(super) const fn blob(&self) -> BlobRef {
        self.blob
    }

    pub(super) const fn chunks(&self) -> usize {
        self.hashes.len()
    }

    /// Where in the blob a chunk is.
    pub(super) fn place(&self, chunk: usize) -> Range<u64> {
        let start = chunk as u64 * CHUNK_BYTES as u64;
        start..(start + CHUNK_BYTES as u64).min(self.blob.bytes)
    }

    /// Whether these bytes are that chunk.
    pub(super) fn is_chunk(&self, chunk: usize, bytes: &[u8]) -> bool {
        self.hashes.get(chunk).is_some_and(|hash| *hash == Hash::of(bytes))
    }
}

fn id(hashes: &[Hash], bytes: u64) -> Hash {
    let mut hasher = blake3::Hasher::new();
    for hash in hashes {
        hasher.update(hash.as_bytes());
    }
    hasher.update(&bytes.to_le_bytes());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_BYTES, ChunkList, chunk_count};
    use crate::base::{BlobRef, Hash};

    const BYTES: u64 = 2 * CHUNK_BYTES as u64 + 1;

    fn list() -> ChunkList {
        ChunkList::make([&b"a"[..], b"b", b"c"].map(Hash::of).to_vec(), BYTES)
    }

    #[test]
    fn a_byte_more_than_a_chunk_is_a_chunk_more() {
        let chunk = CHUNK_BYTES as u64;
        assert_eq!([0, 1, chunk, chunk + 1].map(chunk_count), [0, 1, 1, 2]);
        assert_eq!(list().place(2), 2 * chunk..2 * chunk + 1);
    }

    #[test]
    fn a_list_is_believed_only_whole_and_for_its_own_blob() {
        let list = list();
        let written = list.written();
        assert_eq!(ChunkList::read(&written, list.blob()), Some(list.clone()));
        let (first, rest) = written.split_at(32);
        let swapped = [&rest[..32], first, &rest[32..]].concat();
        for forged in [&written[..64], &written[..95], &[&written[..], &[0; 32]].concat(), &swapped, &[]] {
            assert_eq!(ChunkList::read(forged, list.blob()), None);
        }
        // The same hashes, and a lie about the length that leaves the number of chunks as it is.
        let longer = BlobRef { bytes: BYTES + 1, ..list.blob() };
        assert_eq!(ChunkList::read(&written, longer), None);
    }
}
