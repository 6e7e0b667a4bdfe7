//! Frames of a stream, in clear text or sealed.
//!
//! In clear text a frame is its length (4 bytes) and its payload. Sealed, the same bytes are cut into pieces, each with
//! its own length (2 bytes) before it and its tag behind it; a frame begins with a piece of its own. Pieces are numbered
//! by both sides: one that is missing, repeated or moved ends the stream.

use std::fmt;
use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroize as _;

use super::envelope::EnvelopeError;
use super::key::KeyId;
use super::seal::TAG_BYTES;
use crate::base::limits::STREAM_FRAME_BYTES;

/// The length of a frame.
const LENGTH_BYTES: usize = 4;
/// Most bytes of a frame in one sealed piece: what fits a message of Noise.
const PIECE_BYTES: usize = 65_535 - TAG_BYTES;

/// A frame cannot be read or written. The stream cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream broke off.
    #[error("the stream broke off")]
    Io(#[from] io::Error),
    /// The frame is not acceptable.
    #[error("the frame is not acceptable")]
    Envelope(#[from] EnvelopeError),
    /// The other side does not accept the stream.
    #[error("the other side refuses the stream")]
    Refused(#[source] EnvelopeError),
}

/// What came of waiting for a frame.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A frame.
    Frame,
    /// The stream ended before its first byte.
    End,
}

/// Whether a stream is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamSeal {
    /// Anybody could read it and write into it.
    Clear,
    /// Only who has this key could have opened it.
    Key(KeyId),
}

/// Reads and writes the frames of one stream, once its greeting is done.
pub(super) struct Codec {
    sealed: Option<Box<Sealed>>,
}

struct Sealed {
    noise: snow::TransportState,
    key: KeyId,
    /// A piece, sealed. Its room is used again.
    piece: Vec<u8>,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Codec").field(&self.seal()).finish()
    }
}

impl Codec {
    pub(super) const fn clear() -> Self {
        Self { sealed: None }
    }

    pub(super) fn sealed(noise: snow::TransportState, key: KeyId) -> Self {
        Self { sealed: Some(Box::new(Sealed { noise, key, piece: Vec::new() })) }
    }

    pub(super) fn seal(&self) -> StreamSeal {
        self.sealed.as_ref().map_or(StreamSeal::Clear, |sealed| StreamSeal::Key(sealed.key))
    }

    /// Writes one frame, made of two parts.
    ///
    /// # Errors
    /// It is over the limit, or the stream broke off.
    pub(super) async fn write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        head: &[u8],
        body: &[u8],
    ) -> Result<(), FrameError> {
        let bytes = head.len() + body.len();
        let too_large = || EnvelopeError::TooLarge { bytes, limit: STREAM_FRAME_BYTES };
        let length = u32::try_from(bytes).ok().filter(|_| bytes <= STREAM_FRAME_BYTES).ok_or_else(too_large)?;
        let length = length.to_be_bytes();
        match &mut self.sealed {
            // Nothing is copied to put the parts together.
            None => {
                let mut frame = bytes::Buf::chain(bytes::Buf::chain(&length[..], head), body);
                stream.write_all_buf(&mut frame).await?;
            }
            Some(sealed) => sealed.write(stream, [&length, head, body]).await?,
        }
        Ok(stream.flush().await?)
    }

    /// Reads one frame. None: the stream ended before its first byte.
    ///
    /// # Errors
    /// As [`Self::read_into`].
    pub(super) async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Bytes>, FrameError> {
        let mut payload = Vec::new();
        match self.read_into(stream, &mut payload).await? {
            Heard::Frame => Ok(Some(payload.into())),
            Heard::End => Ok(None),
        }
    }

    /// Reads one frame, in place of what is in `payload`.
    ///
    /// # Errors
    /// The frame is over the limit (nothing is allocated for it then), not sealed as it must be, or broken off.
    pub(super) async fn read_into(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        payload: &mut Vec<u8>,
    ) -> Result<Heard, FrameError> {
        payload.clear();
        match &mut self.sealed {
            None => read_clear(stream, payload).await,
            Some(sealed) => sealed.read(stream, payload).await,
        }
    }
}

/// The length of a frame, if it is within the limit.
fn frame_length(bytes: [u8; LENGTH_BYTES]) -> Result<usize, EnvelopeError> {
    let bytes = usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX);
    if bytes > STREAM_FRAME_BYTES {
        return Err(EnvelopeError::TooLarge { bytes, limit: STREAM_FRAME_BYTES });
    }
    Ok(bytes)
}

async fn read_clear(stream: &mut (impl AsyncRead + Unpin), payload: &mut Vec<u8>) -> Result<Heard, FrameError> {
    let Some(length) = read_head(stream).await? else { return Ok(Heard::End) };
    let bytes = frame_length(length)?;
    read_body(stream, bytes, payload).await?;
    Ok(Heard::Frame)
}

/// Reads a head of so many bytes. None: the stream ended before it.
pub(super) async fn read_head<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<[u8; N]>> {
    let mut head = [0; N];
    if stream.read(&mut head[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut head[1..]).await?;
    Ok(Some(head))
}

/// Appends so many bytes. Memory follows what arrives, not what is announced.
pub(super) async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    bytes: usize,
    into: &mut Vec<u8>,
) -> io::Result<()> {
    let before = into.len();
    let limit = u64::try_from(bytes).map_err(io::Error::other)?;
    stream.take(limit).read_to_end(into).await?;
    if into.len() - before < bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

impl Sealed {
    async fn write(&mut self, stream: &mut (impl AsyncWrite + Unpin), parts: [&[u8]; 3]) -> Result<(), FrameError> {
        let mut clear = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| clear.extend_from_slice(part));
        for piece in clear.chunks(PIECE_BYTES) {
            self.piece.resize(2 + piece.len() + TAG_BYTES, 0);
            let (length, sealed) = self.piece.split_at_mut(2);
            let bytes = self.noise.write_message(piece, sealed).map_err(io::Error::other)?;
            length.copy_from_slice(&u16::try_from(bytes).map_err(io::Error::other)?.to_be_bytes());
            stream.write_all(&self.piece).await?;
        }
        clear.zeroize();
        Ok(())
    }

    async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        payload: &mut Vec<u8>,
    ) -> Result<Heard, FrameError> {
        let Some(first) = read_head(stream).await? else { return Ok(Heard::End) };
        self.read_piece(stream, first, payload).await?;
        let (length, rest) = payload.split_first_chunk::<LENGTH_BYTES>().ok_or(EnvelopeError::Malformed)?;
        let (bytes, mut read) = (frame_length(*length)?, rest.len());
        payload.drain(..LENGTH_BYTES);
        while read < bytes {
            let length = read_head(stream).await?.ok_or(io::ErrorKind::UnexpectedEof).map_err(io::Error::from)?;
            self.read_piece(stream, length, payload).await?;
            // A piece that says nothing could be followed by others for ever.
            if payload.len() == read {
                return Err(EnvelopeError::Malformed.into());
            }
            read = payload.len();
        }
        if read > bytes {
            return Err(EnvelopeError::Malformed.into());
        }
        Ok(Heard::Frame)
    }

    /// Reads a sealed piece, and appends what is in it.
    async fn read_piece(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        length: [u8; 2],
        into: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        self.piece.clear();
        read_body(stream, usize::from(u16::from_be_bytes(length)), &mut self.piece).await?;
        let before = into.len();
        into.resize(before + self.piece.len(), 0);
        let forged = |_| EnvelopeError::Forged(self.key);
        let bytes = self.noise.read_message(&self.piece, &mut into[before..]).map_err(forged)?;
        into.truncate(before + bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Codec, FrameError, PIECE_BYTES};
    use crate::base::limits::STREAM_FRAME_BYTES;
    use crate::net::envelope::EnvelopeError;
    use crate::net::testing::{block_on, greeted};

    /// The two ends of a stream: in clear text, and sealed.
    async fn ends() -> [(Codec, Codec); 2] {
        [(Codec::clear(), Codec::clear()), greeted().await]
    }

    #[test]
    fn a_frame_is_carried_at_the_limit_and_refused_one_beyond() {
        block_on(async {
            for (mut from, mut to) in ends().await {
                let largest = vec![3; STREAM_FRAME_BYTES];
                for bytes in [0, 1, PIECE_BYTES - 4, PIECE_BYTES - 3, 2 * PIECE_BYTES, STREAM_FRAME_BYTES] {
                    let mut wire = Vec::new();
                    let (head, body) = largest[..bytes].split_at(bytes.min(7));
                    from.write(&mut wire, head, body).await.unwrap();
                    assert_eq!(to.read(&mut wire.as_slice()).await.unwrap().unwrap(), largest[..bytes]);
                }
                let beyond = from.write(&mut Vec::new(), &[3], &largest).await;
                assert!(matches!(beyond, Err(FrameError::Envelope(EnvelopeError::TooLarge { .. }))));
            }
        });
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_is_allocated() {
        block_on(async {
            // There is nothing behind it to read.
            let length = u32::try_from(STREAM_FRAME_BYTES + 1).unwrap().to_be_bytes();
            let error = Codec::clear().read(&mut length.as_slice()).await.unwrap_err();
            assert!(matches!(error, FrameError::Envelope(EnvelopeError::TooLarge { .. })), "{error:?}");
        });
    }

    #[test]
    fn a_stream_that_says_nothing_is_no_error_and_one_that_breaks_off_is() {
        block_on(async {
            for (mut from, mut to) in ends().await {
                assert!(to.read(&mut &[][..]).await.unwrap().is_none());
                let mut wire = Vec::new();
                from.write(&mut wire, b"ab", b"c").await.unwrap();
                for broken in 1..wire.len() {
                    let read = to.read(&mut &wire[..broken]).await;
                    assert!(matches!(read, Err(FrameError::Io(_))), "{broken} of {}: {read:?}", wire.len());
                }
            }
        });
    }

    #[test]
    fn a_sealed_frame_that_is_repeated_or_left_out_ends_the_stream() {
        block_on(async {
            let (mut from, mut to) = greeted().await;
            let mut frames = [Vec::new(), Vec::new()];
            for frame in &mut frames {
                from.write(frame, b"x", b"").await.unwrap();
            }
            assert!(to.read(&mut frames[0].as_slice()).await.is_ok());
            assert!(to.read(&mut frames[0].as_slice()).await.is_err());
            let (mut from, mut to) = greeted().await;
            for frame in &mut frames {
                frame.clear();
                from.write(frame, b"x", b"").await.unwrap();
            }
            assert!(to.read(&mut frames[1].as_slice()).await.is_err());
        });
    }

    proptest! {
        #[test]
        fn a_sealed_frame_with_any_byte_changed_is_refused(
            payload in proptest::collection::vec(any::<u8>(), 1..40), change in 1..=255_u8,
        ) {
            block_on(async {
                let (mut from, mut to) = greeted().await;
                let mut wire = Vec::new();
                from.write(&mut wire, &payload, b"").await.unwrap();
                // The handshake is the same for all; a failed read does not move the other side on.
                for place in 0..wire.len() {
                    let mut changed = wire.clone();
                    changed[place] ^= change;
                    assert!(to.read(&mut changed.as_slice()).await.is_err(), "byte {place} of {}", wire.len());
                }
                assert_eq!(to.read(&mut wire.as_slice()).await.unwrap().unwrap(), payload);
            });
        }

        #[test]
        fn garbage_is_an_error_or_nothing_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            block_on(async {
                if let Ok(Some(payload)) = Codec::clear().read(&mut bytes.as_slice()).await {
                    assert_eq!(payload[..], bytes[4..4 + payload.len()]);
                }
                let (_, mut to) = greeted().await;
                assert!(!matches!(to.read(&mut bytes.as_slice()).await, Ok(Some(_))));
            });
        }
    }
}
