//! What is said over a stream for blobs: frames of requests and answers, in turn, encoded by postcard. The content of a
//! list or a chunk follows its answer in the same frame.

use serde::{Deserialize, Serialize};

use crate::base::Hash;

/// What is asked. Several may be asked before the first is answered; they are answered in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Which chunks are there?
    Look {
        /// Of which blob.
        id: Hash,
        /// Answer once there are more than so many; or after a while, or when something else is asked. None: answer at
        /// once.
        more_than: Option<u32>,
    },
    /// The list of a blob's chunks.
    List {
        /// Of which blob.
        id: Hash,
    },
    /// One of these chunks, the one that was sent least often: so those who fetch a blob at once get different chunks,
    /// and then have something for each other.
    Chunk {
        /// Of which blob.
        id: Hash,
        /// A [`super::ChunkSet`].
        among: Vec<u8>,
        /// Not one that somebody else is just getting or has just got: it can be had there. Who has company asks so of
        /// those that have all of the blob.
        sparing: bool,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// There is nothing of this blob here.
    Unknown,
    /// There is nothing of it yet, but it is being fetched here, too.
    Coming,
    /// These chunks are here. Also the answer for a chunk, if none of those asked for is.
    Have {
        /// A [`super::ChunkSet`].
        chunks: Vec<u8>,
    },
    /// The list of chunks follows.
    List,
    /// A chunk follows.
    Chunk {
        /// Which.
        chunk: u32,
        /// Which are there: a [`super::ChunkSet`].
        have: Vec<u8>,
    },
}

/// How a message is written down. None: it cannot be, which only happens to what was made wrong.
pub(super) fn encode<T: Serialize>(message: &T) -> Option<Vec<u8>> {
    postcard::to_stdvec(message).ok()
}

/// Reads a request.
pub(super) fn request(frame: &[u8]) -> Option<Request> {
    postcard::from_bytes(frame).ok()
}

/// Reads an answer, and what follows it.
pub(super) fn answer(frame: &[u8]) -> Option<(Answer, &[u8])> {
    postcard::take_from_bytes(frame).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Answer, Request, answer, encode, request};
    use crate::base::Hash;
    use crate::base::limits::STREAM_FRAME_BYTES;
    use crate::blob::list::chunk_count;
    use crate::blob::{BLOB_BYTES_MAX, CHUNK_BYTES, ChunkSet};

    #[test]
    fn the_largest_answers_fit_a_frame() {
        let have = ChunkSet::all(chunk_count(BLOB_BYTES_MAX)).bits().to_vec();
        let head = encode(&Answer::Chunk { chunk: u32::MAX, have }).unwrap();
        assert!(head.len() + CHUNK_BYTES <= STREAM_FRAME_BYTES);
        let head = encode(&Answer::List).unwrap();
        assert!(head.len() + chunk_count(BLOB_BYTES_MAX) * 32 <= STREAM_FRAME_BYTES);
    }

    #[test]
    fn what_follows_an_answer_is_told_from_it() {
        let said = Answer::Chunk { chunk: 3, have: vec![0b1000] };
        let frame = [encode(&said).unwrap(), b"content".to_vec()].concat();
        assert_eq!(answer(&frame), Some((said, &b"content"[..])));
        let asked = Request::Look { id: Hash::of(b"x"), more_than: Some(7) };
        assert_eq!(request(&encode(&asked).unwrap()), Some(asked));
    }

    proptest! {
        #[test]
        fn garbage_is_nothing_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _outcome = request(&bytes);
            let _outcome = answer(&bytes);
        }
    }
}
