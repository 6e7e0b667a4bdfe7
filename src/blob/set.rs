//! Which chunks somebody has.

use super::list::chunk_count;

/// A set of chunk numbers of one blob: a bit for each of its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSet {
    /// No bit beyond `chunks` is set.
    bits: Vec<u8>,
    chunks: usize,
}

impl ChunkSet {
    /// The empty set of a blob with so many chunks.
    #[must_use]
    pub fn none(chunks: usize) -> Self {
        Self { bits: vec![0; chunks.div_ceil(8)], chunks }
    }

    /// All of so many chunks.
    #[must_use]
    pub fn all(chunks: usize) -> Self {
        let mut set = Self::none(chunks);
        (0..chunks).for_each(|chunk| set.insert(chunk));
        set
    }

    /// The set as somebody else wrote it down. None: it is not one of a blob of so many bytes.
    #[must_use]
    pub fn read(bits: &[u8], bytes: u64) -> Option<Self> {
        let chunks = chunk_count(bytes);
        let spare = chunks.div_ceil(8) * 8 - chunks;
        let fits =
            bits.len() == chunks.div_ceil(8) && bits.last().is_none_or(|last| last.leading_zeros() as usize >= spare);
        fits.then(|| Self { bits: bits.to_vec(), chunks })
    }

    /// How it is written down.
    #[must_use]
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// Of how many chunks it is a set.
    #[must_use]
    pub const fn chunks(&self) -> usize {
        self.chunks
    }

    /// Puts a chunk in. One that the blob does not have is not put in.
    pub fn insert(&mut self, chunk: usize) {
        if chunk < self.chunks {
            self.bits[chunk / 8] |= 1 << (chunk % 8);
        }
    }

    /// Whether a chunk is in it.
    #[must_use]
    pub fn contains(&self, chunk: usize) -> bool {
        chunk < self.chunks && self.bits[chunk / 8] & (1 << (chunk % 8)) != 0
    }

    /// How many are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bits.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether none is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|byte| *byte == 0)
    }

    /// Whether all are in it.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.len() == self.chunks
    }

    /// Those in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.chunks).filter(|chunk| self.contains(*chunk))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::ChunkSet;
    use crate::blob::CHUNK_BYTES;

    #[test]
    fn a_set_that_names_a_chunk_beyond_the_end_is_none() {
        let ten_chunks = 10 * CHUNK_BYTES as u64;
        assert!(ChunkSet::read(&[0xff, 0b11], ten_chunks).is_some_and(|set| set.is_all()));
        assert_eq!(ChunkSet::read(&[0xff, 0b111], ten_chunks), None);
        assert_eq!(ChunkSet::read(&[0xff], ten_chunks), None);
        assert_eq!(ChunkSet::read(&[0xff, 0, 0], ten_chunks), None);
        assert_eq!(ChunkSet::read(&[], 0), Some(ChunkSet::none(0)));
    }

    #[test]
    fn of_a_blob_without_chunks_nobody_lacks_any() {
        assert!(ChunkSet::none(0).is_all() && ChunkSet::none(0).is_empty());
    }

    proptest! {
        #[test]
        fn it_is_a_set_and_reads_back_as_it_is_written(chunks in 1_usize..300, picked in proptest::collection::btree_set(0_usize..300, 0..300)) {
            let mut set = ChunkSet::none(chunks);
            picked.iter().for_each(|chunk| set.insert(*chunk));
            let expected: BTreeSet<usize> = picked.into_iter().filter(|chunk| *chunk < chunks).collect();
            prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), expected.clone());
            prop_assert_eq!(set.len(), expected.len());
            prop_assert_eq!(ChunkSet::read(set.bits(), chunks as u64 * CHUNK_BYTES as u64), Some(set));
        }
    }
}
