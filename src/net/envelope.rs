//! What is around a payload: the version of the wire, the id of the key that it is sealed with, and a frame's length.

use std::io;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::base::limits::{DATAGRAM_PAYLOAD_BYTES, STREAM_FRAME_BYTES};

/// The version of the wire that this node speaks.
pub const VERSION: u8 = 1;
/// The id of no key: clear text.
const CLEAR: u8 = 0;
/// Version and key id.
const DATAGRAM_HEADER_BYTES: usize = 2;
/// Version, key id and length.
const FRAME_HEADER_BYTES: usize = 6;

/// Largest datagram with its envelope, in bytes.
pub const DATAGRAM_BYTES: usize = DATAGRAM_PAYLOAD_BYTES + DATAGRAM_HEADER_BYTES;

/// What arrived is not for this node to read. It is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It ends within its header.
    #[error("it is shorter than its header")]
    Short,
    /// It is of another version of the wire.
    #[error("it is of version {0} of the wire, and this is {VERSION}")]
    Version(u8),
    /// It is sealed with a key that this node does not have.
    #[error("it is sealed with key {0}, which this node does not have")]
    Key(u8),
    /// It is over the limit.
    #[error("it has {bytes} bytes, over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// A frame cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream broke off.
    #[error("the stream broke off")]
    Io(#[from] io::Error),
    /// The frame is not acceptable.
    #[error("the frame is not acceptable")]
    Envelope(#[from] EnvelopeError),
}

/// Puts a payload into its envelope. None: the payload is over the limit, which is its maker's mistake.
#[must_use]
pub fn seal_datagram(payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() > DATAGRAM_PAYLOAD_BYTES {
        return None;
    }
    let mut datagram = Vec::with_capacity(DATAGRAM_HEADER_BYTES + payload.len());
    datagram.extend_from_slice(&[VERSION, CLEAR]);
    datagram.extend_from_slice(payload);
    Some(datagram)
}

/// Takes a payload out of its envelope.
///
/// # Errors
/// It is not of this version, not in clear text, or over the limit.
pub fn open_datagram(datagram: &[u8]) -> Result<&[u8], EnvelopeError> {
    let (header, payload) = datagram.split_at_checked(DATAGRAM_HEADER_BYTES).ok_or(EnvelopeError::Short)?;
    check(header)?;
    if payload.len() > DATAGRAM_PAYLOAD_BYTES {
        return Err(EnvelopeError::TooLarge { bytes: payload.len(), limit: DATAGRAM_PAYLOAD_BYTES });
    }
    Ok(payload)
}

fn check(header: &[u8]) -> Result<(), EnvelopeError> {
    match header {
        [VERSION, CLEAR, ..] => Ok(()),
        [VERSION, key, ..] => Err(EnvelopeError::Key(*key)),
        [version, ..] => Err(EnvelopeError::Version(*version)),
        [] => Err(EnvelopeError::Short),
    }
}

/// What came of waiting for a frame.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A frame.
    Frame,
    /// The stream ended before its first byte, which is how a probe looks from the other side.
    End,
}

/// Writes one frame, made of two parts: nothing is copied to put them together.
///
/// # Errors
/// It is over the limit, or the stream broke off.
pub(super) async fn write_frame(
    stream: &mut (impl AsyncWrite + Unpin),
    head: &[u8],
    body: &[u8],
) -> Result<(), FrameError> {
    let bytes = head.len() + body.len();
    let too_large = EnvelopeError::TooLarge { bytes, limit: STREAM_FRAME_BYTES };
    let length = u32::try_from(bytes).map_err(|_| too_large)?;
    if bytes > STREAM_FRAME_BYTES {
        return Err(too_large.into());
    }
    let [a, b, c, d] = length.to_be_bytes();
    let header = [VERSION, CLEAR, a, b, c, d];
    let mut frame = Buf::chain(Buf::chain(&header[..], head), body);
    stream.write_all_buf(&mut frame).await?;
    Ok(stream.flush().await?)
}

/// Reads one frame. None: the stream ended before its first byte, which is how a probe looks from the other side.
///
/// # Errors
/// The frame is over the limit (nothing is allocated for it then), of another version, or broken off.
pub(super) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Bytes>, FrameError> {
    let mut payload = Vec::new();
    match read_frame_into(stream, &mut payload).await? {
        Heard::Frame => Ok(Some(payload.into())),
        Heard::End => Ok(None),
    }
}

/// Reads one frame, in place of what is in `payload`.
///
/// # Errors
/// As [`read_frame`].
pub(super) async fn read_frame_into(
    stream: &mut (impl AsyncRead + Unpin),
    payload: &mut Vec<u8>,
) -> Result<Heard, FrameError> {
    payload.clear();
    let mut header = [0; FRAME_HEADER_BYTES];
    if stream.read(&mut header[..1]).await? == 0 {
        return Ok(Heard::End);
    }
    stream.read_exact(&mut header[1..]).await?;
    check(&header)?;
    let [_, _, length @ ..] = header;
    let length = u32::from_be_bytes(length);
    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes > STREAM_FRAME_BYTES {
        return Err(EnvelopeError::TooLarge { bytes, limit: STREAM_FRAME_BYTES }.into());
    }
    // Memory follows what arrives, not what is announced.
    stream.take(u64::from(length)).read_to_end(payload).await?;
    if payload.len() < bytes {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Heard::Frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        DATAGRAM_PAYLOAD_BYTES, EnvelopeError, FrameError, STREAM_FRAME_BYTES, open_datagram, read_frame,
        seal_datagram, write_frame,
    };

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_datagram_is_sealed_at_the_limit_and_refused_one_beyond() {
        let largest = vec![7; DATAGRAM_PAYLOAD_BYTES];
        let sealed = seal_datagram(&largest).unwrap();
        assert_eq!(open_datagram(&sealed).unwrap(), largest);
        assert_eq!(seal_datagram(&vec![7; DATAGRAM_PAYLOAD_BYTES + 1]), None);
        let beyond = [sealed, vec![7]].concat();
        assert!(matches!(open_datagram(&beyond), Err(EnvelopeError::TooLarge { .. })));
    }

    #[test]
    fn another_version_and_an_unknown_key_are_told_apart() {
        assert_eq!(open_datagram(&[]), Err(EnvelopeError::Short));
        assert_eq!(open_datagram(&[1]), Err(EnvelopeError::Short));
        assert_eq!(open_datagram(&[2, 0, 1]), Err(EnvelopeError::Version(2)));
        assert_eq!(open_datagram(&[1, 9, 1]), Err(EnvelopeError::Key(9)));
        assert_eq!(open_datagram(&[1, 0]), Ok(&[][..]));
    }

    #[test]
    fn a_frame_is_carried_at_the_limit_and_refused_one_beyond_before_anything_is_allocated() {
        block_on(async {
            let largest = vec![3; STREAM_FRAME_BYTES];
            let mut wire = Vec::new();
            write_frame(&mut wire, &largest[..7], &largest[7..]).await.unwrap();
            assert_eq!(read_frame(&mut wire.as_slice()).await.unwrap().unwrap(), largest);

            let beyond = vec![3; STREAM_FRAME_BYTES + 1];
            assert!(matches!(write_frame(&mut Vec::new(), &[3], &beyond[1..]).await, Err(FrameError::Envelope(_))));
            // The length alone is enough to be refused: there is nothing behind it to read.
            let length = u32::try_from(beyond.len()).unwrap().to_be_bytes();
            let header = [&[1, 0][..], &length].concat();
            let error = read_frame(&mut header.as_slice()).await.unwrap_err();
            assert!(matches!(error, FrameError::Envelope(EnvelopeError::TooLarge { .. })), "{error:?}");
        });
    }

    #[test]
    fn a_stream_that_says_nothing_is_no_error_and_one_that_breaks_off_is() {
        block_on(async {
            assert!(read_frame(&mut &[][..]).await.unwrap().is_none());
            for broken in [&[1][..], &[1, 0, 0], &[1, 0, 0, 0, 0, 2, 5]] {
                assert!(matches!(read_frame(&mut &*broken).await, Err(FrameError::Io(_))), "{broken:?}");
            }
        });
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_or_nothing_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            if let Ok(payload) = open_datagram(&bytes) {
                prop_assert_eq!(payload, &bytes[2..]);
            }
            if let Ok(Some(payload)) = block_on(read_frame(&mut bytes.as_slice())) {
                prop_assert_eq!(&payload[..], &bytes[6..6 + payload.len()]);
            }
        }
    }
}
